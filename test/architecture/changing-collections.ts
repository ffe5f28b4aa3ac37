/**
 * Sets and Maps of the broker from which something is deleted, field by field. One whose members come and go with every
 * request, and hold something of it, costs far more than it seems (packages/broker/src/engine/arrivals.ts says why); nothing else
 * would show that but a benchmark. So whoever adds one has to say here why it is none of those.
 *
 * Text, not types: it sees fields that are made where they are declared, and what is deleted by the field's own name.
 */
import type { Sources } from './imports.ts'

/** Members stay for longer than a request: one a queue, a partition, a group, a token, a connection, a listener. */
const LASTING = [
  'engine/consume/feeds.ts #byName',
  'engine/consume/feeds.ts #byQueueId',
  'engine/consume/left-over.ts #watched',
  'engine/consume/pop-lookup.ts #queueless',
  'engine/consume/pop-lookup.ts #seenQueues',
  'engine/consume/pop-lookup.ts #selections',
  'engine/consume/ready-list.ts #states',
  'engine/consume/segment-cache.ts #shelves',
  'engine/drain/delayed-drain.ts #held',
  'engine/push/dedup-cache.ts #partitions',
  'engine/push/queue-depth.ts #depths',
  'engine/queues/catalog.ts #changeHandlers',
  'engine/queues/catalog.ts #goneHandlers',
  'engine/queues/catalog.ts #matches',
  'engine/queues/catalog.ts #missing',
  'engine/queues/catalog.ts #partitions',
  'engine/queues/catalog.ts #queues',
  'engine/reads/activity.ts #parked',
  'engine/reads/metrics-flush.ts #partitions',
  'http/auth/verified-tokens.ts #entries',
  'store/pool/queue.ts #busy',
]

/** Of few requests: the first of something, one that fails, is cut off, is in nobody's memory. */
const SELDOM = [
  'engine/consume/claim-batch.ts #parked',
  'engine/consume/claim-batch.ts #reading',
  'engine/consume/leases-ahead.ts #held',
  'engine/consume/leases-ahead.ts #returning',
  'engine/consume/lost-claims.ts #timers',
  'engine/consume/pop-claims.ts #returning',
  'engine/consume/pop-lookup.ts #looking',
  'engine/queues/catalog.ts #loading',
  'engine/queues/partition-creation.ts #running',
  'engine/queues/partition-creation.ts #waiting',
  'http/unread-answers.ts #unread',
  'http/wire/push-body.ts #badFields',
]

/** Come and go with requests, and hold nothing of them when they have gone: numbers, names, what was emptied before. */
const LIGHT = [
  'engine/consume/claim-batch.ts #underWay',
  'engine/consume/group-feed.ts partitionWaiters',
  'engine/consume/read-ahead.ts #reading',
  'engine/drain/delayed-drain.ts #awaiting',
  'engine/maintenance/acceptance.ts #running',
  'engine/push/push-lanes.ts #lanes',
  'engine/push/write-route.ts #awaiting',
  'engine/settle/lease-book.ts #cursors',
  'engine/settle/lease-book.ts #leases',
]

export const KNOWN: readonly string[] = [...LASTING, ...SELDOM, ...LIGHT]

const ROOMS = /^packages\/broker\/src\/((?:engine|http|store)\/.+)$/
const FIELD =
  /^(?: {2}(?:(?:private|protected|public|readonly|static) )*|(?:export )?const )(#?\w+)(?:: [^=\n]+)? = new (?:Set|Map)\b/gm

export function changingCollections(sources: Sources): string[] {
  const found: string[] = []
  for (const [path, source] of sources) {
    const file = ROOMS.exec(path)?.[1]
    if (file === undefined) continue
    for (const [, name] of source.matchAll(FIELD)) {
      if (new RegExp(`(?<![\\w#])${name}\\??\\.(?:delete|clear)\\(`).test(source)) found.push(`${file} ${name}`)
    }
  }
  return found.sort()
}
