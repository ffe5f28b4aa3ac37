/**
 * Random pushes, pops, acks, expiries, seeks, clearings, deletions and retention against an oracle that keeps one plain
 * list per partition and group. Two consumers with separate memories share the database, so whatever one believes
 * wrongly would show: the first claims and ends leases from memory wherever it can, and the test counts that it does.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Consumer } from '../../src/engine/consume/consumer.ts'
import type { AckItem, AckStatus } from '../../src/engine/types.ts'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const SETTINGS = { segmentCacheBytesMax: 8 << 20, waitingPopsMax: 1000 }
const RETRY_LIMIT = 1
const PARTITIONS = 2
const GROUPS = ['__QUEUE_MODE__', 'g']

interface Message {
  readonly id: string
  failures: number
}
/** What a group still has to get of a partition, in order, and what its live lease holds. */
interface Model {
  todo: Message[]
  lease: { id: string; open: Map<string, Message>; acks: AckItem[] } | null
}

type Step =
  | { readonly kind: 'push'; readonly partition: number; readonly count: number }
  | {
      readonly kind: 'pop'
      readonly partition: number
      readonly group: number
      readonly consumer: number
      readonly batch: number
      readonly autoAck: boolean
    }
  | {
      readonly kind: 'ack'
      readonly partition: number
      readonly group: number
      readonly consumer: number
      readonly picks: readonly { at: number; status: AckStatus }[]
      readonly bare: boolean
    }
  | { readonly kind: 'expire'; readonly partition: number; readonly group: number }
  | { readonly kind: 'seek'; readonly partition: number; readonly group: number; readonly toEnd: boolean }
  | { readonly kind: 'clear'; readonly partition: number }
  | { readonly kind: 'retain'; readonly partition: number; readonly at: number }
  | { readonly kind: 'delete'; readonly partition: number; readonly at: number }

const EVERYTHING = Array.from({ length: 9 }, (_, index) => ({ at: index, status: 'completed' as const }))
const at = {
  partition: fc.nat(PARTITIONS - 1),
  group: fc.nat(GROUPS.length - 1),
  consumer: fc.constantFrom(0, 0, 0, 1),
}
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('push' as const),
      partition: at.partition,
      count: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('pop' as const),
      ...at,
      batch: fc.integer({ min: 1, max: 9 }),
      autoAck: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('ack' as const),
      ...at,
      picks: fc.array(
        fc.record({
          at: fc.nat(8),
          status: fc.constantFrom<AckStatus>('completed', 'completed', 'failed', 'retry', 'dlq'),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      bare: fc.boolean(),
    }),
  },
  {
    weight: 5,
    // Everything the lease holds: what consumers mostly do.
    arbitrary: fc.record({
      kind: fc.constant('ack' as const),
      ...at,
      picks: fc.constant(EVERYTHING),
      bare: fc.constant(false),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.record({ kind: fc.constant('expire' as const), partition: at.partition, group: at.group }),
      fc.record({
        kind: fc.constant('seek' as const),
        partition: at.partition,
        group: at.group,
        toEnd: fc.boolean(),
      }),
      fc.record({ kind: fc.constant('clear' as const), partition: at.partition }),
      fc.record({ kind: fc.constant('retain' as const), partition: at.partition, at: fc.nat(30) }),
      fc.record({ kind: fc.constant('delete' as const), partition: at.partition, at: fc.nat(30) }),
    ),
  },
)

/** In one place and with few sizes, so that a consumer often asks for what it asked for before. */
function looping(each: Step): Step {
  const here = { ...each, partition: 0, ...('group' in each ? { group: 0 } : {}) }
  if (here.kind === 'ack') return here.picks.length > 2 ? { ...here, picks: EVERYTHING, bare: false } : here
  if (here.kind === 'push') return { ...here, count: here.count + 20 }
  return here.kind === 'pop'
    ? { ...here, batch: here.batch > 2 ? 3 : 2, autoAck: here.autoAck && here.batch > 7 }
    : here
}

let run = 0

/** What is stored of a partition, by offset; null = deleted. */
interface Stored {
  readonly ids: (string | null)[]
  start: number
}

