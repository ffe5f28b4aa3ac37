/** What consumers see while the database fails: pops wait or answer empty, acks are repeated, nothing is doubled. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ConsumeStore } from '../../src/ports/consume-store.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { acksOf, type ConsumeFixture, delivered, names, never, openFixture, popRequest } from './fixture.ts'

let fixture: ConsumeFixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The real store, except that calls fail while `down`, and that answers are lost while `deaf`. */
function shaky(): ConsumeStore & { down: boolean; deaf: boolean; calls: number } {
  const state = { down: false, deaf: false, calls: 0 }
  const wrapped = Object.fromEntries(
    Object.entries(fixture.store).map(([name, verb]) => [
      name,
      async (...args: unknown[]) => {
        state.calls++
        if (state.down) throw new StoreError('unavailable', 'down')
        const result = await (verb as (...all: unknown[]) => Promise<unknown>)(...args)
        if (state.deaf) throw new StoreError('unavailable', 'lost', { outcomeUnknown: true })
        return result
      },
    ]),
  )
  return Object.assign(state, wrapped as unknown as ConsumeStore)
}

async function filled(name: string, count: number): Promise<string> {
  const partitionId = await fixture.createPartition(await fixture.createQueue(name), 'Default')
  await fixture.append(partitionId, names('m', count))
  return partitionId
}

