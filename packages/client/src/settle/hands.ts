/**
 * The messages that consumers of this client have in hand, so that a message which the handler settled itself is not
 * settled again.
 *
 * An entry lives from the pop to the end of the batch, so the table is bounded by what is in hand. A message is found
 * by its lease, or, when an ack names no lease, by its group. An ack that is still under way counts: who asks waits
 * for its verdict.
 */
import type { Message } from '../types/message.ts'

export interface Grip {
  /** Whether the message was settled, once every ack of it has been answered. */
  settled(): Promise<boolean>
  release(): void
}

export interface SettleTarget {
  readonly partitionId: string
  readonly transactionId: string
  readonly leaseId: string | null
  readonly consumerGroup: string
}

export interface Hands {
  hold(message: Message): Grip
  /** Tells of an ack that began; `verdict` says whether it was accepted. */
  settling(target: SettleTarget, verdict: Promise<boolean>): void
}

interface Entry {
  verdict: Promise<boolean>
}

export function createHands(): Hands {
  const entries = new Map<string, Entry>()
  return {
    hold(message) {
      const entry: Entry = { verdict: Promise.resolve(false) }
      const keys = [byGroup(message)]
      if (message.leaseId) keys.push(byLease(message, message.leaseId))
      for (const key of keys) entries.set(key, entry)
      return {
        settled: () => entry.verdict,
        release() {
          for (const key of keys) if (entries.get(key) === entry) entries.delete(key)
        },
      }
    },
    settling(target, verdict) {
      const entry = entries.get(target.leaseId ? byLease(target, target.leaseId) : byGroup(target))
      if (entry === undefined) return
      const before = entry.verdict
      entry.verdict = verdict.then(
        async (accepted) => accepted || (await before),
        () => before,
      )
    },
  }
}

type MessageKey = Pick<SettleTarget, 'partitionId' | 'transactionId'>

// No name can contain a line feed, so joined keys cannot be confused.
const byLease = (key: MessageKey, leaseId: string) => `L\n${leaseId}\n${key.partitionId}\n${key.transactionId}`
const byGroup = (key: MessageKey & { consumerGroup: string }) =>
  `G\n${key.consumerGroup}\n${key.partitionId}\n${key.transactionId}`