/** Changes everything that an operator or retention may change beneath a consumer's feet. */
async function change(
  step: Step & { kind: 'seek' | 'clear' | 'retain' | 'delete' },
  place: { queue: string; queueId: string; partitionId: string },
  stored: Stored,
  models: Model[],
  dead: Set<string>,
): Promise<void> {
  const { queue, queueId, partitionId } = place
  const partition = `p${step.partition}`
  if (step.kind === 'seek') {
    await fixture.sql('SELECT queen.seek_group($1::uuid, $2::text, $3::text, NULL, 1, $4::timestamptz)', [
      queueId,
      GROUPS[step.group],
      partition,
      step.toEnd ? null : '2000-01-01',
    ])
    const todo = step.toEnd ? [] : stored.ids.slice(stored.start).filter((id) => id !== null)
    models[step.group] = { todo: todo.map((id) => ({ id, failures: 0 })), lease: null }
    return
  }
  const forget = (id: string): void => {
    for (const group of GROUPS) dead.delete(`${group} ${id}`)
  }
  if (step.kind === 'clear') {
    await fixture.sql('SELECT queen.clear_queue($1::text, $2::text)', [queue, partition])
    for (const id of stored.ids) if (id !== null) forget(id)
    stored.start = stored.ids.length
    models.forEach((_, group) => {
      models[group] = { todo: [], lease: null }
    })
    return
  }
  // Leased messages have left already; what becomes of them is other tests' matter.
  if (models.some(({ lease }) => lease !== null) || stored.ids.length === 0) return
  if (step.kind === 'retain') {
    stored.start = Math.max(stored.start, step.at % (stored.ids.length + 1))
    await fixture.sql('UPDATE queen.partitions SET start_offset = $2::bigint WHERE id = $1::uuid', [
      partitionId,
      stored.start,
    ])
    const kept = new Set(stored.ids.slice(stored.start))
    for (const model of models) model.todo = model.todo.filter(({ id }) => kept.has(id))
    return
  }
  const offset = step.at % stored.ids.length
  const id = stored.ids[offset]
  if (id == null || offset < stored.start) return
  await fixture.sql(
    `SELECT queen.delete_message($1::uuid, $2::text, $3::bigint, s.first_offset, sha256(s.body), s.body) FROM queen.segments s
      WHERE s.partition_id = $1::uuid AND s.first_offset <= $3::bigint ORDER BY s.first_offset DESC LIMIT 1`,
    [partitionId, id, offset],
  )
  stored.ids[offset] = null
  forget(id)
  for (const model of models) model.todo = model.todo.filter((message) => message.id !== id)
}

