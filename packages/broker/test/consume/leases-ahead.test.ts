/**
 * Leases taken with the end of the one before. In each case a consumer has acked its first batch, and the statement that
 * ended that lease took the next one, which is held for the pop that is about to come.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ConsumeParts, Consumer } from '../../src/engine/consume/consumer.ts'
import { FollowHabit } from '../../src/engine/consume/follow-habit.ts'
import type { PopRequest } from '../../src/engine/types.ts'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const SETTINGS = { segmentCacheBytesMax: 8 << 20, waitingPopsMax: 1000 }

interface Scene {
  readonly queue: string
  readonly queueId: string
  readonly partitionId: string
  readonly consumer: Consumer
  readonly hints: string[]
  pop(request?: Partial<PopRequest>, by?: Consumer): Promise<string[]>
}

let scenes = 0

/** The first ten of a hundred are acked and the next ten leased for whoever asks for ten. */
async function held(parts: Partial<ConsumeParts> = {}): Promise<Scene> {
  const queue = `ahead${scenes++}`
  const queueId = await fixture.createQueue(queue)
  const partitionId = await fixture.createPartition(queueId, 'Default')
  await fixture.append(partitionId, names('m', 100))
  const hints: string[] = []
  const hint = (_queueId: string, id: string) => hints.push(id)
  const consumer = fixture.consumer({ settings: { ...SETTINGS, aheadAfter: 0 }, hint, ...parts })
  const ask = (request: Partial<PopRequest>, by: Consumer) =>
    by.popMessages(popRequest({ queue, batch: 10, ...request }), never)
  const first = await ask({}, consumer)
  expect(delivered(first)).toEqual(names('m', 10))
  const results = await consumer.ackMessages(acksOf(first))
  expect(results.every(({ success }) => success)).toBe(true)
  return {
    queue,
    queueId,
    partitionId,
    consumer,
    hints,
    pop: async (request = {}, by = consumer) => delivered(await ask(request, by)),
  }
}

