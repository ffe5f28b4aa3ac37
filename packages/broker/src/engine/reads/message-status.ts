/** What a message is for a group, and for all of them together. Pure. */
import { QUEUE_MODE_GROUP } from '@queen/protocol'
import type { CursorState, DeadMark } from '../../ports/message-store.ts'
import { hasOffset } from '../format/offset-set.ts'

export type MessageStatus = 'pending' | 'processing' | 'completed' | 'dead_letter'

export const MESSAGE_STATUSES: readonly MessageStatus[] = ['pending', 'processing', 'completed', 'dead_letter']

export interface GroupStatus {
  readonly group: string
  readonly status: MessageStatus
  readonly retryCount: number
  readonly leaseExpiresAt: string | null
  readonly errorMessage: string | null
}

/** Cursors and dead letters of some partitions, looked up by message. */
export class StatusBook {
  readonly #cursors: ReadonlyMap<string, readonly CursorState[]>
  readonly #dead = new Map<string, DeadMark[]>()
  readonly #starts: ReadonlyMap<string, number>

  /** `starts`: partition → where the group that is asked for will start, where it has not read yet and not at the oldest. */
  constructor(
    cursors: readonly CursorState[],
    dead: readonly DeadMark[],
    starts: ReadonlyMap<string, number> = new Map(),
  ) {
    this.#starts = starts
    this.#cursors = Map.groupBy(cursors, (cursor) => cursor.partitionId)
    for (const mark of dead) {
      const key = `${mark.partitionId} ${mark.offset}`
      const marks = this.#dead.get(key)
      if (marks === undefined) this.#dead.set(key, [mark])
      else marks.push(mark)
    }
  }

  /** One for each group that has a cursor on the partition or a dead letter of the message. */
  groups(partitionId: string, offset: number): GroupStatus[] {
    const dead = this.#dead.get(`${partitionId} ${offset}`) ?? []
    const cursors = this.#cursors.get(partitionId) ?? []
    const found = cursors.map((cursor) =>
      statusOf(
        cursor,
        offset,
        dead.find(({ group }) => group === cursor.group),
      ),
    )
    for (const mark of dead) {
      if (!cursors.some(({ group }) => group === mark.group)) found.push(deadStatus(mark))
    }
    return found.sort((a, b) => (a.group < b.group ? -1 : 1))
  }

  /** For the group that is asked for, when it has no position there. */
  unread(partitionId: string, offset: number): MessageStatus {
    return offset < (this.#starts.get(partitionId) ?? 0) ? 'completed' : 'pending'
  }
}

function statusOf(cursor: CursorState, offset: number, dead: DeadMark | undefined): GroupStatus {
  if (dead !== undefined) return deadStatus(dead)
  const { group } = cursor
  if (offset < cursor.committed || hasOffset(cursor.acked, offset)) {
    return { group, status: 'completed', retryCount: 0, leaseExpiresAt: null, errorMessage: null }
  }
  const held = cursor.live && hasOffset(cursor.leased, offset) && !hasOffset(cursor.released, offset)
  return {
    group,
    status: held ? 'processing' : 'pending',
    retryCount: cursor.failures?.get(offset) ?? 0,
    leaseExpiresAt: held ? cursor.leaseUntil : null,
    errorMessage: null,
  }
}

function deadStatus({ group, retryCount, errorMessage }: DeadMark): GroupStatus {
  return { group, status: 'dead_letter', retryCount, leaseExpiresAt: null, errorMessage }
}

/** The status shown when no group is asked for. */
export function overallStatus(groups: readonly GroupStatus[]): MessageStatus {
  if (groups.some(({ status }) => status === 'dead_letter')) return 'dead_letter'
  const queueMode = groups.find(({ group }) => group === QUEUE_MODE_GROUP)
  if (queueMode !== undefined) return queueMode.status
  if (groups.length > 0 && groups.every(({ status }) => status === 'completed')) return 'completed'
  return groups.some(({ status }) => status === 'processing') ? 'processing' : 'pending'
}

export interface DeliveryMode {
  readonly type: 'queue' | 'bus' | 'hybrid' | 'none'
  readonly hasQueueMode: boolean
  readonly busGroupsCount: number
}

export function deliveryMode(groups: Iterable<string>): DeliveryMode {
  const names = new Set(groups)
  const hasQueueMode = names.delete(QUEUE_MODE_GROUP)
  const type = hasQueueMode ? (names.size > 0 ? 'hybrid' : 'queue') : names.size > 0 ? 'bus' : 'none'
  return { type, hasQueueMode, busGroupsCount: names.size }
}
