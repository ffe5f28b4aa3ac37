/** Who keeps a window from being safe, or a drain from ending: what the operator has to look at. */
import type { StoreError } from '../../ports/store-error.ts'
import type { SystemStore } from '../../ports/system-store.ts'
import type { InstanceStatus, MaintenanceStatus } from '../engine.ts'
import { within } from '../within.ts'
import { instanceStatus } from './instance-view.ts'
import type { KnownInstances } from './known-instances.ts'
import { sessionName } from './session-name.ts'
import type { SwitchState } from './switch-state.ts'

export interface BlockersParts {
  readonly system: Pick<SystemStore, 'fenceHolders' | 'listDrainDebts'>
  readonly instances: KnownInstances
  readonly selfId: string
  /** How long PostgreSQL's answer is waited for; without it the list is shorter. */
  readonly answerMsMax: number
}

type Blocker = MaintenanceStatus['blockers'][number]

// Two heartbeats were missed: longer than an instance takes to notice a drain.
const SILENT_MS_MAX = 5_000

/** PostgreSQL cannot be asked. */
export function unreachable(own: InstanceStatus): Blocker[] {
  return [blocker(own, 'DATABASE_UNAVAILABLE')]
}

/**
 * Of a window that is not safe yet: writes that began before it and still run.
 * @param failure why the fence could not be passed; null = it was not tried, or waits
 */
export async function windowBlockers(
  { answerMsMax, instances, system }: BlockersParts,
  failure: StoreError | null,
): Promise<Blocker[]> {
  const holders = await within(answerMsMax, system.fenceHolders()).catch(() => [])
  if (holders.length === 0 && failure !== null) return unreachable(instances.own())
  const statuses = instances.statuses()
  return holders.map((holder) => {
    const instance = statuses.find((each) => sessionName(each.id) === holder.applicationName)
    return {
      instanceId: instance?.id ?? holder.applicationName.replace(/^queen /, ''),
      hostname: instance?.hostname ?? '',
      reason: 'IN_FLIGHT_WRITES' as const,
      bufferedMessages: instance?.bufferedMessages ?? null,
      lastSeenAt: instance?.lastSeenAt ?? null,
    }
  })
}

/**
 * Of a drain: whoever holds records, and the dead that have not said that they hold none. Without either, those whose
 * records wait in PostgreSQL to be merged; and without those, whoever takes long to say anything.
 */
export async function drainBlockers(
  { answerMsMax, instances, selfId, system }: BlockersParts,
  { draining, epoch, expectSince }: SwitchState,
): Promise<Blocker[]> {
  const holding = instances
    .statuses()
    .filter((instance) => instance.bufferedMessages !== 0)
    .map((instance) => blocker(instance, instance.live ? 'BUFFER_NOT_EMPTY' : 'NOT_LIVE'))
  // The drain after an outage is an instance's own.
  if (!draining) return holding
  const asked = system.listDrainDebts(epoch, expectSince ?? new Date(0).toISOString())
  const debts = await within(answerMsMax, asked).catch(() => [])
  const owing = debts.flatMap(({ instanceId, staged, unreported }) => {
    const row = instances.find(instanceId)
    if (row === undefined || holding.some((each) => each.instanceId === instanceId)) return []
    const late = unreported && instanceId !== selfId && row.silentMs > SILENT_MS_MAX
    return [{ status: instanceStatus(row), staged, late }]
  })
  const late = owing.filter((each) => each.late)
  const dead = late.filter(({ status }) => !status.live)
  const found = [...holding, ...dead.map(({ status }) => blocker(status, 'NOT_LIVE'))]
  if (found.length > 0) return found
  const waiting = owing.filter(({ staged }) => staged > 0)
  if (waiting.length > 0)
    return waiting.map(({ status, staged }) => blocker({ ...status, bufferedMessages: staged }, 'BUFFER_NOT_EMPTY'))
  return late.map(({ status }) => blocker(status, 'NOT_LIVE'))
}

function blocker(instance: InstanceStatus, reason: Blocker['reason']): Blocker {
  const { id: instanceId, hostname, bufferedMessages, lastSeenAt } = instance
  return { instanceId, hostname, reason, bufferedMessages, lastSeenAt }
}
