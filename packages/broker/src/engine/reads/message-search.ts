/**
 * Finds a message by its transactionId: there is no index on it, so the keys of the segments are looked through, 16 bytes
 * a message. Within a partition that is done latest first; over all partitions, in the order of the disk, it is the
 * slowest thing Queen can be asked, and says so when it takes too long.
 */
import { isUuid } from '@queen/protocol'
import type { MessageStore, PartitionPlace } from '../../ports/message-store.ts'
import { hasOffset } from '../format/offset-set.ts'
import { KEY_BYTES, writeTransactionKey } from '../format/transaction-key.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'

export interface FoundMessage {
  readonly place: PartitionPlace
  readonly offset: number
}

// New messages are asked for most; what is older is read in larger steps.
const STEP_SEGMENTS_MIN = 64
const STEP_SEGMENTS_MAX = 16_384
// Below every answer's 10 s.
const DEADLINE_MS = 8_000
const MATCHES_MAX = 20
// Segments: an id may come again in every deduplication window.
const HITS_MAX = 1_000

export function keyOf(transactionId: string): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  writeTransactionKey(transactionId, key, 0)
  return key
}

/** The newest visible message of that id in the partition; null when there is none. */
export async function findMessage(
  store: MessageStore,
  partitionId: string,
  transactionId: string,
): Promise<FoundMessage | null> {
  if (!isUuid(partitionId.toLowerCase())) return null
  const [place] = await answering(() => store.readPlaces([partitionId.toLowerCase()]))
  if (place === undefined) return null
  const key = keyOf(transactionId)
  const deadlineMs = performance.now() + DEADLINE_MS
  let below = Number.MAX_SAFE_INTEGER
  for (let step = STEP_SEGMENTS_MIN; ; step = Math.min(STEP_SEGMENTS_MAX, step * 4)) {
    const { hits, searchedTo } = await answering(() => store.findKey(place.id, key, below, step))
    for (const { firstOffset, keys } of hits) {
      const offset = visibleOffset(place, firstOffset, keys, key)
      if (offset >= 0) return { place, offset }
    }
    if (searchedTo === null || searchedTo <= place.startOffset) return null
    below = searchedTo
    if (performance.now() > deadlineMs) throw tooLong()
  }
}

/** One message a partition that has it, at most 20. */
export async function findEverywhere(store: MessageStore, transactionId: string): Promise<FoundMessage[]> {
  const key = keyOf(transactionId)
  const deadlineMs = performance.now() + DEADLINE_MS
  // All of them: what was deleted or expired hides its messages, and which that is is known only of the partitions.
  const { hits, complete } = await answering(() =>
    store.findKeyAnywhere(key, (so) => so.length <= HITS_MAX && performance.now() < deadlineMs),
  )
  const found = new Map<string, FoundMessage>()
  const partitionIds = [...new Set(hits.map((hit) => hit.partitionId))]
  const places = new Map((await answering(() => store.readPlaces(partitionIds))).map((each) => [each.id, each]))
  for (const { partitionId, firstOffset, keys } of hits) {
    const place = places.get(partitionId)
    if (place === undefined) continue
    const offset = visibleOffset(place, firstOffset, keys, key)
    const known = found.get(partitionId)
    if (offset >= 0 && (known === undefined || known.offset < offset)) found.set(partitionId, { place, offset })
  }
  if (!complete && found.size <= MATCHES_MAX) throw tooLong()
  return [...found.values()].slice(0, MATCHES_MAX)
}

/** The last place of `key` among `keys` whose message can be seen, or -1. */
function visibleOffset(place: PartitionPlace, firstOffset: number, keys: Buffer, key: Buffer): number {
  for (let at = keys.lastIndexOf(key); at >= 0; at = at === 0 ? -1 : keys.lastIndexOf(key, at - 1)) {
    const offset = firstOffset + at / KEY_BYTES
    if (at % KEY_BYTES === 0 && offset >= place.startOffset && !hasOffset(place.deleted, offset)) return offset
  }
  return -1
}

function tooLong(): Refusal {
  return new Refusal(
    'OVERLOADED',
    'The search for this transactionId takes too long: name its partition (connection refused: ECONNREFUSED)',
  )
}