describe('while the database is away', () => {
  it('holds waiting pops with a few gentle tries and serves them when it is back', async () => {
    await filled('held', 2)
    const store = shaky()
    const consumer = fixture.consumer({ store })
    store.down = true
    const waits = [1, 2].map(() => consumer.popMessages(popRequest({ queue: 'held', wait: true, batch: 2 }), never))
    const begun = performance.now()
    const prompt = await consumer.popMessages(popRequest({ queue: 'held' }), never)
    expect(prompt.emptyReason).toBe('database_unavailable')
    expect(performance.now() - begun).toBeLessThan(3000)
    const late = await consumer.popMessages(popRequest({ queue: 'held', wait: true, timeoutMs: 800 }), never)
    expect(late.emptyReason).toBe('database_unavailable')
    expect(store.calls).toBeLessThan(30)
    store.down = false
    expect(delivered(await Promise.race(waits))).toEqual(['m0', 'm1'])
  })

  it('asks it no more often because requests arrive that need no asking', async () => {
    await filled('known', 1)
    const store = shaky()
    const consumer = fixture.consumer({ store })
    // Everything of it is in memory after this.
    const named = popRequest({ queue: 'known', partition: 'Default', autoAck: true })
    expect(delivered(await consumer.popMessages(named, never))).toEqual(['m0'])
    store.down = true
    const gone = new AbortController()
    const waiting = consumer.popMessages(popRequest({ queue: 'known', wait: true }), gone.signal)
    const prompt = await consumer.popMessages(popRequest({ queue: 'known' }), never)
    expect(prompt.emptyReason).toBe('database_unavailable')
    for (let i = 0; i < 300; i++) await consumer.popMessages({ ...named, wait: true, timeoutMs: 0 }, never)
    expect(store.calls).toBeLessThan(100)
    gone.abort()
    await waiting
  })

  it('takes no claim that was never sent for an answer of the database', async () => {
    await filled('unsent', 1)
    let looks = 0
    let fail = (): void => {}
    const consumer = fixture.consumer({
      store: {
        ...fixture.store,
        reconcilePartitions(query) {
          looks++
          return fixture.store.reconcilePartitions(query)
        },
        async popMessages() {
          await new Promise<void>((resolve) => {
            fail = resolve
          })
          throw new StoreError('unavailable', 'down')
        },
      },
    })
    const pop = (consumerGroup: string, gone: AbortController) =>
      consumer.popMessages(popRequest({ queue: 'unsent', wait: true, consumerGroup }), gone.signal)
    const [gone, left] = [new AbortController(), new AbortController()]
    const waits = [pop('a', gone)]
    // Both groups look for what there is; then the second waits until the first has read it, and its request does not.
    await vi.waitFor(() => expect(consumer.stats().claimStatements).toBe(1))
    waits.push(pop('b', left))
    await vi.waitFor(() => expect(looks).toBe(2))
    // A statement of its own comes back behind the look.
    await fixture.store.probeCursors()
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
    left.abort()
    fail()
    await new Promise((resolve) => setImmediate(resolve))
    // Known to be in trouble: not even a look.
    const prompt = await consumer.popMessages(popRequest({ queue: 'unsent' }), never)
    expect(prompt.emptyReason).toBe('database_unavailable')
    expect(looks).toBe(2)
    gone.abort()
    await Promise.all(waits)
  })

  it('goes on trying when the request that was to find out has gone meanwhile', async () => {
    await filled('gone', 1)
    let tries = 0
    let fail = (): void => {}
    const store: ConsumeStore = {
      ...fixture.store,
      async recordSubscriptions(...query) {
        if (++tries > 2) return fixture.store.recordSubscriptions(...query)
        if (tries === 2) {
          await new Promise<void>((resolve) => {
            fail = resolve
          })
        }
        throw new StoreError('unavailable', 'down')
      },
    }
    const consumer = fixture.consumer({ store })
    const request = popRequest({ queue: 'gone', consumerGroup: 'g' })
    const gone = new AbortController()
    const first = consumer.popMessages({ ...request, wait: true }, gone.signal)
    await vi.waitFor(() => expect(tries).toBe(2), { timeout: 10_000 })
    gone.abort()
    await first
    fail()
    await vi.waitFor(async () => expect(delivered(await consumer.popMessages(request, never))).toEqual(['m0']), {
      timeout: 10_000,
    })
  })

  it('repeats an ack whose answer was lost, and tells the truth about it (G7)', async () => {
    const partitionId = await filled('lost', 3)
    const store = shaky()
    const consumer = fixture.consumer({ store })
    const answer = await consumer.popMessages(popRequest({ queue: 'lost', batch: 3 }), never)
    const [first, second, third] = acksOf(answer)
    store.deaf = true
    const results = consumer.ackMessages([first!, { ...second!, status: 'failed' }, { ...third!, status: 'dlq' }])
    await new Promise((resolve) => setTimeout(resolve, 150))
    store.deaf = false
    expect((await results).map(({ success, dlq, leaseReleased }) => ({ success, dlq, leaseReleased }))).toEqual([
      { success: true, dlq: false, leaseReleased: false },
      { success: true, dlq: false, leaseReleased: false },
      { success: true, dlq: true, leaseReleased: expect.any(Boolean) },
    ])
    const again = await consumer.popMessages(popRequest({ queue: 'lost', batch: 3 }), never)
    expect(delivered(again)).toEqual(['m1'])
    expect(again.runs[0]!.retryCounts).toEqual(new Map([[1, 1]]))
    const [row] = await fixture.sql<{ completed: string }>(
      'SELECT completed_count AS completed FROM queen.cursors WHERE partition_id = $1::uuid',
      [partitionId],
    )
    expect(row!.completed).toBe('1')
  })

  it('answers 503 when an ack finds no database before its deadline', { timeout: 15_000 }, async () => {
    await filled('dead', 1)
    const store = shaky()
    const consumer = fixture.consumer({ store })
    const answer = await consumer.popMessages(popRequest({ queue: 'dead' }), never)
    await filled('doubtful', 1)
    const doubtful = shaky()
    const other = fixture.consumer({ store: doubtful })
    const doubted = await other.popMessages(popRequest({ queue: 'doubtful' }), never)
    store.down = true
    // The first try is committed and its answer lost; the later ones find no database.
    doubtful.deaf = true
    const begun = performance.now()
    const unknown = other.ackMessages(acksOf(doubted)).catch((error: unknown) => error)
    const refused = consumer.ackMessages(acksOf(answer)).catch((error: unknown) => error)
    await new Promise((resolve) => setTimeout(resolve, 10))
    doubtful.down = true
    expect(await refused).toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
    expect(await refused).not.toMatchObject({ details: { outcome: 'unknown' } })
    expect(await unknown).toMatchObject({ code: 'DATABASE_UNAVAILABLE', details: { outcome: 'unknown' } })
    expect(performance.now() - begun).toBeLessThan(10_000)
  })

  it('gives back what nobody received as soon as the database answers: lost claims, and leases it could not give back', async () => {
    await filled('unreceived', 2)
    const store = shaky()
    const consumer = fixture.consumer({ store })
    const answer = await consumer.popMessages(popRequest({ queue: 'unreceived' }), never)
    store.down = true
    await expect(consumer.releaseClaim(answer)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
    const waiting = popRequest({ queue: 'unreceived', wait: true, timeoutMs: 20_000, batch: 2 })
    const first = consumer.popMessages(waiting, never)
    store.down = false
    const begun = performance.now()
    const received = await first
    expect(delivered(received)).toEqual(['m0', 'm1'])
    // The claim is committed, its answer lost, and PostgreSQL away once more while it is to be given back.
    await consumer.releaseClaim(received)
    store.deaf = true
    const second = consumer.popMessages(waiting, never)
    await vi.waitFor(async () => {
      const [row] = await fixture.sql<{ live: boolean }>(
        `SELECT bool_or(lease_until > now()) AS live FROM queen.cursors k JOIN queen.partitions p ON p.id = k.partition_id
           JOIN queen.queues q ON q.id = p.queue_id WHERE q.name = 'unreceived'`,
        [],
      )
      expect(row!.live).toBe(true)
    })
    store.deaf = false
    expect(delivered(await second)).toEqual(['m0', 'm1'])
    // Leases here live for five minutes.
    expect(performance.now() - begun).toBeLessThan(10_000)
  })

  it('G6 a claim over several partitions that is made anew after a lost one is not given back with it', {
    timeout: 20_000,
  }, async () => {
    await filled('anew', 2)
    const tries = { claims: 0, released: 0 }
    const store: ConsumeStore = {
      ...fixture.store,
      async popMessages(candidates, bytesMax) {
        // The first is lost on its way to PostgreSQL; nobody here can tell.
        if (tries.claims++ === 0) throw new StoreError('unavailable', 'lost', { outcomeUnknown: true })
        return fixture.store.popMessages(candidates, bytesMax)
      },
      async releaseClaim(partitionIds, group, leaseId) {
        await fixture.store.releaseClaim(partitionIds, group, leaseId)
        tries.released++
      },
    }
    const consumer = fixture.consumer({ store })
    const request = popRequest({ queue: 'anew', wait: true, batch: 2, partitions: 2, timeoutMs: 10_000 })
    const answer = await consumer.popMessages(request, never)
    expect(delivered(answer)).toEqual(['m0', 'm1'])
    // What was lost is given back four times over some seconds, in case it comes about late.
    await vi.waitFor(() => expect(tries.released).toBe(4), { timeout: 10_000 })
    expect(await consumer.ackMessages(acksOf(answer))).toMatchObject([{ success: true }, { success: true }])
  })

  it('gives leases the time of an outage back', async () => {
    await filled('credit', 1)
    const consumer = fixture.consumer()
    const answer = await consumer.popMessages(popRequest({ queue: 'credit' }), never)
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(await fixture.store.creditLeases(200)).toBeGreaterThanOrEqual(1)
    // Another instance that saw the same outage finds next to nothing left to give.
    await fixture.store.creditLeases(200)
    const later = await consumer.extendLease(answer.leaseId, 1)
    expect(later.expiresAtMs - answer.leaseExpiresAtMs!).toBeGreaterThanOrEqual(190)
    expect(later.expiresAtMs - answer.leaseExpiresAtMs!).toBeLessThan(390)
  })

  it('G6 revives no lease that has run out since an outage, and gives one that was taken after it nothing', async () => {
    const long = await filled('since', 1)
    const consumer = fixture.consumer()
    const answer = await consumer.popMessages(popRequest({ queue: 'since' }), never)
    const until = async (): Promise<string> => {
      const [row] = await fixture.sql<{ until: string }>(
        'SELECT lease_until::text AS until FROM queen.cursors WHERE partition_id = $1::uuid',
        [long],
      )
      return row!.until
    }
    const before = await until()
    await fixture.store.creditLeases(1_000, 60_000)
    expect(await until()).toBe(before)
    await fixture.sql(
      `UPDATE queen.cursors SET leased_at = now() - interval '60 s', lease_until = now() - interval '25 s' WHERE partition_id = $1::uuid`,
      [long],
    )
    await fixture.store.creditLeases(1_000, 26_000)
    await expect(consumer.extendLease(answer.leaseId, 1)).rejects.toMatchObject({ code: 'LEASE_NOT_FOUND' })
    expect(await consumer.ackMessages(acksOf(answer))).toMatchObject([{ success: false, code: 'INVALID_LEASE' }])
  })

  it('finds out whether cursors can be written: not under a lock of the table, but beside a locked row', async () => {
    await filled('probe', 1)
    await fixture.consumer().popMessages(popRequest({ queue: 'probe' }), never)
    const { database, store } = fixture
    await database.transaction('hot', async (sql) => {
      await sql.run('test_lock_rows', 'SELECT FROM queen.cursors FOR UPDATE', [])
      await store.probeCursors()
      await sql.run('test_lock_cursors', 'LOCK TABLE queen.cursors IN EXCLUSIVE MODE', [])
      await expect(store.probeCursors()).rejects.toMatchObject({ failure: 'locked' })
    })
    await store.probeCursors()
  })
})

describe('a transaction', () => {
  it('commits acks with its pushes and rolls both back together (G3)', async () => {
    await filled('both', 2)
    const seen: string[] = []
    const consumer = fixture.consumer({
      preparePush: async (items) => ({
        async run() {
          seen.push('run')
          if (items[0]!.queue !== 'full') return null
          items[0]!.failure = { code: 'QUEUE_FULL', error: 'full', outcomeUnknown: false }
          return 0
        },
        committed: () => {
          seen.push('committed')
        },
      }),
    })
    const push = (queue: string) => ({ type: 'push' as const, item: { queue, failure: null } as never })
    const answer = await consumer.popMessages(popRequest({ queue: 'both', batch: 1 }), never)
    const ack = { type: 'ack' as const, item: acksOf(answer)[0]! }
    expect((await consumer.executeTransaction([ack, push('full')], [])).rejected).toMatchObject({
      index: 1,
      code: 'QUEUE_FULL',
    })
    expect(seen).toEqual(['run'])
    const done = await consumer.executeTransaction([push('x'), ack], [answer.leaseId])
    expect(done.rejected).toBeNull()
    expect(seen).toEqual(['run', 'run', 'committed'])
    expect(delivered(await consumer.popMessages(popRequest({ queue: 'both' }), never))).toEqual(['m1'])
  })
})
