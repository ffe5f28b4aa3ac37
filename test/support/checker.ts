/**
 * Counts what is there against what was promised. Reads everything through a consumer group of its own, as a consumer
 * would, and beside that asks the tables.
 */
import type { Delivered } from './api.ts'
import type { Instance } from './instance.ts'
import type { Numbered, Recorder } from './recorder.ts'
import type { Tables } from './tables.ts'

export interface Verdict {
  /** Acknowledged and not delivered (G2). */
  readonly lost: string[]
  /** Delivered more than once to a group that read with autoAck (G3). */
  readonly twice: string[]
  /** Delivered after a later message of the same producer and partition (G4). */
  readonly unordered: string[]
  /** Delivered and never sent. */
  readonly invented: string[]
}

export const ALL_IS_WELL: Verdict = { lost: [], twice: [], unordered: [], invented: [] }

/** More than this of one kind is one finding, not a thousand. */
const SHOWN_MAX = 5

/** Everything a new group is delivered, in the order of delivery. */
export async function readBack(instance: Pick<Instance, 'api'>, queue: string): Promise<Delivered[]> {
  const group = `check-${crypto.randomUUID()}`
  const all: Delivered[] = []
  for (;;) {
    const query = { batch: 10_000, partitions: 1000, autoAck: true, consumerGroup: group, subscriptionMode: 'all' }
    const answer = await instance.api.pop(queue, query)
    if (answer.status === 200) {
      all.push(...(answer.body.messages as Delivered[]))
      continue
    }
    const reason = answer.headers.get('queen-empty-reason')
    if (answer.status !== 204 || reason === 'database_unavailable') {
      throw new Error(`reading back was answered ${answer.status} (${reason}) ${JSON.stringify(answer.body)}`)
    }
    return all
  }
}

export function judge(recorder: Recorder, delivered: readonly Delivered[]): Verdict {
  const seen = new Set<string>()
  const twice: string[] = []
  const unordered: string[] = []
  const invented: string[] = []
  const last = new Map<string, number>()
  for (const { data, partition, transactionId } of delivered) {
    const { producer, sequence } = data as Numbered
    if (seen.has(transactionId)) twice.push(transactionId)
    seen.add(transactionId)
    if (!recorder.wasAttempted(transactionId)) invented.push(transactionId)
    const place = `${partition} ${producer}`
    const before = last.get(place) ?? -1
    if (sequence <= before) unordered.push(`${transactionId} after ${before}`)
    else last.set(place, sequence)
  }
  const lost = [...recorder.acknowledged.keys()].filter((transactionId) => !seen.has(transactionId))
  const some = (list: string[]): string[] =>
    list.length > SHOWN_MAX ? [...list.slice(0, SHOWN_MAX), `… ${list.length} in all`] : list
  return { lost: some(lost), twice: some(twice), unordered: some(unordered), invented: some(invented) }
}

/** Reads back and judges; also holds the tables' count against what was delivered. */
export async function verdict(
  recorder: Recorder,
  instance: Pick<Instance, 'api'>,
  queue: string,
  tables: Tables,
): Promise<Verdict> {
  const delivered = await readBack(instance, queue)
  const stored = await tables.messagesIn(queue)
  if (stored !== delivered.length) throw new Error(`${stored} messages are stored, ${delivered.length} were delivered`)
  return judge(recorder, delivered)
}