describe('a lease that is held for the next pop', () => {
  it('is given to it without a statement, as a lease like any other (G6)', async () => {
    const { consumer, queue, pop } = await held()
    const before = consumer.stats().claimStatements
    const answer = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    expect(delivered(answer)).toEqual(names('m', 10, 10))
    expect(answer.leaseExpiresAtMs! - Date.now()).toBeGreaterThan(50_000)
    expect(consumer.stats()).toMatchObject({ claimStatements: before, aheadLeases: 1, aheadDelivered: 1 })
    expect(await pop({}, fixture.consumer())).toEqual([])
    expect((await consumer.extendLease(answer.leaseId, 120)).partitions).toBe(1)
    const results = await fixture.consumer().ackMessages(acksOf(answer))
    expect(results.every(({ success }) => success)).toBe(true)
    expect(results.filter(({ leaseReleased }) => leaseReleased)).toHaveLength(1)
  })

  it('is given to a pop of its very partition', async () => {
    const { consumer, pop } = await held()
    expect(await pop({ partition: 'Default' })).toEqual(names('m', 10, 10))
    expect(consumer.stats().aheadDelivered).toBe(1)
  })

  it('is given back when nobody comes, and the other instances are told', async () => {
    const { hints, partitionId, pop } = await held()
    const other = fixture.consumer()
    await vi.waitFor(() => expect(hints).toEqual([partitionId]))
    expect(await pop({}, other)).toEqual(names('m', 10, 10))
  })

  it.each<[string, Partial<PopRequest>, string[]]>([
    ['fewer messages', { batch: 3 }, names('m', 3, 10)],
    ['more messages', { batch: 50 }, names('m', 50, 10)],
    ['messages that are completed at once', { autoAck: true }, names('m', 10, 10)],
    ['messages of several partitions', { partitions: 2 }, names('m', 10, 10)],
    ['fewer messages of this very partition', { partition: 'Default', batch: 3 }, names('m', 3, 10)],
  ])('hides nothing from a pop that does not wait and wants %s', async (_what, request, expected) => {
    const { consumer, pop } = await held()
    expect(await pop(request)).toEqual(expected)
    expect(consumer.stats()).toMatchObject({ aheadLeases: 1, aheadDelivered: 0 })
  })

  it('hides nothing from a pop by namespace', async () => {
    const queue = `space${scenes++}.task`
    const partitionId = await fixture.createPartition(await fixture.createQueue(queue), 'Default')
    await fixture.append(partitionId, names('m', 30))
    const consumer = fixture.consumer({ settings: { ...SETTINGS, aheadAfter: 0 } })
    const first = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    await consumer.ackMessages(acksOf(first))
    const [namespace] = queue.split('.')
    const answer = await consumer.popMessages(popRequest({ queue: null, namespace: namespace!, batch: 10 }), never)
    expect(delivered(answer)).toEqual(names('m', 10, 10))
  })

  it('leaves a pop of another partition alone', async () => {
    const { consumer, pop, queueId } = await held()
    await fixture.append(await fixture.createPartition(queueId, 'other'), names('o', 10))
    expect(await pop({ partition: 'other' })).toEqual(names('o', 10))
    expect(await pop({ partition: 'Default' })).toEqual(names('m', 10, 10))
    expect(consumer.stats().aheadDelivered).toBe(1)
  })

  it('is not taken while another partition waits for its turn', async () => {
    const { consumer, pop, queue, queueId } = await held()
    const otherId = await fixture.createPartition(queueId, 'other')
    await fixture.append(otherId, names('o', 100))
    const second = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    consumer.onHint(queueId, [otherId])
    await consumer.ackMessages(acksOf(second))
    expect(consumer.stats().aheadLeases).toBe(1)
    expect(await pop()).toEqual(names('o', 10))
    expect(await pop()).toEqual(names('m', 10, 20))
  })

  it('goes to a consumer that waits already', async () => {
    const { consumer, queue } = await held()
    const second = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    const waiting = consumer.popMessages(popRequest({ queue, batch: 10, wait: true, timeoutMs: 5_000 }), never)
    await vi.waitFor(() => expect(consumer.stats().waiting).toBe(1))
    await consumer.ackMessages(acksOf(second))
    expect(delivered(await waiting)).toEqual(names('m', 10, 20))
    expect(consumer.stats()).toMatchObject({ aheadLeases: 2, aheadDelivered: 2 })
  })

  it('is no answer of the database where one was to be found out', async () => {
    let conflicts = 0
    const recordSubscriptions: ConsumeStore['recordSubscriptions'] = async (...query) => {
      if (query[1] !== 'h' || conflicts++ > 0) return fixture.store.recordSubscriptions(...query)
      throw new StoreError('conflict', 'replaced')
    }
    const { pop } = await held({ store: { ...fixture.store, recordSubscriptions } })
    expect(await pop({ consumerGroup: 'h' })).toEqual([])
    expect(await pop({ wait: true })).toEqual(names('m', 10, 10))
    expect(await pop({ consumerGroup: 'h', wait: true })).toEqual(names('m', 10))
  })

  it('is of a full batch or none: more may come before it is asked for', async () => {
    const queue = `rest${scenes++}`
    const partitionId = await fixture.createPartition(await fixture.createQueue(queue), 'Default')
    await fixture.append(partitionId, names('m', 15))
    const consumer = fixture.consumer({ settings: { ...SETTINGS, aheadAfter: 0 } })
    const first = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    await consumer.ackMessages(acksOf(first))
    expect(consumer.stats().aheadLeases).toBe(0)
    await fixture.append(partitionId, names('n', 5))
    const next = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    expect(delivered(next)).toEqual([...names('m', 5, 10), ...names('n', 5)])
  })

  it('is not given to anybody after a seek', async () => {
    const { consumer, partitionId, pop, queue, queueId } = await held()
    await fixture.sql('SELECT queen.seek_group($1::uuid, $2::text, NULL, NULL, 10, $3::timestamptz)', [
      queueId,
      '__QUEUE_MODE__',
      '2000-01-01',
    ])
    consumer.groupMoved('__QUEUE_MODE__', queue)
    expect(await pop()).toEqual(names('m', 10))
    const [row] = await fixture.sql('SELECT committed::int FROM queen.cursors WHERE partition_id = $1::uuid', [
      partitionId,
    ])
    expect(row).toEqual({ committed: 0 })
  })

  it('is given back when pops are paused, and at the end', async () => {
    for (const stop of [(each: Consumer) => each.pausePops(true), (each: Consumer) => each.stop()]) {
      const { consumer, partitionId, pop } = await held()
      await stop(consumer)
      await vi.waitFor(async () => {
        const [row] = await fixture.sql(
          'SELECT lease_until IS NULL AS free FROM queen.cursors WHERE partition_id = $1::uuid',
          [partitionId],
        )
        expect(row).toEqual({ free: true })
      })
      expect(await pop({}, fixture.consumer())).toEqual(names('m', 10, 10))
    }
  })

  it('is not given to anybody after the process stood still', async () => {
    const { consumer, pop } = await held()
    const untilMs = performance.now() + 150
    while (performance.now() < untilMs);
    expect(await pop()).toEqual(names('m', 10, 10))
    expect(consumer.stats()).toMatchObject({ aheadLeases: 1, aheadDelivered: 0 })
  })

  it('is given back when the answer of its statement was lost, and the ack is not doubted', async () => {
    let lose = true
    const { consumer, pop } = await held({
      store: {
        ...fixture.store,
        async finishLeases(finishes) {
          const outcomes = await fixture.store.finishLeases(finishes)
          if (!lose) return outcomes
          lose = false
          throw new StoreError('unavailable', 'the connection broke', { outcomeUnknown: true })
        },
      },
    })
    expect(lose).toBe(false)
    await vi.waitFor(async () => expect(await pop()).toEqual(names('m', 10, 10)), { timeout: 3_000 })
    expect(consumer.stats().aheadLeases).toBe(0)
  })
})

