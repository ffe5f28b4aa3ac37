/** The consume store on PostgreSQL: each verb lives in a file of its own; this one only says which pool it runs on. */
import type { ConsumeStore } from '../ports/consume-store.ts'
import { ackMessages } from './ack.ts'
import { readAckCursors, readGone, readSegmentKeys } from './ack-reads.ts'
import { claimKnown } from './claim-known.ts'
import { finishLeases } from './finish-leases.ts'
import { creditLeases, extendLease, holdLeases, probeCursors, releaseClaim } from './lease.ts'
import { popMessages } from './pop.ts'
import { readAhead } from './read-ahead.ts'
import { reconcilePartitions, recordSubscriptions, skipHole } from './reconcile.ts'
import { readSegment } from './segments.ts'
import type { Database } from './sql.ts'

export function createConsumeStore(database: Database): ConsumeStore {
  const { hot, admin } = database
  return {
    popMessages: (candidates, bytesMax) => popMessages(hot, candidates, bytesMax),
    claimKnown: (claims) => claimKnown(hot, claims),
    readAhead: (reads, bytesMax, segmentsMax) => readAhead(hot, reads, bytesMax, segmentsMax),
    finishLeases: (finishes) => finishLeases(hot, finishes),
    ackMessages: (entries) => ackMessages(hot, entries),
    extendLease: (leaseId, seconds) => extendLease(hot, leaseId, seconds),
    releaseClaim: (partitionIds, group, leaseId) => releaseClaim(hot, partitionIds, group, leaseId),
    creditLeases: (outageMs, endedMsAgo = 0) => creditLeases(admin, outageMs, endedMsAgo),
    probeCursors: () => probeCursors(admin),
    reconcilePartitions: (query) => reconcilePartitions(hot, query),
    skipHole: (partitionId, group) => skipHole(hot, partitionId, group),
    recordSubscriptions: (queueNames, group, subscription, agoMs) =>
      recordSubscriptions(hot, queueNames, group, subscription, agoMs),
    readAckCursors: (query) => readAckCursors(hot, query),
    readSegmentKeys: (partitionId, from, below, limit) => readSegmentKeys(hot, partitionId, from, below, limit),
    readGone: (offsets) => readGone(hot, offsets),
    readSegment: (partitionId, offset) => readSegment(hot, partitionId, offset),
    transaction: (work) =>
      database.transaction('hot', (sql) =>
        work({
          session: sql,
          ackMessages: (entries) => ackMessages(sql, entries),
          holdLeases: (leaseIds, entries) => holdLeases(sql, leaseIds, entries),
        }),
      ),
  }
}
