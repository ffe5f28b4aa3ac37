/**
 * Which claims can be made without reading: this instance believes to know where the group stands, and has the messages
 * from there on in memory. What is believed is only a guess that the claim statement checks (store/claim-known.ts);
 * here it is decided what is worth a try.
 *
 * Never for queues with delayedProcessing or windowBuffer (what is due is judged by times in the database), for leases
 * that span partitions, or when less than what was asked for would be delivered although more is stored.
 */
import type { Claimed, KnownClaim, KnownOutcome } from '../../ports/consume-store.ts'
import { partitionLeaseId } from '../format/lease-id.ts'
import type { DecodedSegment } from '../types.ts'
import type { ClaimRound } from './claim-batch.ts'
import type { GroupFeed } from './group-feed.ts'
import type { PartitionState } from './ready-list.ts'
import type { SegmentCache } from './segment-cache.ts'

export interface KnownRun {
  readonly leasedTo: number
  /** Less than was asked for, because no more is known to be stored. */
  readonly short: boolean
  /** What holds [position, leasedTo). */
  readonly run: readonly DecodedSegment[]
}

export interface KnownRound extends KnownRun {
  readonly round: ClaimRound
}

// As for claims that read: an answer may exceed it by one segment.
const CLAIM_BYTES_MAX = 1024 * 1024

/** The claim that needs no reading, or null when the round has to take the full one. */
export function knownRound(cache: SegmentCache, round: ClaimRound): KnownRound | null {
  const { wait, claims } = round
  if (claims.length !== 1 || wait.shared) return null
  const { feed, state } = claims[0]!
  if (!state.settled || state.position < 0 || state.entry === null) return null
  const known = knownRun(cache, feed, state, wait.remaining)
  return known === null ? null : { round, ...known }
}

/** What a claim of `want` messages at `state.position` would hold, if all of it is in memory; else null. */
export function knownRun(cache: SegmentCache, feed: GroupFeed, state: PartitionState, want: number): KnownRun | null {
  if (feed.queue === null) return null
  const { delayedProcessing, windowBuffer } = feed.queue.options
  if (delayedProcessing > 0 || windowBuffer > 0) return null
  const run = cache.run(state.id, state.position, want)
  const last = run[run.length - 1]
  if (last === undefined) return null
  const wanted = state.position + want
  const short = last.lastOffset + 1 < wanted
  if (short && last.lastOffset + 1 !== state.nextOffset) return null
  let bytes = 0
  let count = 0
  while (count < run.length && bytes < CLAIM_BYTES_MAX) bytes += run[count++]!.frames.length
  if (count === run.length) return { run, short, leasedTo: Math.min(wanted, last.lastOffset + 1) }
  run.length = count
  return { run, short: false, leasedTo: run[count - 1]!.lastOffset + 1 }
}

export function knownClaim({ round, leasedTo, short }: KnownRound): KnownClaim {
  const { wait } = round
  const { feed, state } = round.claims[0]!
  return {
    partitionId: state.id,
    group: feed.group,
    position: state.position,
    leasedTo,
    short,
    leaseId: wait.request.autoAck ? null : wait.leaseIdFor(() => partitionLeaseId(state.id)),
    leaseMs: feed.queue!.options.leaseTime * 1000,
  }
}

/** The same outcome a full claim would have had. */
export function claimedAsKnown(
  claim: Pick<KnownClaim, 'position' | 'leasedTo'>,
  { nextOffset, untilMs }: KnownOutcome,
): Claimed {
  return {
    state: 'claimed',
    position: claim.position,
    leasedTo: claim.leasedTo,
    leased: null,
    nextOffset,
    untilMs,
    failures: null,
    segments: [],
  }
}
