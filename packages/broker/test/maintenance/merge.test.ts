/** The order of a merge, as a plain function of what is staged, and for which database it holds. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Merge, mergedList } from '../../src/engine/drain/merge.ts'
import { decodeStaged, encodeStaged } from '../../src/engine/drain/staged-batch.ts'
import type { DrainStore, StagedRow } from '../../src/ports/drain-store.ts'
import type { PushStore } from '../../src/ports/push-store.ts'
import type { BufferedRecord } from '../../src/ports/record-log.ts'

const record = (number: number, acceptedAtMicros: number, text = ''): BufferedRecord => ({
  number,
  acceptedAtMicros,
  flags: 0,
  bytes: Buffer.from(text),
  start: 0,
  end: Buffer.byteLength(text),
  body: Buffer.from(text),
})

let ids = 0
const row = (bufferId: string, records: BufferedRecord[], more: Partial<StagedRow> = {}): StagedRow => ({
  id: String(++ids),
  bufferId,
  lastNumber: records.at(-1)!.number,
  takenThrough: records[0]!.number - 1,
  latestMicros: Math.max(...records.map((each) => each.acceptedAtMicros)),
  moreBehind: false,
  body: encodeStaged(records),
  ...more,
})

const names = (rows: StagedRow[], upTo = Number.POSITIVE_INFINITY): string[] =>
  mergedList(rows, upTo).map((each) => `${each.row.bufferId}${each.record.number}`)

describe('G4 the order of a merge', () => {
  it('is that of acceptance, over all buffers', () => {
    expect(names([row('a', [record(1, 10), record(2, 40)]), row('b', [record(7, 20), record(8, 30)])])).toEqual([
      'a1',
      'b7',
      'b8',
      'a2',
    ])
  })

  it('ends at the frontier', () => {
    expect(names([row('a', [record(1, 10), record(2, 40)]), row('b', [record(7, 20)])], 30)).toEqual(['a1', 'b7'])
  })

  it('leaves out what was taken', () => {
    expect(names([row('a', [record(1, 10), record(2, 20), record(3, 30)], { takenThrough: 2 })])).toEqual(['a3'])
  })

  it('ends where a buffer has rows that were not read', () => {
    const rows = [
      row('a', [record(1, 10), record(2, 20)], { moreBehind: true }),
      row('b', [record(1, 15), record(2, 25)]),
    ]
    expect(names(rows)).toEqual(['a1', 'b1', 'a2'])
  })

  it('goes by the record number inside a buffer, also when the clock went back', () => {
    const rows = [row('a', [record(1, 50), record(2, 10)]), row('b', [record(1, 20)])]
    expect(names(rows)).toEqual(['b1', 'a1', 'a2'])
  })

  it('marks the end of a row, and only that', () => {
    const list = mergedList([row('a', [record(1, 10), record(2, 20)])], 15)
    expect(list.map((each) => each.endsRow)).toEqual([false])
    const whole = mergedList([row('a', [record(1, 10), record(2, 20)])], 20)
    expect(whole.map((each) => each.endsRow)).toEqual([false, true])
  })

  it('holds for any number of buffers with clocks that only go forward', () => {
    const buffers = fc.array(fc.array(fc.nat(1000), { minLength: 1, maxLength: 20, size: 'max' }), {
      minLength: 1,
      maxLength: 5,
    })
    fc.assert(
      fc.property(buffers, fc.nat(1200), (times, upTo) => {
        const rows = times.map((each, index) =>
          row(
            String.fromCharCode(97 + index),
            each.sort((x, y) => x - y).map((at, i) => record(i + 1, at)),
          ),
        )
        const list = mergedList(rows, upTo)
        expect(list).toHaveLength(times.flat().filter((at) => at <= upTo).length)
        for (let i = 1; i < list.length; i++)
          expect(list[i]!.record.acceptedAtMicros).toBeGreaterThanOrEqual(list[i - 1]!.record.acceptedAtMicros)
      }),
    )
  })
})

describe('G2 G3 G4 what was read of a copy of the database is stored in that copy only', () => {
  /** Each step stores one record, if it may; what was done, in order. */
  function merging(onStore: (merge: Merge) => void) {
    const done: string[] = []
    const merge: Merge = new Merge({
      store: {
        readStaged: async () => {
          done.push('read')
          return [row('a', [record(1, 10), record(2, 20)])]
        },
        storeMerged: async (_, [mark], __, isCurrent) => {
          onStore(merge)
          done.push(`${isCurrent() ? 'store' : 'leave'} ${mark!.before + 1}`)
          return isCurrent() ? { status: 'done', outcomes: [], configVersion: 0 } : { status: 'diverted' }
        },
      } as Partial<DrainStore> as DrainStore,
      push: {} as PushStore,
      quarantine: { add: async () => true },
      drain: async (log, store, goOn) => {
        for (let number = 1; goOn(); number++) {
          const step = { bufferId: log.bufferId, after: number - 1, from: number, through: number, setAside: [] }
          const { status } = await store.pushMessages([], step)
          if (status === 'diverted') return status
        }
        return 'stopped'
      },
    })
    return { done, merge }
  }

  it('and not behind its end when another one comes between two steps', async () => {
    let steps = 0
    const { done, merge } = merging(() => {
      if (++steps === 2) merge.expectOther()
    })
    await merge.run(100, merge.copy, 60_000)
    expect(done).toEqual(['read', 'store 1', 'leave 2'])
  })

  it('and not read of another than the frontier is of', async () => {
    const { done, merge } = merging(() => {})
    const { copy } = merge
    merge.expectOther()
    await merge.run(100, copy, 60_000)
    expect(done).toEqual([])
  })
})

describe('a staged row', () => {
  it('gives back what it was given', () => {
    const records = [record(2 ** 40, 1_795_000_000_000_123, 'payload'), { ...record(2 ** 40 + 5, 1, ''), flags: 1 }]
    const shown = (each: BufferedRecord) => [each.number, each.acceptedAtMicros, each.flags, each.body.toString()]
    expect(decodeStaged(encodeStaged(records)).map(shown)).toEqual(records.map(shown))
  })

  it('that is cut off is a defect, not a message', () => {
    const bytes = encodeStaged([record(1, 1, 'payload')])
    expect(() => decodeStaged(bytes.subarray(0, bytes.length - 1))).toThrow('crosses the end')
  })
})
