/**
 * Keeps this instance's view of the cluster fresh: the switches at least every 5 s and at once on NOTIFY, the
 * configuration's changes, and hints about messages that other instances stored. Correct without NOTIFY, only later.
 */
import { MISSED, type Notifications } from '../ports/notifications.ts'
import { Periodic } from './periodic.ts'
import type { Service } from './service.ts'

export interface FollowParts {
  readonly listener: Notifications
  readonly control: { refresh(): Promise<void> }
  readonly maintenance: { completeFence(waitMs: number): Promise<void> }
  readonly consumer: {
    onHint(queueId: string, partitionIds: readonly string[]): void
    groupMoved(group: string, queueName: string | null): void
    /** Hints were lost. */
    lookAgain(): void
  }
  readonly pauseMs: number
  readonly onError: (error: unknown) => void
}

// A window whose opening instance died before the fence was recorded is made safe by whoever notices.
const FENCE_WAIT_MS = 1_000

export function followState(parts: FollowParts): Service {
  const { consumer, control, listener, maintenance } = parts
  const refresh = new Periodic({
    name: 'state',
    pauseMs: parts.pauseMs,
    work: async () => {
      await control.refresh()
      await maintenance.completeFence(FENCE_WAIT_MS)
    },
    onError: parts.onError,
  })
  const unsubscribe: (() => void)[] = []
  return {
    name: 'state',
    start() {
      refresh.start()
      if (unsubscribe.length > 0) return
      unsubscribe.push(
        listener.on('queen_state', () => refresh.nudge()),
        listener.on('queen_config', () => refresh.nudge()),
        listener.on('queen_stored', (payload, own) => {
          const space = payload.indexOf(' ')
          if (!own && payload === MISSED) consumer.lookAgain()
          if (!own && space > 0) consumer.onHint(payload.slice(0, space), [payload.slice(space + 1)])
        }),
        listener.on('queen_groups', (payload, own) => {
          const moved = own ? null : parseGroup(payload)
          if (moved !== null) consumer.groupMoved(moved.group, moved.queue)
        }),
        listener.onConnected(() => {
          refresh.nudge()
          consumer.lookAgain()
        }),
      )
    },
    async stop() {
      for (const each of unsubscribe.splice(0)) each()
      await refresh.stop()
    },
  }
}

/** `["<group>", "<queue>" or null]`; anybody may notify, so anything may come. */
function parseGroup(payload: string): { group: string; queue: string | null } | null {
  try {
    const [group, queue] = JSON.parse(payload) as unknown[]
    if (typeof group === 'string' && (queue === null || typeof queue === 'string')) return { group, queue }
  } catch {
    // Not ours.
  }
  return null
}
