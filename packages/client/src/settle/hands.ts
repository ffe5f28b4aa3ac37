/**
 * The messages that consumers of this client have in hand, so that a message which the handler settled itself is not
 * settled again.
 *
 * An entry is one pop's batch and lives from the pop to the end of the batch, so the table is bounded by what is in
 * hand. A message is found by its lease, or, when an ack names no lease, by its group; inside the batch by an index
 * that is only built when somebody asks. An ack that is still under way counts: who asks waits for its verdict.
 */
import type { Message } from '../types/message.ts'

export interface Grip {
  /**
   * Whether the message at this place was settled, once every ack of it has been answered; `false` at once when there
   * was none.
   */
  settled(place: number): Promise<boolean> | false
  /** An ack of the message at this place began; `verdict` says whether it was accepted. */
  settling(place: number, verdict: Promise<boolean>): void
  release(): void
}

export interface SettleTarget {
  readonly partitionId: string
  readonly transactionId: string
  readonly leaseId: string | null
  readonly consumerGroup: string
}

export interface Hands {
  hold(messages: readonly Message[]): Grip
  /** Tells of an ack that began; `verdict` says whether it was accepted. */
  settling(target: SettleTarget, verdict: Promise<boolean>): void
}

interface Held {
  readonly grip: Grip
  /** The place of a message in the batch. */
  placeOf(message: MessageKey): number | undefined
}

type MessageKey = Pick<SettleTarget, 'partitionId' | 'transactionId'>

export function createHands(): Hands {
  /** By lease and by group; the last of a set is the one that was popped last. */
  const held = new Map<string, Set<Held>>()
  return {
    hold(messages) {
      const verdicts = new Map<number, Promise<boolean>>()
      let places: Map<string, number> | null = null
      const keys = keysOf(messages)
      const grip: Grip = {
        settled: (place) => verdicts.get(place) ?? false,
        settling(place, verdict) {
          const before = verdicts.get(place) ?? Promise.resolve(false)
          verdicts.set(
            place,
            verdict.then(
              async (accepted) => accepted || (await before),
              () => before,
            ),
          )
        },
        release() {
          for (const key of keys) {
            const set = held.get(key)
            set?.delete(entry)
            if (set?.size === 0) held.delete(key)
          }
        },
      }
      const entry: Held = {
        grip,
        placeOf(message) {
          places ??= new Map(messages.map((one, place) => [nameOf(one), place]))
          return places.get(nameOf(message))
        },
      }
      for (const key of keys) {
        const set = held.get(key)
        if (set === undefined) held.set(key, new Set([entry]))
        else set.add(entry)
      }
      return grip
    },
    settling(target, verdict) {
      const set = held.get(target.leaseId ? byLease(target.leaseId) : byGroup(target.consumerGroup))
      let found: { grip: Grip; place: number } | undefined
      for (const { grip, placeOf } of set ?? []) {
        const place = placeOf(target)
        if (place !== undefined) found = { grip, place }
      }
      found?.grip.settling(found.place, verdict)
    },
  }
}

/** Messages of one pop share a lease and a group, so this is two keys. */
function keysOf(messages: readonly Message[]): Set<string> {
  const keys = new Set<string>()
  let lease: string | null = null
  let group: string | null = null
  for (const { leaseId, consumerGroup } of messages) {
    if (leaseId && leaseId !== lease) keys.add(byLease(leaseId))
    if (consumerGroup !== group) keys.add(byGroup(consumerGroup))
    lease = leaseId
    group = consumerGroup
  }
  return keys
}

// No name can contain a line feed, so joined keys cannot be confused.
const nameOf = (message: MessageKey) => `${message.partitionId}\n${message.transactionId}`
const byLease = (leaseId: string) => `L\n${leaseId}`
const byGroup = (group: string) => `G\n${group}`
