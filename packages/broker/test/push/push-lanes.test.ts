/** Lanes over a scripted store: what becomes of items when PostgreSQL answers badly, late or not at all. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { MessageIdSource } from '../../src/engine/format/message-id.ts'
import { DedupCache } from '../../src/engine/push/dedup-cache.ts'
import { PushLanes } from '../../src/engine/push/push-lanes.ts'
import { WriteRoute } from '../../src/engine/push/write-route.ts'
import type { PartitionEntry, PushItem } from '../../src/engine/types.ts'
import type { KnownKeys, PushResult, PushStore, SegmentWrite, WriteOutcome } from '../../src/ports/push-store.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { item, place } from './push-stack.ts'

type Flush = (writes: readonly SegmentWrite[]) => Promise<PushResult> | PushResult

const A = place('a0000000-0000-4000-8000-000000000000', 'a')
const B = place('b0000000-0000-4000-8000-000000000000', 'b')

class Scripted {
  readonly flushes: (readonly SegmentWrite[])[] = []
  /** The first flushes, then every other one is stored. */
  script: Flush[] = []
  readonly next = new Map<string, number>()
  pages: KnownKeys[] = []
  /** Which flushes went the cheap way. */
  readonly cheap: boolean[] = []
  readonly store: PushStore = {
    pushMessages: (writes) => this.#flush(writes, false),
    pushKnown: (writes) => this.#flush(writes, true),
    pushInTransaction: () => Promise.reject(new Error('no transactions here')),
    readKeys: async () => this.pages.splice(0),
    readDrainProgress: async () => 0,
    storedFlushes: async (flushes) => flushes.map(() => false),
  }

  async #flush(writes: readonly SegmentWrite[], cheap: boolean): Promise<PushResult> {
    this.flushes.push(writes)
    this.cheap.push(cheap)
    const scripted = this.script.shift()
    return scripted === undefined ? this.stored(writes) : scripted(writes)
  }

  stored(writes: readonly SegmentWrite[]): PushResult {
    return { status: 'done', outcomes: writes.map((write) => this.storedOne(write)), configVersion: 1 }
  }

  storedOne(write: SegmentWrite): WriteOutcome {
    const firstOffset = this.next.get(write.partitionId) ?? 0
    this.next.set(write.partitionId, firstOffset + write.count)
    return { status: 'stored', firstOffset, createdAt: '2026-11-23 00:00:00+00', confirmed: [], gap: [] }
  }
}

const unsure: WriteOutcome & { status: 'unsure' } = {
  status: 'unsure',
  duplicates: [],
  confirmed: [],
  innocent: [],
  gap: [],
  unknownUpTo: null,
}
const done = (...outcomes: WriteOutcome[]): PushResult => ({ status: 'done', outcomes, configVersion: 1 })

function bench() {
  const scripted = new Scripted()
  const route = new WriteRoute()
  route.set('direct')
  const log: string[] = []
  const lost: (string | null)[] = []
  const unavailable: StoreError[] = []
  const defects: unknown[] = []
  const gone = { next: B as PartitionEntry, error: null as Error | null }
  let diverted = 0
  const lanes = new PushLanes({
    store: scripted.store,
    dedup: new DedupCache(1024 * 1024),
    ids: new MessageIdSource(),
    route,
    nowMs: Date.now,
    divert: async (items, lostFlush) => {
      await new Promise((resolve) => setImmediate(resolve))
      for (const entry of items) {
        entry.status = 'buffered'
        log.push(`buffered ${entry.transactionId}`)
        lost.push(lostFlush)
      }
    },
    onDiverted: () => {
      diverted++
    },
    onUnavailable: (error) => {
      unavailable.push(error)
      route.set('buffer')
    },
    onStored: ({ segment }) => log.push(...segment.stored.map(({ transactionId }) => `stored ${transactionId}`)),
    onConfigVersion: () => {},
    onGone: async () => {
      if (gone.error !== null) throw gone.error
      return gone.next
    },
    onDefect: (error) => defects.push(error),
  })
  const add = (to: PartitionEntry, ...names: string[]): Promise<PushItem[]> => {
    const items = names.map((name) => item('orders', to.name, name))
    const { promise, resolve } = Promise.withResolvers<PushItem[]>()
    lanes.add(to, items, { remaining: items.length, startedAtMs: Date.now(), done: () => resolve(items) })
    return promise
  }
  return {
    scripted,
    route,
    lanes,
    log,
    lost,
    unavailable,
    defects,
    gone,
    add,
    get diverted() {
      return diverted
    },
  }
}