/** Once armed, the answer of the next finish reaches the consumer only when the test says so. */
function finishOnSignal() {
  const done = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  let armed = false
  const finishLeases: ConsumeStore['finishLeases'] = async (finishes) => {
    const outcomes = await fixture.store.finishLeases(finishes)
    if (armed) {
      done.resolve()
      await goOn.promise
    }
    return outcomes
  }
  const arm = (): void => {
    armed = true
  }
  return { store: { finishLeases }, arm, done: done.promise, goOn: () => goOn.resolve() }
}

/** Once armed, the answer of the next claim reaches the consumer only after a lease was given back. */
function claimOverRelease() {
  const done = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  let armed = false
  const popMessages: ConsumeStore['popMessages'] = async (...args) => {
    const outcomes = await fixture.store.popMessages(...args)
    if (armed) {
      armed = false
      done.resolve()
      await released.promise
    }
    return outcomes
  }
  const releaseClaim: ConsumeStore['releaseClaim'] = async (...args) => {
    await fixture.store.releaseClaim(...args)
    released.resolve()
  }
  const arm = (): void => {
    armed = true
  }
  return { store: { popMessages, releaseClaim }, arm, done: done.promise }
}

describe('a lease that is on its way when something else happens', () => {
  const waitsLong = { wait: true, timeoutMs: 3_000 }

  it('is given back, and its partition found, when somebody claims the partition meanwhile', async () => {
    const claim = claimOverRelease()
    const finish = finishOnSignal()
    const { consumer, partitionId, pop, queue, queueId } = await held({
      store: { ...fixture.store, ...claim.store, ...finish.store },
    })
    const second = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    const waiting = pop(waitsLong)
    await vi.waitFor(() => expect(consumer.stats().waiting).toBe(1))
    finish.arm()
    claim.arm()
    const acked = consumer.ackMessages(acksOf(second))
    await finish.done
    consumer.onHint(queueId, [partitionId])
    await claim.done
    finish.goOn()
    await acked
    expect(await waiting).toEqual(names('m', 10, 20))
  })

  it('is given back, and its partition found, when its time is over during a claim', async () => {
    const claim = claimOverRelease()
    const { consumer, partitionId, pop, queueId } = await held({ store: { ...fixture.store, ...claim.store } })
    claim.arm()
    consumer.onHint(queueId, [partitionId])
    expect(await pop({ ...waitsLong, batch: 20 })).toEqual(names('m', 20, 10))
    await claim.done
  })

  it('is not given to a pop that was sent after a seek', async () => {
    const finish = finishOnSignal()
    const { consumer, pop, queue, queueId } = await held({ store: { ...fixture.store, ...finish.store } })
    const second = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    finish.arm()
    const acked = consumer.ackMessages(acksOf(second))
    await finish.done
    await fixture.sql('SELECT queen.seek_group($1::uuid, $2::text, NULL, NULL, 10, $3::timestamptz)', [
      queueId,
      '__QUEUE_MODE__',
      '2000-01-01',
    ])
    consumer.groupMoved('__QUEUE_MODE__', queue)
    finish.goOn()
    await acked
    expect(await pop()).toEqual(names('m', 10))
  })

  it('that cannot be given back hides its messages no longer than until the next try', async () => {
    let fails = true
    const { pop } = await held({
      store: {
        ...fixture.store,
        async releaseClaim(...args) {
          if (!fails) return fixture.store.releaseClaim(...args)
          fails = false
          throw new Error('no statement of this name')
        },
      },
    })
    expect(await pop({ batch: 3 })).toEqual([])
    expect(await pop({ ...waitsLong, batch: 3 })).toEqual(names('m', 3, 10))
  })

  it('leaves a consumer that wants another number its turn beside consumers in a loop', async () => {
    const queue = `turn${scenes++}`
    const partitionId = await fixture.createPartition(await fixture.createQueue(queue), 'Default')
    for (let i = 0; i < 20; i++) await fixture.append(partitionId, names(`m${i}-`, 1_000))
    const consumer = fixture.consumer({ settings: { ...SETTINGS, aheadAfter: 0 } })
    let stopped = false
    const loop = async (): Promise<void> => {
      while (!stopped) {
        const answer = await consumer.popMessages(popRequest({ queue, batch: 10, wait: true, timeoutMs: 500 }), never)
        await consumer.ackMessages(acksOf(answer))
      }
    }
    const loops = [loop(), loop()]
    for (const request of [{ batch: 5, partition: 'Default' }, { batch: 7 }, { batch: 3, autoAck: true }]) {
      for (let turn = 0; turn < 20; turn++) {
        const answer = await consumer.popMessages(popRequest({ queue, ...request, ...waitsLong }), never)
        expect(delivered(answer)).toHaveLength(request.batch)
        if (!('autoAck' in request)) await consumer.ackMessages(acksOf(answer))
      }
    }
    stopped = true
    await Promise.all(loops)
    expect(consumer.stats().aheadDelivered).toBeGreaterThan(0)
  })

  it('is found by a pop of several partitions beside one that is ready', async () => {
    const { consumer, pop, queueId } = await held()
    const otherId = await fixture.createPartition(queueId, 'other')
    await fixture.append(otherId, names('o', 10))
    consumer.onHint(queueId, [otherId])
    const found = await pop({ ...waitsLong, batch: 20, partitions: 2 })
    expect(found.sort()).toEqual([...names('m', 10, 10), ...names('o', 10)].sort())
  })
})

