/**
 * What a PushStore must do, whatever it stands on. `openStores` gives several connections' worth of stores on one
 * database and the means to arrange it.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MessageIdSource, messageIdAt } from '../../src/engine/format/message-id.ts'
import { KEY_BYTES, writeTransactionKey } from '../../src/engine/format/transaction-key.ts'
import type { PushResult, PushStore, SegmentWrite, Suspect, WriteOutcome } from '../../src/ports/push-store.ts'

export interface PushStoreBench {
  readonly stores: readonly PushStore[]
  /** New partitions of a new queue. */
  createPartitions(count: number): Promise<string[]>
  deletePartition(id: string): Promise<void>
  setMaintenance(enabled: boolean): Promise<void>
  /** Makes the segments of a partition look as if stored so many seconds earlier. */
  age(partitionId: string, seconds: number): Promise<void>
  /** [firstOffset, lastOffset, createdAt as text] in offset order. */
  segments(partitionId: string): Promise<[number, number, string][]>
  nextOffset(partitionId: string): Promise<number>
  /** Holds the fence exclusively until the function it returns is called. */
  holdFence(): Promise<() => Promise<void>>
  close(): Promise<void>
}

const ids = new MessageIdSource()
const WINDOW = 3600

export function keyOf(transactionId: string): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  writeTransactionKey(transactionId, key, 0)
  return key
}

interface WriteChange {
  readonly window?: number
  readonly known?: readonly [from: number, to: number]
  readonly suspects?: readonly Suspect[]
  readonly acceptedAtMicros?: readonly number[]
}

export function write(partitionId: string, transactionIds: readonly string[], change: WriteChange = {}): SegmentWrite {
  return {
    partitionId,
    count: transactionIds.length,
    idBase: ids.take(Math.max(1, transactionIds.length), Date.now()),
    body: Buffer.from(`\0${transactionIds.join(',')}`),
    keys: Buffer.concat(transactionIds.map(keyOf)),
    dedupWindowSeconds: change.window ?? WINDOW,
    knownFrom: change.known?.[0] ?? 0,
    knownTo: change.known?.[1] ?? 0,
    suspects: change.suspects ?? [],
    acceptedAtMicros: change.acceptedAtMicros ?? null,
  }
}

export function outcomesOf(result: PushResult): readonly WriteOutcome[] {
  if (result.status !== 'done') throw new Error(`expected 'done', got '${result.status}'`)
  return result.outcomes
}

export function storedOf(outcome: WriteOutcome | undefined): Extract<WriteOutcome, { status: 'stored' }> {
  if (outcome?.status !== 'stored') throw new Error(`expected 'stored', got ${JSON.stringify(outcome)}`)
  return outcome
}

function unsureOf(outcome: WriteOutcome | undefined): Extract<WriteOutcome, { status: 'unsure' }> {
  if (outcome?.status !== 'unsure') throw new Error(`expected 'unsure', got ${JSON.stringify(outcome)}`)
  return outcome
}

export const nowMicros = (secondsAgo = 0): number => (Date.now() - secondsAgo * 1000) * 1000