const statuses = (items: readonly PushItem[]) => items.map(({ status }) => status)

afterEach(() => vi.useRealTimers())

describe('lanes', () => {
  test('what arrives in one turn shares a flush, a lane is in one flush at a time', async () => {
    const { scripted, add, lanes } = bench()
    const held = Promise.withResolvers<void>()
    let flying = 0
    scripted.script = [
      async (writes) => {
        flying++
        await held.promise
        flying--
        return scripted.stored(writes)
      },
    ]
    const first = [add(A, '1'), add(B, '2'), add(A, '3')]
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const second = [add(A, '4'), add(A, '5')]
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect([flying, scripted.flushes.length, lanes.holds(A.id), lanes.empty]).toEqual([1, 1, true, false])
    held.resolve()
    await Promise.all([...first, ...second])
    expect(scripted.flushes.map((writes) => writes.map(({ partitionId, count }) => [partitionId[0], count]))).toEqual([
      [
        ['a', 2],
        ['b', 1],
      ],
      [['a', 2]],
    ])
    await lanes.idle()
    expect([lanes.holds(A.id), lanes.empty]).toEqual([false, true])
  })

  test('G4 what is added while pushes are held goes nowhere, and then where the route leads', async () => {
    for (const leads of ['direct', 'buffer'] as const) {
      const { route, add, log, scripted } = bench()
      route.set('held')
      const pushed = add(A, '1')
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect([log, scripted.flushes]).toEqual([[], []])
      route.set(leads)
      expect(statuses(await pushed)).toEqual([leads === 'direct' ? 'queued' : 'buffered'])
    }
  })

  test('conflicts are tried again at once, in order', async () => {
    const { scripted, add, log, unavailable } = bench()
    const conflict: Flush = () => Promise.reject(new StoreError('conflict', 'deadlock'))
    scripted.script = [conflict, conflict, conflict]
    await Promise.all([add(A, '1', '2'), add(B, '3')])
    expect([log, unavailable]).toEqual([['stored 1', 'stored 2', 'stored 3'], []])
  })

  test('conflicts without end go to the buffer', async () => {
    const { scripted, add, log, unavailable } = bench()
    scripted.script = Array(20).fill(() => Promise.reject(new StoreError('conflict', 'deadlock')))
    await add(A, '1')
    expect([log, unavailable.length]).toEqual([['buffered 1'], 1])
  })

  test.each(['unavailable', 'locked', 'read_only'] as const)(
    '%s: everything goes to the buffer, older before newer',
    async (failure) => {
      const { scripted, add, log, lost, lanes } = bench()
      const fail = Promise.withResolvers<PushResult>()
      scripted.script = [() => fail.promise]
      const first = add(A, '1', '2')
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      const second = add(A, '3')
      fail.reject(new StoreError(failure, 'gone'))
      expect([...statuses(await first), ...statuses(await second)]).toEqual(['buffered', 'buffered', 'buffered'])
      expect([log, lost, scripted.flushes.length]).toEqual([
        ['buffered 1', 'buffered 2', 'buffered 3'],
        [null, null, null],
        1,
      ])
      await lanes.idle()
    },
  )

  test.each(['unavailable', 'conflict'] as const)(
    'G3 records of a flush whose answer was lost (%s) are told its ids, lane by lane, and only those',
    async (failure) => {
      const { scripted, add, lost, log } = bench()
      scripted.script = [
        () => done({ ...unsure }, { ...unsure }),
        () => Promise.reject(new StoreError(failure, 'connection lost', { outcomeUnknown: true })),
      ]
      const first = [add(A, '1'), add(B, '2')]
      await vi.waitFor(() => expect(scripted.flushes.length).toBe(2))
      await Promise.all([...first, add(A, '3')])
      const bases = new Map(scripted.flushes[1]!.map(({ partitionId, idBase }) => [partitionId, idBase]))
      const told = new Map(log.map((entry, index) => [entry, lost[index]]))
      expect(told).toEqual(
        new Map([
          ['buffered 1', bases.get(A.id)],
          ['buffered 2', bases.get(B.id)],
          ['buffered 3', null],
        ]),
      )
      expect(bases.get(A.id)).not.toBe(bases.get(B.id))
    },
  )

  test('G5 a flush that meets the switch goes to the buffer', async () => {
    const stack = bench()
    stack.scripted.script = [() => ({ status: 'diverted' })]
    expect(statuses(await stack.add(A, '1'))).toEqual(['buffered'])
    expect([stack.diverted, stack.lost]).toEqual([1, [null]])
  })

  test('G8 PostgreSQL refuses one message: it alone fails, its neighbours are stored in order', async () => {
    const { scripted, add, log, unavailable, defects, lanes } = bench()
    const refuses: Flush = (writes) => {
      if (writes.some(({ body }) => Buffer.from(body).includes('poison')))
        throw new StoreError('rejected', 'invalid', { sqlState: '22021' })
      return scripted.stored(writes)
    }
    scripted.script = Array(60).fill(refuses)
    const names = Array.from({ length: 20 }, (_, i) => (i === 13 ? 'poison' : `${i}`))
    const [items, others] = await Promise.all([add(A, ...names), add(B, 'x', 'y')])
    expect(
      items
        .filter(({ status }) => status !== 'queued')
        .map(({ transactionId, status, code }) => [transactionId, status, code]),
    ).toEqual([['poison', 'failed', 'INVALID_PAYLOAD']])
    expect(statuses(others)).toEqual(['queued', 'queued'])
    expect(log.filter((line) => !/[xy]$/.test(line))).toEqual(
      names.filter((name) => name !== 'poison').map((name) => `stored ${name}`),
    )
    expect([unavailable.length, defects.length > 0]).toEqual([0, true])
    // Afterwards they go together again.
    await lanes.idle()
    await Promise.all([add(A, 'p', 'q', 'r'), add(B, 's')])
    expect(scripted.flushes.at(-1)!.map(({ count }) => count)).toEqual([3, 1])
  })

  test('a defect fails the items of its flush, once, and nothing hangs', async () => {
    const { scripted, add, defects, lanes } = bench()
    scripted.script = [
      () => Promise.reject(new StoreError('defect', 'no such column')),
      () => Promise.reject(new TypeError('ours')),
    ]
    const failed = await add(A, '1', '2')
    expect(failed.map(({ code }) => code)).toEqual(['INTERNAL', 'INTERNAL'])
    expect((await add(A, '3')).map(({ code }) => code)).toEqual(['INTERNAL'])
    expect([defects.length, statuses(await add(A, '4'))]).toEqual([2, ['queued']])
    await lanes.idle()
  })

  test('duplicates that PostgreSQL finds are answered, the rest is written anew', async () => {
    const { scripted, add, log } = bench()
    const id = '01a20857-5575-7000-b149-000000000001'
    scripted.script = [() => done({ ...unsure, duplicates: [{ index: 1, messageId: id }] })]
    const items = await add(A, '1', '2', '3')
    expect(statuses(items)).toEqual(['queued', 'duplicate', 'queued'])
    expect([items[1]!.messageId, items[1]!.partitionId, log]).toEqual([id, A.id, ['stored 1', 'stored 3']])
  })

  test('a repeat within one request is its first one’s duplicate', async () => {
    const { add, scripted } = bench()
    const items = await add(A, '1', '1', '2', '1')
    expect(statuses(items)).toEqual(['queued', 'duplicate', 'queued', 'duplicate'])
    expect([items[1]!.messageId, items[3]!.messageId]).toEqual([items[0]!.messageId, items[0]!.messageId])
    // From now on it is suspected where it lies.
    await add(B, 'other')
    scripted.script = [
      (writes) => {
        expect(writes[0]).toMatchObject({ count: 0, knownTo: 2, suspects: [{ offset: 0 }] })
        return done({
          status: 'stored',
          firstOffset: 2,
          createdAt: '',
          confirmed: [{ index: 0, messageId: items[0]!.messageId! }],
          gap: [],
        })
      },
    ]
    expect(await add(A, '1')).toMatchObject([{ status: 'duplicate', messageId: items[0]!.messageId }])
  })

  test('G3 an innocent suspect is stored, but not past a message that came meanwhile', async () => {
    const { add, scripted } = bench()
    const [first] = await add(A, '1')
    let keys: Uint8Array | null = null
    scripted.script = [
      (writes) => {
        keys = writes[0]!.suspects[0]!.key
        // The old one has left the window, but another instance stored the same id at offset 5 just now.
        return done({ ...unsure, innocent: [0], gap: [{ firstOffset: 5, createdAtMs: 0, keys: Buffer.from(keys) }] })
      },
      (writes) => {
        expect(writes[0]).toMatchObject({ count: 0, knownTo: 6, suspects: [{ offset: 5 }] })
        return done({
          status: 'stored',
          firstOffset: 6,
          createdAt: '',
          confirmed: [{ index: 0, messageId: first!.messageId! }],
          gap: [],
        })
      },
    ]
    expect(statuses(await add(A, '1'))).toEqual(['duplicate'])
  })

  test('G3 a suspect that was innocent in a partition that vanished is judged anew in the one that takes its place', async () => {
    const { add, scripted } = bench()
    await add(A, '1')
    const [there] = await add(B, '1')
    scripted.script = [
      () => done({ ...unsure, innocent: [0] }),
      () => done({ status: 'gone' }),
      (writes) => {
        expect(writes[0]).toMatchObject({ partitionId: B.id, count: 0, suspects: [{ offset: 0 }] })
        const confirmed = [{ index: 0, messageId: there!.messageId! }]
        return done({ status: 'stored', firstOffset: 1, createdAt: '', confirmed, gap: [] })
      },
    ]
    expect(await add(A, '1')).toMatchObject([{ status: 'duplicate', messageId: there!.messageId, partitionId: B.id }])
  })

  test('a gap too large is read in pages before the next try', async () => {
    const { add, scripted } = bench()
    scripted.script = [
      () => done({ ...unsure, unknownUpTo: 100_000 }),
      (writes) => {
        expect(writes[0]).toMatchObject({ knownTo: 100_000 })
        return scripted.stored(writes)
      },
    ]
    scripted.pages = [{ firstOffset: 40_000, createdAtMs: 0, keys: Buffer.alloc(160, 7) }]
    scripted.next.set(A.id, 100_000)
    expect(statuses(await add(A, '1'))).toEqual(['queued'])
  })

  test('a database behind what is known here makes the lane forget', async () => {
    const { add, scripted } = bench()
    await add(A, '1', '2', '3')
    scripted.next.set(A.id, 1)
    scripted.script = [
      () => done({ ...unsure, unknownUpTo: 1 }),
      (writes) => {
        expect(writes[0]).toMatchObject({ knownTo: 0, suspects: [] })
        return scripted.stored(writes)
      },
    ]
    expect(statuses(await add(A, '3'))).toEqual(['queued'])
  })

  test('a partition that vanished: its items go to the one that takes its place, in order', async () => {
    const { add, scripted, log, lanes } = bench()
    scripted.script = [() => done({ status: 'gone' })]
    const first = add(A, '1', '2')
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const items = [...(await first), ...(await add(B, '3'))]
    expect(items.map(({ status, partitionId }) => [status, partitionId])).toEqual(Array(3).fill(['queued', B.id]))
    expect(log).toEqual(['stored 1', 'stored 2', 'stored 3'])
    await lanes.idle()
    expect(lanes.empty).toBe(true)
  })

  test('a failure while one lane is made writable does not touch the others', async () => {
    const { add, scripted, log, gone } = bench()
    gone.error = new StoreError('unavailable', 'away')
    scripted.script = [
      (writes) =>
        done(
          { status: 'gone' },
          { ...unsure, duplicates: [{ index: 0, messageId: 'x' }] },
          ...writes.slice(2).map((write) => scripted.storedOne(write)),
        ),
    ]
    const C = place('c0000000-0000-4000-8000-000000000000', 'c')
    const results = await Promise.all([add(A, '1'), add(B, '2', '3'), add(C, '4')])
    expect(results.map(statuses)).toEqual([['buffered'], ['duplicate', 'buffered'], ['queued']])
    expect(log.toSorted()).toEqual(['buffered 1', 'buffered 3', 'stored 4'])
  })

  test('G9 a store that never answers: every push has its answer within 3 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
    const { scripted, add, lost, log } = bench()
    scripted.script = Array(4).fill(() => new Promise<PushResult>(() => {}))
    const startedAt = Date.now()
    const first = add(A, '1')
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const answeredAt: number[] = []
    const later: Promise<unknown>[] = [first.then(() => answeredAt.push(Date.now() - startedAt))]
    for (let i = 0; i < 6; i++) {
      await vi.advanceTimersByTimeAsync(400)
      const at = Date.now()
      later.push(add(A, `later ${i}`).then(() => answeredAt.push(Date.now() - at)))
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    }
    for (let i = 0; i < 10; i++) {
      await vi.advanceTimersByTimeAsync(100)
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    }
    await Promise.all(later)
    expect(Math.max(...answeredAt)).toBeLessThan(3_000)
    expect([log[0], lost[0]]).toEqual(['buffered 1', scripted.flushes[0]![0]!.idBase])
    expect(log).toEqual(['buffered 1', ...Array.from({ length: 6 }, (_, i) => `buffered later ${i}`)])
  })

  test('G9 a push that waited for too long begins no flush', async () => {
    const { scripted, lanes, unavailable } = bench()
    const late = [item('orders', 'a', 'late')]
    const answered = Promise.withResolvers<void>()
    lanes.add(A, late, { remaining: 1, startedAtMs: Date.now() - 2_500, done: answered.resolve })
    await answered.promise
    expect([statuses(late), scripted.flushes.length, unavailable.length]).toEqual([['buffered'], 0, 1])
  })

  test('a large push has a flush of its own beside the small ones', async () => {
    const { scripted, lanes, add } = bench()
    const held = Promise.withResolvers<void>()
    scripted.script = [
      async (writes) => {
        await held.promise
        return scripted.stored(writes)
      },
    ]
    const large = [item('orders', 'a', 'large', JSON.stringify('x'.repeat(1_000_000)))]
    const done = Promise.withResolvers<void>()
    lanes.add(A, large, { remaining: 1, startedAtMs: Date.now(), done: done.resolve })
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(statuses(await add(B, 'small'))).toEqual(['queued'])
    expect(large[0]!.status).toBeNull()
    held.resolve()
    await done.promise
    expect(large[0]!.status).toBe('queued')
  })

  test.each([
    ['what is heavy leaves', 200_000, 2],
    ['what is light waits', 100, 1],
  ])('beside a flush that has only begun, %s', async (_, bytes, flushes) => {
    const { scripted, lanes, add } = bench()
    const held = Promise.withResolvers<void>()
    scripted.script = [
      async (writes) => {
        await held.promise
        return scripted.stored(writes)
      },
    ]
    // Its clock stands still: no flush is slow.
    vi.useFakeTimers({ toFake: ['performance'] })
    const first = add(A, 'first')
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const second = Promise.withResolvers<void>()
    const items = [item('orders', 'b', 'second', JSON.stringify('x'.repeat(bytes)))]
    lanes.add(B, items, { remaining: 1, startedAtMs: Date.now(), done: second.resolve })
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    expect(scripted.flushes.length).toBe(flushes)
    held.resolve()
    await Promise.all([first, second.promise])
    expect(scripted.flushes.length).toBe(2)
  })

  test('lanes that weigh more than a commit leave in several flushes at once, each lane in order', async () => {
    const { scripted, lanes, log } = bench()
    const held = Promise.withResolvers<void>()
    const flush: Flush = async (writes) => {
      await held.promise
      return scripted.stored(writes)
    }
    scripted.script = [flush, flush, flush]
    const places = Array.from({ length: 9 }, (_, i) => place(`${i}0000000-0000-4000-8000-000000000000`, `p${i}`))
    const pushed = places.map(async (to, i) => {
      const items = [0, 1].map((k) => item('orders', to.name, `${i}-${k}`, JSON.stringify('x'.repeat(30_000))))
      const { promise, resolve } = Promise.withResolvers<void>()
      lanes.add(to, items, { remaining: items.length, startedAtMs: Date.now(), done: resolve })
      await promise
    })
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    // Three of 60 kB weigh enough.
    expect(scripted.flushes.map((writes) => writes.length)).toEqual([3, 3, 3])
    held.resolve()
    await Promise.all(pushed)
    for (const i of places.keys()) {
      expect(log.filter((line) => line.startsWith(`stored ${i}-`))).toEqual([`stored ${i}-0`, `stored ${i}-1`])
    }
  })

  test('lanes that are many share a flush, whatever they weigh', async () => {
    const { scripted, lanes } = bench()
    const pushed = Array.from({ length: 100 }, async (_, i) => {
      const to = place(`${String(i).padStart(8, '0')}-0000-4000-8000-000000000000`, `p${i}`)
      const { promise, resolve } = Promise.withResolvers<void>()
      const heavy = JSON.stringify('x'.repeat(20_000))
      lanes.add(to, [item('orders', to.name, `${i}`, heavy)], { remaining: 1, startedAtMs: Date.now(), done: resolve })
      await promise
    })
    await Promise.all(pushed)
    expect(scripted.flushes.map((writes) => writes.length)).toEqual([100])
  })
})