describe('an ack that was applied', () => {
  it('is not tried again with another of its statement that was not', async () => {
    let fails = false
    const { consumer, queue } = await held({
      store: {
        ...fixture.store,
        async ackMessages(entries) {
          if (!fails) return fixture.store.ackMessages(entries)
          fails = false
          throw new StoreError('conflict', 'deadlock detected')
        },
      },
    })
    const other = `other${scenes++}`
    const otherId = await fixture.createQueue(other)
    for (const name of ['a', 'b']) await fixture.append(await fixture.createPartition(otherId, name), names(name, 10))
    const whole = await consumer.popMessages(popRequest({ queue, batch: 10 }), never)
    const [a, b] = await Promise.all(
      ['a', 'b'].map((partition) => consumer.popMessages(popRequest({ queue: other, partition, batch: 10 }), never)),
    )
    fails = true
    const results = await Promise.all([
      consumer.ackMessages(acksOf(whole)),
      consumer.ackMessages([...acksOf(a!), ...acksOf(b!)]),
    ])
    expect(fails).toBe(false)
    expect(results.flat().filter(({ success }) => !success)).toEqual([])
  })

  it('is told so when a dead letter of its request has to be tried again (G7)', async () => {
    let statements = 0
    const consumer = fixture.consumer({
      store: {
        ...fixture.store,
        async ackMessages(entries) {
          // The one that brings what the first found to be missing for the dead letter.
          if (++statements === 2) throw new StoreError('conflict', 'deadlock detected')
          return fixture.store.ackMessages(entries)
        },
      },
    })
    const queue = `framed${scenes++}`
    const queueId = await fixture.createQueue(queue, { retryLimit: 1 })
    const [a, b] = await Promise.all(
      ['a', 'b'].map(async (partition) => {
        const partitionId = await fixture.createPartition(queueId, partition)
        await fixture.append(partitionId, [partition])
        const answer = await consumer.popMessages(popRequest({ queue, partition }), never)
        return { partitionId, acks: acksOf(answer) }
      }),
    )
    // Another instance counted a failure meanwhile.
    await fixture.sql(`UPDATE queen.cursors SET failures = '{"0": 1}' WHERE partition_id = $1::uuid`, [b!.partitionId])
    const results = await consumer.ackMessages([...a!.acks, { ...b!.acks[0]!, status: 'failed' }])
    expect(statements).toBe(4)
    expect(results).toMatchObject([
      { success: true, dlq: false },
      { success: true, dlq: true },
    ])
  })
})

