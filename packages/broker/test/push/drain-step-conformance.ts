/** What a PushStore must do with the steps of a drain, whatever it stands on. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DrainStep, PushStore, SegmentWrite } from '../../src/ports/push-store.ts'
import { nowMicros, outcomesOf, type PushStoreBench, storedOf, write } from './push-store-conformance.ts'

export function describeDrainSteps(name: string, openBench: () => Promise<PushStoreBench>): void {
  describe(`Drain steps: ${name}`, () => {
    let bench: PushStoreBench
    let store: PushStore
    const push = (...writes: SegmentWrite[]) => store.pushMessages(writes, null)

    beforeAll(async () => {
      bench = await openBench()
      store = bench.stores[0]!
    })
    afterAll(() => bench.close())

    test('G3 a drain step behind another is stored when that one is the last of its partition, as it was sent', async () => {
      const [one, two] = (await bench.createPartitions(2)) as [string, string]
      const bufferId = randomUUID()
      const at = { acceptedAtMicros: [nowMicros()] }
      const first = write(one, ['a'], at)
      const second = write(two, ['b'], at)
      const sendSecond = (segment: SegmentWrite) =>
        store.pushMessages([second], {
          ...{ bufferId, after: 10, from: 11, through: 20, setAside: [] },
          behind: { partitionId: segment.partitionId, idBase: segment.idBase, guessed: [] },
        })
      const refused = { status: 'progress', drainedThrough: 0 }
      expect(await sendSecond(first)).toEqual(refused)
      // The same messages, but sent again: it is not that one.
      const again = write(one, ['a'], at)
      await store.pushMessages([again], { bufferId, after: 0, from: 1, through: 10, setAside: [] })
      expect(await sendSecond(first)).toEqual({ ...refused, drainedThrough: 10 })
      expect(await bench.nextOffset(two)).toBe(0)
      storedOf(outcomesOf(await sendSecond(again))[0])
      expect([await bench.nextOffset(two), await store.readDrainProgress(bufferId)]).toEqual([1, 20])
      expect(await sendSecond(again)).toEqual({ ...refused, drainedThrough: 20 })
      // Something else was stored behind it.
      await push(write(two, ['c'], { known: [0, 1] }))
      const third = store.pushMessages([write(one, ['d'], { ...at, known: [0, 1] })], {
        ...{ bufferId, after: 20, from: 21, through: 30, setAside: [] },
        behind: { partitionId: two, idBase: second.idBase, guessed: [] },
      })
      expect(await third).toEqual({ ...refused, drainedThrough: 20 })
    })

    test('G3 a drain step behind another is stored only where it takes that one to be', async () => {
      const [one, two] = (await bench.createPartitions(2)) as [string, string]
      const bufferId = randomUUID()
      const at = { acceptedAtMicros: [nowMicros()] }
      await push(write(one, ['other']), write(two, ['other']))
      const first = write(one, ['a'], at)
      await store.pushMessages([first], { bufferId, after: 0, from: 1, through: 10, setAside: [] })
      const send = (known: number, guessed: string[]) =>
        store.pushMessages([write(one, ['b'], { ...at, known: [0, known] }), write(two, ['b'], at)], {
          ...{ bufferId, after: 10, from: 11, through: 20, setAside: [] },
          behind: { partitionId: one, idBase: first.idBase, guessed },
        })
      expect(await send(1, [one])).toEqual({ status: 'progress', drainedThrough: 10 })
      expect(await bench.nextOffset(one)).toBe(2)
      // What is not known of the other partition is probed, as always.
      expect(outcomesOf(await send(2, [one])).map(({ status }) => status)).toEqual(['stored', 'stored'])
    })

    test('G3 a drain step is stored with its progress or not at all, and a second time never', async () => {
      const [one, two] = (await bench.createPartitions(2)) as [string, string]
      const bufferId = randomUUID()
      const step: DrainStep = { bufferId, after: 0, from: 1, through: 10, setAside: [] }
      const at = [nowMicros()]
      expect(await store.readDrainProgress(bufferId)).toBe(0)
      const writes = [write(one, ['a'], { acceptedAtMicros: at }), write(two, ['b'], { acceptedAtMicros: at })]
      expect(outcomesOf(await store.pushMessages(writes, step)).map(({ status }) => status)).toEqual([
        'stored',
        'stored',
      ])
      expect(await store.readDrainProgress(bufferId)).toBe(10)
      expect(await store.pushMessages(writes, step)).toEqual({ status: 'progress', drainedThrough: 10 })
      expect(await store.pushMessages(writes, { bufferId, after: 4, from: 5, through: 20, setAside: [] })).toEqual({
        status: 'progress',
        drainedThrough: 10,
      })
      // It is known that the first of them are stored, and the disk still has them.
      expect(await store.pushMessages(writes, { bufferId, after: 10, from: 5, through: 20, setAside: [] })).toEqual({
        status: 'progress',
        drainedThrough: 10,
      })
      // A copy of the database that lacks records between: nothing may pass over them.
      expect(await store.pushMessages(writes, { bufferId, after: 14, from: 15, through: 20, setAside: [] })).toEqual({
        status: 'progress',
        drainedThrough: 10,
      })
      expect([await bench.nextOffset(one), await bench.nextOffset(two)]).toEqual([1, 1])
      // One duplicate holds the other place back, and the progress.
      const mixed = [
        write(one, ['a'], { acceptedAtMicros: at }),
        write(two, ['c'], { acceptedAtMicros: at, known: [0, 1] }),
      ]
      const outcomes = outcomesOf(
        await store.pushMessages(mixed, { bufferId, after: 10, from: 11, through: 12, setAside: [] }),
      )
      expect(outcomes.map(({ status }) => status)).toEqual(['unsure', 'held'])
      expect([await store.readDrainProgress(bufferId), await bench.nextOffset(two)]).toEqual([10, 1])
      // A step whose records were all set aside still moves the progress.
      expect((await store.pushMessages([], { bufferId, after: 10, from: 11, through: 12, setAside: [] })).status).toBe(
        'done',
      )
      expect(await store.readDrainProgress(bufferId)).toBe(12)
      await Promise.all(
        bench.stores.map((own) =>
          own.pushMessages([write(two, ['d'], { acceptedAtMicros: at })], {
            bufferId,
            after: 12,
            from: 13,
            through: 13,
            setAside: [],
          }),
        ),
      )
      expect(await bench.nextOffset(two)).toBe(2)
    })
  })
}
