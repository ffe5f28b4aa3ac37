/** What several statements want at once is locked in one order, whether SQL decides it or JavaScript, whatever the names. */
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ClaimCandidate, ConsumeStore } from '../../src/ports/consume-store.ts'
import { createConsumeStore } from '../../src/store/consume-store.ts'
import { compareNames } from '../../src/store/lock-order.ts'
import type { QueenDatabase } from '../../src/store/pool/pool.ts'
import { type ConsumeFixture, openFixture } from '../consume/fixture.ts'
import { openPatient, runInto, untilBlocked } from './lock-waits.ts'

// In the order of their bytes; by the units of UTF-16 the second would come first.
const [FIRST, SECOND] = ['\uff5e', '\u{1f600}'] as const

let fixture: ConsumeFixture
let patient: QueenDatabase
let store: ConsumeStore
let holder: pg.Client

beforeAll(async () => {
  fixture = await openFixture()
  patient = openPatient(fixture.url)
  store = createConsumeStore(patient)
  holder = new pg.Client({ connectionString: fixture.url })
  await holder.connect()
})
afterAll(async () => {
  await holder.end()
  await patient.close()
  await fixture[Symbol.asyncDispose]()
})

it('names are in the order of COLLATE "C"', async () => {
  const pieces = [
    '',
    'a',
    'B',
    'z',
    '\u00e4',
    '\u0800',
    '\ud7ff',
    '\ue000',
    FIRST,
    '\uffff',
    '\u{10000}',
    SECOND,
    '\u{10ffff}',
  ]
  const names = pieces.flatMap((one) => pieces.map((other) => one + other))
  const sorted = await fixture.sql<{ name: string }>(
    'SELECT DISTINCT u.name COLLATE "C" AS name FROM unnest($1::text[]) AS u (name) ORDER BY 1',
    [names],
  )
  expect([...new Set(names)].sort(compareNames)).toEqual(sorted.map(({ name }) => name))
})

/** A lease of each group on the one message of a partition, last group first. */
async function leased(queue: string): Promise<{ partitionId: string; leases: ClaimCandidate[] }> {
  const partitionId = await fixture.createPartition(await fixture.createQueue(queue), 'p')
  await fixture.append(partitionId, ['m'])
  const leases = [SECOND, FIRST].map(
    (group, request): ClaimCandidate => ({
      ...{ partitionId, group, request, want: 1, leaseId: `${queue}-${request}`, shared: false },
      ...{ leaseMs: 60_000, delayMs: 0, windowMs: 0, cachedFrom: 0, cachedTo: 0, start: { mode: 'all', at: null } },
    }),
  )
  const claimed = await fixture.store.popMessages(leases, 1 << 20)
  expect(claimed).toMatchObject([{ state: 'claimed' }, { state: 'claimed' }])
  return { partitionId, leases }
}

const meet = (partitionId: string, statement: () => Promise<unknown>) =>
  runInto(
    { database: fixture.database, holder },
    ['cursors', partitionId, FIRST],
    [['cursors', partitionId, SECOND]],
    statement,
  )

it('acks of several groups lock their cursors in the order of the functions', async () => {
  const { partitionId, leases } = await leased('acks')
  const acks = leases.map(({ group, leaseId }) => ({
    ...{ partitionId, group, leaseId, completed: [0, 1], failed: [], retry: [], dead: [] },
    ...{ retryLimit: 0, retryDelayMs: 0, deadLetters: [] },
  }))
  await meet(partitionId, async () => {
    expect(await store.ackMessages(acks)).toMatchObject([{ ended: true }, { ended: true }])
  })
})

it('leases of several groups end in the order of the functions', async () => {
  const { partitionId, leases } = await leased('finishes')
  const finishes = leases.map(({ group, leaseId }) => ({
    ...{ partitionId, group, leaseId: leaseId!, position: 0, leasedTo: 1, next: null },
  }))
  await meet(partitionId, async () => {
    expect(await store.finishLeases(finishes)).toEqual([{ next: null }, { next: null }])
  })
})

it('first pops of several queues record where the group starts in one order, whatever the order of the queues', async () => {
  const insert = "INSERT INTO queen.consumer_groups (queue_name, group_name, mode) VALUES ($1, 'g', 'new')"
  await holder.query('BEGIN')
  await holder.query(insert, [FIRST])
  const starts = store.recordSubscriptions([SECOND, FIRST], 'g', { mode: 'all' }, 0)
  await untilBlocked(fixture.database, starts)
  await holder.query(insert, [SECOND])
  await holder.query('COMMIT')
  expect([...(await starts)].map(([queue, { mode }]) => [queue, mode]).sort()).toEqual([
    [SECOND, 'new'],
    [FIRST, 'new'],
  ])
})