describe('the habit of asking again', () => {
  it('has to be shown several times, and is lost at once', () => {
    const habit = new FollowHabit(3)
    const round = (at: number): void => {
      habit.ended(at)
      habit.popped(at + 1)
    }
    round(0)
    round(2)
    expect(habit.strong).toBe(false)
    round(4)
    expect(habit.strong).toBe(true)
    // Nobody came in time.
    habit.ended(10)
    habit.ended(30)
    expect(habit.strong).toBe(false)
  })

  it('is believed less readily after a lease that nobody wanted', () => {
    const habit = new FollowHabit(2)
    const rounds = (count: number): void => {
      for (let i = 0; i < count; i++) {
        habit.ended(i)
        habit.popped(i)
      }
    }
    rounds(2)
    habit.unwanted()
    rounds(3)
    expect(habit.strong).toBe(false)
    rounds(1)
    expect(habit.strong).toBe(true)
    habit.wanted()
    habit.wanted()
    habit.unwanted()
    rounds(4)
    expect(habit.strong).toBe(true)
  })

  it('is not shown by pops without an ended lease before them', () => {
    const habit = new FollowHabit(1)
    for (let i = 0; i < 10; i++) habit.popped(i)
    expect(habit.strong).toBe(false)
  })

  it('remembers no more than is of use', () => {
    const habit = new FollowHabit(1)
    for (let i = 0; i < 5_000; i++) habit.ended(0)
    habit.popped(0)
    expect(habit.strong).toBe(true)
    habit.ended(0)
    expect(habit.strong).toBe(true)
  })
})
