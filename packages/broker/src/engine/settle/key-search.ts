/**
 * transactionId → offset, in one partition, from the keys that its segments carry: the leased message if there is one,
 * else the latest. Where a lease holds several of one id, those that ask for it get one each.
 *
 * However many ids are wanted and for however many leases, a stretch of the partition is read once: first what the
 * leases hold, then, for what is still missing, the whole, latest first.
 */
import type { ConsumeStore } from '../../ports/consume-store.ts'
import { hasOffset, type OffsetSet } from '../format/offset-set.ts'
import { KEY_BYTES, writeTransactionKey } from '../format/transaction-key.ts'

/** One id that is looked for. */
export interface WantedOffset {
  readonly transactionId: string
  /** What the lease was given; empty = there is none. */
  readonly leased: OffsetSet
  /** -1 = not found. */
  offset: number
}

// Segments per read; each brings 16 bytes a message.
const PAGE_SEGMENTS = 500
// Keys looked through for ids that are in no lease: four million messages, then they count as not found. Only wrong or
// very late acks come here.
const SEARCH_BYTES_MAX = 64 * 1024 * 1024

/** Fills in the offsets. `checkTime` is asked before every read. @throws StoreError, and what `checkTime` throws */
export async function findOffsets(
  store: Pick<ConsumeStore, 'readSegmentKeys'>,
  partitionId: string,
  wanted: readonly WantedOffset[],
  checkTime: () => void,
): Promise<void> {
  const key = Buffer.alloc(KEY_BYTES)
  const missing = new Map<string, WantedOffset[]>()
  const leased = new Map<string, LeasedKey[]>()
  for (const each of wanted) {
    writeTransactionKey(each.transactionId, key, 0)
    const text = key.latin1Slice()
    add(missing, text, each)
    if (each.leased.length > 0) addLeased(leased, text, each)
  }
  const ofLeases = [...leased.values()].flat()

  /** Latest first; `found` says whether the key is done with. */
  const search = async <Asked>(
    keys: Map<string, Asked>,
    from: number,
    to: number,
    bytesMax: number,
    found: (asked: Asked, offset: number) => boolean,
  ): Promise<void> => {
    let below = to
    let bytes = 0
    while (keys.size > 0 && bytes < bytesMax) {
      checkTime()
      const segments = await store.readSegmentKeys(partitionId, from, below, PAGE_SEGMENTS)
      for (const segment of segments) {
        bytes += segment.keys.length
        below = segment.firstOffset
        const text = segment.keys.latin1Slice()
        for (let at = segment.keys.length / KEY_BYTES - 1; at >= 0 && keys.size > 0; at--) {
          const each = text.slice(at * KEY_BYTES, (at + 1) * KEY_BYTES)
          const asked = keys.get(each)
          if (asked !== undefined && found(asked, segment.firstOffset + at)) keys.delete(each)
        }
      }
      if (segments.length < PAGE_SEGMENTS) return
    }
  }

  for (const [from, to] of stretches(wanted)) {
    await search(leased, from, to, Number.POSITIVE_INFINITY, (asked, offset) => {
      let open = false
      for (const each of asked) {
        if (each.offsets.length < each.wanted.length && hasOffset(each.leased, offset)) each.offsets.push(offset)
        if (each.offsets.length < each.wanted.length) open = true
      }
      return !open
    })
  }
  for (const { wanted, offsets } of ofLeases) {
    // In their order; what is asked more often than it is there is asked again.
    wanted.forEach((each, index) => {
      each.offset = offsets[Math.max(0, offsets.length - 1 - index)] ?? -1
    })
  }
  for (const [text, asked] of missing) if (asked.every(({ offset }) => offset >= 0)) missing.delete(text)
  await search(missing, 0, Number.MAX_SAFE_INTEGER, SEARCH_BYTES_MAX, (asked, offset) => {
    for (const each of asked) if (each.offset < 0) each.offset = offset
    return true
  })
}

/** One id in one lease, which may hold several messages of it. */
interface LeasedKey {
  readonly leased: OffsetSet
  /** In the order of the request. */
  readonly wanted: WantedOffset[]
  /** Latest first, no more than are wanted. */
  readonly offsets: number[]
}

function addLeased(keys: Map<string, LeasedKey[]>, key: string, wanted: WantedOffset): void {
  const { leased } = wanted
  const list = keys.get(key)
  const same = list?.find((each) => each.leased === leased)
  if (same !== undefined) same.wanted.push(wanted)
  else if (list !== undefined) list.push({ leased, wanted: [wanted], offsets: [] })
  else keys.set(key, [{ leased, wanted: [wanted], offsets: [] }])
}

function add(keys: Map<string, WantedOffset[]>, key: string, wanted: WantedOffset): void {
  const list = keys.get(key)
  if (list === undefined) keys.set(key, [wanted])
  else list.push(wanted)
}

/** [from, to) of what the leases hold, latest first; those that overlap are one. */
function stretches(wanted: readonly WantedOffset[]): [number, number][] {
  const hulls = new Map<OffsetSet, [number, number]>()
  for (const { leased } of wanted) if (leased.length > 0) hulls.set(leased, [leased[0]!, leased[leased.length - 1]!])
  const merged: [number, number][] = []
  for (const [from, to] of [...hulls.values()].sort((a, b) => b[1] - a[1])) {
    const later = merged[merged.length - 1]
    if (later !== undefined && to >= later[0]) later[0] = Math.min(later[0], from)
    else merged.push([from, to])
  }
  return merged
}
