/**
 * How the memory of keys comes to know what PostgreSQL has: segments an answer told of, and pages read on purpose.
 *
 * Invariant: what is learnt begins where the knowledge ends, or lies behind a stretch that PostgreSQL has just said holds
 * nothing inside the window. Nothing else may move the end of the knowledge.
 */
import type { PushStore, WriteOutcome } from '../../ports/push-store.ts'
import { KEY_BYTES } from '../format/transaction-key.ts'
import type { DedupCache, PartitionKeys } from './dedup-cache.ts'

// 4 MiB an answer: few round trips for a large window, and nothing the statement limit would notice.
const KEYS_PER_PAGE = 262_144

/** Adds a stored segment to the memory of keys; what lies between was outside the window when PostgreSQL looked. */
export function learn(known: PartitionKeys, firstOffset: number, keys: Uint8Array): void {
  known.skipTo(firstOffset)
  known.add(firstOffset, keys)
}

/**
 * Learns what a write's answer tells of its partition: what others had stored before it, then, once it is stored, its own
 * `keys`. In this order: behind its own, the others' would count as known without being so. `known` null = no memory.
 */
export function learnOutcome(
  known: PartitionKeys | null,
  outcome: Extract<WriteOutcome, { status: 'stored' | 'unsure' }>,
  keys: Uint8Array,
): void {
  if (known === null) return
  for (const gap of outcome.gap) learn(known, gap.firstOffset, gap.keys)
  if (outcome.status === 'stored') learn(known, outcome.firstOffset, keys)
}

/** Reads the keys of the window's segments until the knowledge reaches `upTo`. @throws StoreError */
export async function learnUpTo(
  parts: { readonly store: Pick<PushStore, 'readKeys'>; readonly dedup: DedupCache },
  partitionId: string,
  known: PartitionKeys,
  upTo: number,
  windowSeconds: number,
): Promise<void> {
  if (upTo < known.to) {
    // The database has less than is known here: it was restored, and other messages may take those offsets.
    known.reset()
    return
  }
  let from = known.to
  while (from < upTo) {
    const pages = await parts.store.readKeys(partitionId, from, windowSeconds, KEYS_PER_PAGE)
    if (pages.length === 0) break
    for (const page of pages) {
      learn(known, page.firstOffset, page.keys)
      from = page.firstOffset + page.keys.length / KEY_BYTES
    }
    parts.dedup.trim()
  }
  known.skipTo(upTo)
}