export function describePushStore(name: string, openBench: () => Promise<PushStoreBench>): void {
  describe(`PushStore: ${name}`, () => {
    let bench: PushStoreBench
    let store: PushStore
    const push = async (...writes: SegmentWrite[]) => outcomesOf(await store.pushMessages(writes, null))
    const partition = async () => (await bench.createPartitions(1))[0]!

    beforeAll(async () => {
      bench = await openBench()
      store = bench.stores[0]!
    })
    afterAll(() => bench.close())

    describe('the usual flush (pushKnown)', () => {
      test('stores places in any order, each at its own end, and leaves alone what the caller knows too little of', async () => {
        const [a, b, c] = (await bench.createPartitions(3)) as [string, string, string]
        await push(write(b, ['b0', 'b1']))
        const result = await store.pushKnown([
          write(c, ['c0']),
          write(b, ['b2'], { known: [0, 1] }),
          write(a, ['a0', 'a1', 'a2']),
        ])
        const [atC, atB, atA] = outcomesOf(result)
        expect([storedOf(atC).firstOffset, storedOf(atA).firstOffset]).toEqual([0, 0])
        expect(unsureOf(atB)).toMatchObject({ duplicates: [], gap: [], unknownUpTo: null })
        expect((await bench.segments(a)).map(([first, last]) => [first, last])).toEqual([[0, 2]])
        expect([await bench.nextOffset(b), await bench.nextOffset(c)]).toEqual([2, 1])
        expect(storedOf(outcomesOf(await store.pushKnown([write(b, ['b2'], { known: [0, 2] })]))[0]).firstOffset).toBe(
          2,
        )
      })

      test('a place that is not deduplicated needs no knowledge; a vanished one is left alone', async () => {
        const [plain, gone] = (await bench.createPartitions(2)) as [string, string]
        await push(write(plain, ['x'], { window: 0 }))
        await bench.deletePartition(gone)
        const result = await store.pushKnown([write(plain, ['x'], { window: 0 }), write(gone, ['y'])])
        const [stored, left] = outcomesOf(result)
        expect(storedOf(stored).firstOffset).toBe(1)
        unsureOf(left)
      })

      test('G3 G4 of two that know the same end, one is stored; offsets and created_at rise together', async () => {
        const id = await partition()
        for (let round = 0; round < 20; round++) {
          const both = await Promise.all(
            bench.stores.slice(0, 2).map((each) => each.pushKnown([write(id, [`r${round}`], { known: [0, round] })])),
          )
          expect(both.map((result) => outcomesOf(result)[0]!.status).sort()).toEqual(['stored', 'unsure'])
        }
        const segments = await bench.segments(id)
        expect(segments.map(([first]) => first)).toEqual(Array.from({ length: 20 }, (_, index) => index))
        expect(segments.map(([, , at]) => at)).toEqual(segments.map(([, , at]) => at).sort())
      })

      test('G5 writes nothing while the switch is on, also when it waited at the fence', async () => {
        const id = await partition()
        const release = await bench.holdFence()
        const waiting = store.pushKnown([write(id, ['late'])])
        await bench.setMaintenance(true)
        await release()
        expect((await waiting).status).toBe('diverted')
        expect((await store.pushKnown([write(id, ['later'])])).status).toBe('diverted')
        await bench.setMaintenance(false)
        expect(await bench.segments(id)).toEqual([])
      })
    })

    test('no writes at all store nothing', async () => {
      expect(await store.pushMessages([], null)).toMatchObject({ status: 'done', outcomes: [] })
    })

    test('outcomes come in the order of the writes, whatever the order of the partitions', async () => {
      const partitions = await bench.createPartitions(5)
      const writes = partitions.map((id, index) =>
        write(
          id,
          Array.from({ length: index + 1 }, (_, i) => `m${i}`),
        ),
      )
      await push(...writes)
      const outcomes = await push(
        ...writes.map(({ partitionId, count }) => write(partitionId, ['more'], { known: [0, count] })),
      )
      expect(outcomes.map((outcome) => storedOf(outcome).firstOffset)).toEqual([1, 2, 3, 4, 5])
    })

    test('G4 offsets are dense and created_at follows them under concurrent flushes', async () => {
      const partitions = await bench.createPartitions(4)
      const told = new Map<string, [number, number][]>(partitions.map((id) => [id, []]))
      const work = bench.stores.map(async (own, instance) => {
        for (let round = 0; round < 40; round++) {
          const places = partitions.filter((_, index) => (round + instance + index) % 3 !== 0)
          const writes = places.map((id) => write(id, [randomUUID(), randomUUID()], { window: 0 }))
          const outcomes = outcomesOf(await own.pushMessages(writes, null))
          for (const [index, id] of places.entries()) told.get(id)!.push([storedOf(outcomes[index]).firstOffset, 2])
        }
      })
      await Promise.all(work)
      for (const id of partitions) {
        const segments = await bench.segments(id)
        let next = 0
        let before = ''
        for (const [first, last, createdAt] of segments) {
          expect(first).toBe(next)
          next = last + 1
          expect(createdAt >= before).toBe(true)
          before = createdAt
        }
        expect(await bench.nextOffset(id)).toBe(next)
        expect(
          told
            .get(id)!
            .sort((a, b) => a[0] - b[0])
            .map(([first]) => first),
        ).toEqual(segments.map(([first]) => first))
      }
    })

    test('G3 duplicates in what the caller does not know: nothing is stored, the oldest is named', async () => {
      const id = await partition()
      const first = write(id, ['a', 'b', 'c'])
      await push(first)
      const outcome = unsureOf((await push(write(id, ['x', 'c', 'a'])))[0])
      expect(outcome.duplicates).toEqual([
        { index: 2, messageId: messageIdAt(first.idBase, 0) },
        { index: 1, messageId: messageIdAt(first.idBase, 2) },
      ])
      expect(outcome.gap.map(({ firstOffset, keys }) => [firstOffset, keys.equals(first.keys)])).toEqual([[0, true]])
      expect(await bench.nextOffset(id)).toBe(3)
      // Beside it, other places of the same flush are stored.
      const other = await partition()
      const [again, stored] = await push(write(id, ['a']), write(other, ['a']))
      expect([again!.status, stored!.status]).toEqual(['unsure', 'stored'])
    })

    test('what the caller knows is not probed, the gap above and what lies below its knowledge are', async () => {
      const id = await partition()
      await push(write(id, ['a', 'b']))
      await push(write(id, ['c', 'd'], { known: [0, 2] }))
      await push(write(id, ['e', 'f'], { known: [0, 4] }))
      const gap = storedOf((await push(write(id, ['new'], { known: [0, 2] })))[0]).gap
      expect(gap.map(({ firstOffset }) => firstOffset)).toEqual([2, 4])
      expect(unsureOf((await push(write(id, ['f', 'z'], { known: [0, 2] })))[0]).duplicates).toMatchObject([
        { index: 0 },
      ])
      expect(unsureOf((await push(write(id, ['q', 'b'], { known: [4, 7] })))[0]).duplicates).toMatchObject([
        { index: 1 },
      ])
      // The caller claims to know it: its word is taken, so nothing of [2, 4) is read.
      expect(storedOf((await push(write(id, ['d'], { known: [2, 7] })))[0]).firstOffset).toBe(7)
    })

    // Few keys are compared each with each, many are joined.
    test.each([10, 600])(
      'G3 a segment of which the caller knows only the end is looked through (%i keys)',
      async (count) => {
        const id = await partition()
        await push(write(id, ['first']))
        const segment = Array.from({ length: count }, (_, index) => `s${index}`)
        await push(write(id, segment, { known: [0, 1] }))
        const known = [1 + count / 2, 1 + count] as const
        expect(unsureOf((await push(write(id, ['new', 's0'], { known })))[0]).duplicates).toMatchObject([{ index: 1 }])
        expect(storedOf((await push(write(id, ['new'], { known })))[0]).firstOffset).toBe(1 + count)
      },
    )

    test('a caller that knows more than there is (restored database) is told to start over', async () => {
      const id = await partition()
      await push(write(id, ['a']))
      expect(unsureOf((await push(write(id, ['b'], { known: [0, 100] })))[0]).unknownUpTo).toBe(1)
      expect(await bench.nextOffset(id)).toBe(1)
    })

    test('suspects are confirmed by key and place, or found innocent', async () => {
      const id = await partition()
      const first = write(id, ['a', 'b'])
      await push(first)
      const suspect = (key: string, offset: number): Suspect => ({ key: keyOf(key), offset, acceptedAtMicros: null })
      // Confirmed, with another entry for a place where it is not: stored without it.
      const confirmed = storedOf(
        (await push(write(id, ['n'], { known: [0, 2], suspects: [suspect('b', 0), suspect('b', 1)] })))[0],
      )
      expect(confirmed.confirmed).toEqual([{ index: 1, messageId: messageIdAt(first.idBase, 1) }])
      const innocent = unsureOf(
        (await push(write(id, ['o'], { known: [0, 3], suspects: [suspect('zz', 1), suspect('a', 0)] })))[0],
      )
      expect(innocent).toMatchObject({ innocent: [0], confirmed: [{ index: 1 }], unknownUpTo: null })
      expect(await bench.nextOffset(id)).toBe(3)
      // Nothing but suspects: nothing to store.
      const only = storedOf((await push(write(id, [], { known: [0, 3], suspects: [suspect('a', 0)] })))[0])
      expect(only.confirmed).toHaveLength(1)
      expect(await bench.nextOffset(id)).toBe(3)
    })

    test('the window ends after its seconds, for the gap, for what lies below and for suspects', async () => {
      const id = await partition()
      await push(write(id, ['old']))
      await bench.age(id, WINDOW + 5)
      await push(write(id, ['young'], { known: [0, 1] }))
      const fresh = storedOf((await push(write(id, ['old'])))[0])
      expect(fresh.gap.map(({ firstOffset }) => firstOffset)).toEqual([1])
      await bench.age(id, WINDOW - 5)
      expect(unsureOf((await push(write(id, ['young'])))[0]).duplicates).toMatchObject([{ index: 0 }])
      const key = keyOf('young')
      await bench.age(id, 10)
      expect(storedOf((await push(write(id, ['young'], { known: [3, 3] })))[0]).firstOffset).toBe(3)
      expect(
        unsureOf(
          (await push(write(id, ['x'], { known: [0, 4], suspects: [{ key, offset: 1, acceptedAtMicros: null }] })))[0],
        ),
      ).toMatchObject({ innocent: [0], duplicates: [] })
    })

    test('a window of 0 seconds deduplicates nothing', async () => {
      const id = await partition()
      await push(write(id, ['a'], { window: 0 }))
      expect(storedOf((await push(write(id, ['a'], { window: 0 })))[0]).firstOffset).toBe(1)
    })

    test('buffered messages are judged by when they were accepted, on both sides', async () => {
      const id = await partition()
      const bufferId = `accepted-${id}`
      const drain = async (
        from: number,
        transactionId: string,
        acceptedSecondsAgo: number,
        known: readonly [number, number] = [0, 0],
      ) =>
        store.pushMessages([write(id, [transactionId], { acceptedAtMicros: [nowMicros(acceptedSecondsAgo)], known })], {
          bufferId,
          after: await store.readDrainProgress(bufferId),
          from,
          through: from,
          setAside: [],
        })
      // Accepted two hours ago, stored now.
      storedOf(outcomesOf(await drain(1, 'two-hours', 7200))[0])
      // A live push of the same id now: two hours later, outside the window.
      expect(storedOf((await push(write(id, ['two-hours'])))[0]).firstOffset).toBe(1)
      // Another buffer's record accepted 90 minutes ago: within an hour of the first.
      const near = unsureOf(outcomesOf(await drain(2, 'two-hours', 5400))[0])
      expect(near.duplicates).toMatchObject([{ index: 0 }])
      // Accepted five hours ago: outside on the other side.
      expect(storedOf(outcomesOf(await drain(3, 'two-hours', 18_000))[0]).firstOffset).toBe(2)
      // Stored live 80 minutes ago, accepted by a buffer an hour ago: a duplicate although it left the window of now.
      await push(write(id, ['live'], { known: [0, 3] }))
      await bench.age(id, 4800)
      expect(unsureOf(outcomesOf(await drain(4, 'live', 3600))[0]).duplicates).toMatchObject([{ index: 0 }])
      expect(unsureOf(outcomesOf(await drain(4, 'live', 3600, [4, 4]))[0]).duplicates).toMatchObject([{ index: 0 }])
      expect(storedOf(outcomesOf(await drain(4, 'live', 0))[0]).firstOffset).toBe(4)
    })

    test('a partition that is gone is reported, the others are stored', async () => {
      const [gone, here] = (await bench.createPartitions(2)) as [string, string]
      await bench.deletePartition(gone)
      const outcomes = await push(write(gone, ['a']), write(here, ['a']), write(randomUUID(), ['a']))
      expect(outcomes.map(({ status }) => status)).toEqual(['gone', 'stored', 'gone'])
      const step = { bufferId: randomUUID(), after: 0, from: 1, through: 1, setAside: [] }
      const at = { acceptedAtMicros: [nowMicros()], known: [0, 1] as const }
      const drained = outcomesOf(await store.pushMessages([write(gone, ['b'], at), write(here, ['b'], at)], step))
      expect(drained.map(({ status }) => status)).toEqual(['gone', 'held'])
    })

    test('G5 with the switch on nothing is written, live or drained', async () => {
      const id = await partition()
      await bench.setMaintenance(true)
      try {
        expect(await store.pushMessages([write(id, ['a'])], null)).toEqual({ status: 'diverted' })
        const step = { bufferId: randomUUID(), after: 0, from: 1, through: 1, setAside: [] }
        expect(await store.pushMessages([write(id, ['a'], { acceptedAtMicros: [nowMicros()] })], step)).toEqual({
          status: 'diverted',
        })
        expect(await store.readDrainProgress(step.bufferId)).toBe(0)
      } finally {
        await bench.setMaintenance(false)
      }
      expect(await bench.nextOffset(id)).toBe(0)
      expect((await push(write(id, ['a'])))[0]!.status).toBe('stored')
    })

    test('G5 a flush that waits on the fence while the switch is set reads it afterwards', async () => {
      const id = await partition()
      const release = await bench.holdFence()
      const waiting = store.pushMessages([write(id, ['a'])], null)
      await bench.setMaintenance(true)
      try {
        await release()
        expect(await waiting).toEqual({ status: 'diverted' })
        expect(await bench.nextOffset(id)).toBe(0)
      } finally {
        await bench.setMaintenance(false)
      }
    })

    test('a gap too large for a flush is read in pages, whole segments at a time, only from within the window', async () => {
      const id = await partition()
      const count = 10_000
      const all = (round: number) => Array.from({ length: count }, (_, i) => `${round}-${i}`)
      await push(write(id, all(99), { window: 0 }))
      await bench.age(id, WINDOW + 60)
      for (let round = 0; round < 7; round++) await push(write(id, all(round), { window: 0 }))
      expect(unsureOf((await push(write(id, ['0-0'])))[0])).toMatchObject({
        unknownUpTo: 8 * count,
        gap: [],
        innocent: [],
      })
      const offsets: number[] = []
      let from = 0
      for (;;) {
        const page = await store.readKeys(id, from, WINDOW, 15_000)
        if (page.length === 0) break
        expect(page.length).toBeLessThanOrEqual(2)
        offsets.push(...page.map(({ firstOffset }) => firstOffset))
        from = page.at(-1)!.firstOffset + page.at(-1)!.keys.length / KEY_BYTES
      }
      expect(offsets).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) => n * count))
      expect(unsureOf((await push(write(id, ['6-3', 'x'], { known: [0, 5 * count] })))[0]).duplicates).toMatchObject([
        { index: 0 },
      ])
    })

    test('G3 a flush is known by the id its segment began with, in its own partition, however many have been stored since', async () => {
      const [id, other] = await bench.createPartitions(2)
      const since = nowMicros(60)
      const flushes = [1, 2, 3].map((n) => write(id!, [`${n}`, 'again'], { window: 0 }))
      await push(flushes[0]!)
      await bench.age(id!, 3_600)
      await push(flushes[1]!)
      await push(write(id!, ['later'], { window: 0 }))
      const asked = (partitionId: string, { idBase }: SegmentWrite, sinceMicros = since) => ({
        partitionId,
        idBase,
        sinceMicros,
      })
      const [first, second, never] = flushes as [SegmentWrite, SegmentWrite, SegmentWrite]
      expect(
        await store.storedFlushes([
          asked(id!, never),
          asked(id!, second),
          asked(other!, second),
          asked(id!, first, nowMicros(7_200)),
          asked(randomUUID(), second),
        ]),
      ).toEqual([false, true, false, true, false])
      expect(await store.storedFlushes([])).toEqual([])
    })

    test('ten thousand messages beside ten thousand unknown ones are compared within the statement limit', async () => {
      const id = await partition()
      const names = Array.from({ length: 10_000 }, (_, i) => `n-${i}`)
      await push(write(id, names))
      // A comparison of each with each takes half a minute: the statement limit would end it.
      const outcome = unsureOf((await push(write(id, names)))[0])
      expect(outcome.duplicates).toHaveLength(10_000)
    })
  })
}
