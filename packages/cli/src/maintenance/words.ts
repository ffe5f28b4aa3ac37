/** What a maintenance state means, in sentences. Pure. */
import type { MaintenanceBlocker, MaintenanceInstance, MaintenanceStatus } from '@queen/client'
import { age, quantity, sinceMs, UNKNOWN } from '../output/values.ts'

export type Tone = 'good' | 'wait' | 'bad'

/** PostgreSQL is away and nobody opened a window: the phase stays `normal`, but pushes go to the buffers. */
function isOutage({ phase, maintenanceMode, stale, bufferStats }: MaintenanceStatus): boolean {
  return phase === 'normal' && !maintenanceMode && (stale || bufferStats.dbHealthy === false)
}

export function headline(status: MaintenanceStatus): { readonly text: string; readonly tone: Tone } {
  if (status.maintenanceMode && status.safeToMigrate) return { text: 'ON, safe to migrate', tone: 'good' }
  if (status.maintenanceMode) return { text: 'ON, not safe to migrate yet', tone: 'wait' }
  if (status.phase === 'draining') return { text: 'OFF, draining', tone: 'wait' }
  if (isOutage(status)) return { text: 'OFF, PostgreSQL is not reachable', tone: 'bad' }
  if (status.phase === 'normal') return { text: 'OFF, normal', tone: 'good' }
  return { text: `OFF, ${status.phase}`, tone: 'wait' }
}

export function meaning(status: MaintenanceStatus): string {
  if (status.maintenanceMode && status.safeToMigrate) {
    return 'All pushes go to the disk buffers; nothing writes messages into the database.'
  }
  if (status.maintenanceMode) return 'Pushes go to the disk buffers; writes that began before are still ending.'
  if (status.phase === 'draining') return 'What was buffered is being stored in order; new pushes queue behind it.'
  if (isOutage(status)) return 'Pushes go to the disk buffers and are stored by themselves when PostgreSQL is back.'
  const left = status.bufferedMessages
  if (typeof left === 'number' && left > 0)
    return `Pushes go to the database; ${quantity(left, 'message')} still in buffers.`
  return 'Pushes go to the database.'
}

/** One for each thing that holds up the next phase. */
export function blockerTexts(status: MaintenanceStatus, nowMs: number): string[] {
  return status.blockers.map(
    (blocker) => `waiting for ${blocker.hostname || blocker.instanceId}: ${why(blocker, nowMs)}`,
  )
}

function why(blocker: MaintenanceBlocker, nowMs: number): string {
  const { reason, bufferedMessages, lastSeenAt } = blocker
  const records = bufferedMessages === null ? '' : `, ${quantity(bufferedMessages, 'message')} buffered`
  switch (reason) {
    case 'IN_FLIGHT_WRITES':
      return 'writes that began before are still running'
    case 'NOT_LIVE':
      return `no heartbeat for ${age(sinceMs(lastSeenAt, nowMs))}${records}`
    case 'BUFFER_NOT_EMPTY':
      return `its buffer holds ${quantity(bufferedMessages, 'message')}`
    case 'DATABASE_UNAVAILABLE':
      return 'it cannot reach the database'
    default:
      return `${reason}${records}`
  }
}

/** Instances that are gone and took records with them. */
export function deadWithRecords(status: MaintenanceStatus): MaintenanceInstance[] {
  return status.instances.filter((instance) => !instance.live && instance.bufferedMessages !== 0)
}

export function deadText(instance: MaintenanceInstance, nowMs: number): string {
  const held = instance.bufferedMessages
  const seen = age(sinceMs(instance.lastSeenAt, nowMs))
  return `${instance.hostname || instance.id} is not alive (last seen ${seen} ago) and holds ${quantity(held, 'message')}; ${held === 1 ? 'it is' : 'they are'} stored when it is back.`
}

/** The disk that fills first decides. */
export function timeToFullSeconds(status: MaintenanceStatus): number | null {
  const known = status.instances
    .filter((instance) => instance.live)
    .map((instance) => instance.timeToFullSeconds)
    .filter((seconds) => typeof seconds === 'number')
  return known.length === 0 ? null : Math.min(...known)
}

const DAY_SECONDS = 86_400

export function fullIn(seconds: number | null | undefined): string {
  if (typeof seconds !== 'number') return UNKNOWN
  return seconds >= DAY_SECONDS ? '> 1d' : age(seconds * 1_000)
}

export function clockTime(time: string | null): string {
  if (time === null || Number.isNaN(Date.parse(time))) return UNKNOWN
  const at = new Date(time)
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}

/** Who, why and since when, as far as it is known. */
export function origin(status: MaintenanceStatus, nowMs: number): string {
  const since =
    status.since === null
      ? 'since an unknown time'
      : `since ${clockTime(status.since)} (${age(sinceMs(status.since, nowMs))})`
  const by = status.by === null ? '' : `, by ${status.by}`
  const reason = status.reason === null ? '' : `, reason "${status.reason}"`
  return since + by + reason
}

/** What a drain that is over could not store. */
export function leftoverTexts(status: MaintenanceStatus, nowMs: number): string[] {
  const quarantined = status.quarantinedMessages ?? 0
  const inQuarantine = `${quantity(quarantined, 'record')} could not be stored. See: queenctl buffer quarantine list`
  const dead = status.phase === 'normal' ? deadWithRecords(status) : []
  return [...(quarantined > 0 ? [inQuarantine] : []), ...dead.map((instance) => deadText(instance, nowMs))]
}