it.each([
  ['two consumers', false],
  ['one consumer, whose next leases are taken ahead', true],
])('agrees with an oracle over random histories of %s (G2, G4, G6, G7)', async (_who, ahead) => {
  let aheadDelivered = 0
  let knownClaims = 0
  let finishedLeases = 0
  let wholeLeases = 0
  /** Everything a lease holds is completed as a whole, as its body on the wire would be. */
  async function acked(consumer: Consumer, items: readonly AckItem[]) {
    const { leaseId = null, partitionId = '' } = items[0] ?? {}
    const lease = leaseId === null ? null : consumer.deliveredLease(leaseId, partitionId)
    if (lease?.messages !== items.length || items.some(({ status }) => status !== 'completed'))
      return consumer.ackMessages(items)
    const results = await consumer.completeLease(lease, () => items)
    if (results === null) wholeLeases++
    return results ?? items.map((_, i) => ({ success: true, dlq: false, leaseReleased: i === items.length - 1 }))
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), async (steps) => {
      const queue = `model${run++}`
      const queueId = await fixture.createQueue(queue, { retryLimit: RETRY_LIMIT })
      const partitions = await Promise.all(names('p', PARTITIONS).map((name) => fixture.createPartition(queueId, name)))
      const consumers: Consumer[] = [
        fixture.consumer({ settings: { ...SETTINGS, aheadAfter: ahead ? 0 : Number.POSITIVE_INFINITY } }),
        fixture.consumer({ settings: { segmentCacheBytesMax: 2000, waitingPopsMax: 10, leaseBookBytesMax: 0 } }),
      ]
      const models: Model[][] = partitions.map(() => GROUPS.map(() => ({ todo: [], lease: null })))
      const stored: Stored[] = partitions.map(() => ({ ids: [], start: 0 }))
      const dead = new Set<string>()
      let pushed = 0
      for (const random of steps) {
        const each = ahead ? looping(random) : random
        const partitionId = partitions[each.partition]!
        // What is held for the next pop goes back before something changes that its consumer is not told of.
        if (ahead && each.kind !== 'push' && each.kind !== 'pop' && each.kind !== 'ack') {
          consumers[0]!.pausePops(true)
          consumers[0]!.pausePops(false)
        }
        const by = 'consumer' in each && !ahead ? each.consumer : 0
        if (each.kind === 'push') {
          const ids = names('m', each.count, pushed)
          pushed += each.count
          await fixture.append(partitionId, ids)
          stored[each.partition]!.ids.push(...ids)
          for (const model of models[each.partition]!) model.todo.push(...ids.map((id) => ({ id, failures: 0 })))
          continue
        }
        if (each.kind === 'clear' || each.kind === 'seek' || each.kind === 'retain' || each.kind === 'delete') {
          const place = { queue, queueId, partitionId }
          await change(each, place, stored[each.partition]!, models[each.partition]!, dead)
          continue
        }
        const model = models[each.partition]![each.group]!
        const consumerGroup = GROUPS[each.group]!
        if (each.kind === 'expire') {
          await fixture.sql(
            `UPDATE queen.cursors SET lease_until = clock_timestamp() - interval '1 s' WHERE partition_id = $1::uuid AND group_name = $2::text AND lease_until IS NOT NULL`,
            [partitionId, consumerGroup],
          )
          model.lease = null
        } else if (each.kind === 'pop') {
          const request = popRequest({
            queue,
            partition: `p${each.partition}`,
            consumerGroup,
            batch: each.batch,
            autoAck: each.autoAck,
          })
          const answer = await consumers[by]!.popMessages(request, never)
          const expected = model.lease === null ? model.todo.slice(0, each.batch) : []
          expect(delivered(answer)).toEqual(expected.map(({ id }) => id))
          expect(
            answer.runs.flatMap(({ indices, retryCounts }) => indices.map((index) => retryCounts?.get(index) ?? 0)),
          ).toEqual(expected.map(({ failures }) => failures))
          if (expected.length === 0) continue
          if (each.autoAck) model.todo.splice(0, expected.length)
          else
            model.lease = {
              id: answer.leaseId,
              open: new Map(expected.map((message) => [message.id, message])),
              acks: acksOf(answer),
            }
        } else if (model.lease !== null) {
          const { lease } = model
          const chosen = new Map(
            each.picks.map(({ at: index, status }) => [lease.acks[index % lease.acks.length]!.transactionId, status]),
          )
          const items = [...chosen]
            .filter(([id]) => lease.open.has(id))
            .map(([transactionId, status]) => {
              const item = lease.acks.find((ack) => ack.transactionId === transactionId)!
              return {
                ...item,
                status,
                leaseId: each.bare ? null : item.leaseId,
                consumerGroup: each.bare ? consumerGroup : null,
              }
            })
          const results = await acked(consumers[by]!, items)
          items.forEach(({ transactionId, status }, index) => {
            const message = lease.open.get(transactionId)!
            lease.open.delete(transactionId)
            const dies = status === 'dlq' || (status === 'failed' && message.failures >= RETRY_LIMIT)
            expect(results[index]).toMatchObject({ success: true, dlq: dies })
            if (dies) dead.add(`${consumerGroup} ${transactionId}`)
            if (status === 'completed' || dies) model.todo.splice(model.todo.indexOf(message), 1)
            else if (status === 'failed') message.failures++
          })
          expect(results.some(({ leaseReleased }) => leaseReleased)).toBe(items.length > 0 && lease.open.size === 0)
          if (lease.open.size === 0) model.lease = null
        }
      }
      const letters = await fixture.sql<{ letter: string }>(
        `SELECT group_name || ' ' || transaction_id AS letter FROM queen.dead_letters WHERE queue_id = $1::uuid`,
        [queueId],
      )
      expect(letters.map(({ letter }) => letter).sort()).toEqual([...dead].sort())
      for (const consumer of consumers) {
        const stats = consumer.stats()
        knownClaims += stats.knownClaims
        finishedLeases += stats.finishedLeases
        aheadDelivered += stats.aheadDelivered
        await consumer.stop()
      }
    }),
    { numRuns: 50 },
  )
  expect(knownClaims).toBeGreaterThan(8)
  expect(finishedLeases).toBeGreaterThan(4)
  expect(wholeLeases).toBeGreaterThan(2)
  expect(aheadDelivered > 5).toBe(ahead)
})
