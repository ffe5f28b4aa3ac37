/**
 * The model: a list of what was acknowledged. Whatever the disk does, after a reopen every acknowledged record is
 * returned in order, and the counts are those of the disk. Bits do not rot here (damage.test.ts), so nothing that
 * was acknowledged may be set aside.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { diceOf, FaultDisk } from '../src/fault-disk.ts'
import { type FileBuffer, openFileBuffer } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'

const DIRECTORY = '/buffer'
const openOn = (disk: FaultDisk) =>
  openFileBuffer({
    directory: DIRECTORY,
    disk,
    bufferBytesMax: 2 ** 30,
    diskFreeBytesMin: 0,
    fileBytesMax: 700,
    // Nobody removes a file here but the buffer itself.
    onEvent: ({ type }) => expect(type).not.toBe('missing'),
    // A clock that never moves on would keep the buffer refusing after ENOSPC; one that leaps keeps tests quick.
    clock: (() => {
      let now = 1_000_000
      return () => (now += 2_000)
    })(),
  })

type Step =
  | { do: 'append'; sizes: number[]; together: number }
  | { do: 'drain'; records: number }
  | {
      do: 'fail'
      operation: 'write' | 'datasync' | 'open' | 'syncDirectory' | 'truncate' | 'unlink'
      code: string
      skip: number
      times: number
    }
  | { do: 'short'; bytes: number | null }
  | { do: 'crash'; in: number; power: number | null }
  | { do: 'power'; seed: number }
  | { do: 'kill' }
  | { do: 'close' }

const sizes = fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 5 })
const seed = fc.integer({ min: 0, max: 2 ** 31 - 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('append' as const), sizes, together: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('drain' as const), records: fc.integer({ min: 1, max: 30 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('fail' as const),
      operation: fc.constantFrom('write', 'datasync', 'open', 'syncDirectory', 'truncate', 'unlink'),
      code: fc.constantFrom('EIO', 'ENOSPC'),
      skip: fc.integer({ min: 0, max: 3 }),
      times: fc.integer({ min: 1, max: 3 }),
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('short' as const), bytes: fc.option(fc.integer({ min: 1, max: 90 })) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      in: fc.integer({ min: 0, max: 25 }),
      power: fc.option(seed),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('power' as const), seed }) },
  { weight: 1, arbitrary: fc.constant({ do: 'kill' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'close' as const }) },
)

class Model {
  readonly disk = new FaultDisk()
  buffer!: FileBuffer
  /** Acknowledged records that are not known to be drained: number → body. */
  readonly acknowledged = new Map<number, string>()
  /** What the database would remember. */
  drainedThrough = 0
  highest = 0
  #bodies = 0
  #pendingPower: number | null | undefined
  #asked = false
  #bufferId = ''

  async run(steps: Step[]): Promise<void> {
    this.buffer = await openOn(this.disk)
    this.#bufferId = this.buffer.bufferId
    for (const one of steps) await this.#step(one)
    await this.#reopen(() => this.disk.restart())
  }

  async #step(one: Step): Promise<void> {
    if (one.do === 'append') await this.#append(one.sizes, one.together)
    else if (one.do === 'drain') await this.#drain(one.records)
    else if (one.do === 'fail') this.disk.fail(one.operation, one.code, one)
    else if (one.do === 'short') this.disk.shortWrites(one.bytes)
    else if (one.do === 'power') await this.#reopen(() => this.disk.powerLoss(diceOf(one.seed)))
    else if (one.do === 'kill') await this.#reopen(() => this.disk.restart())
    else if (one.do === 'crash') {
      this.disk.crashAfter(one.in)
      this.#pendingPower = one.power
    } else {
      await this.buffer.close()
      await this.#reopen(() => this.disk.restart())
    }
    if (this.disk.crashed) {
      const power = this.#pendingPower
      await this.#reopen(() => (typeof power === 'number' ? this.disk.powerLoss(diceOf(power)) : this.disk.restart()))
    }
  }

  async #append(sizesOfOne: number[], together: number): Promise<void> {
    const appends = Array.from({ length: together }, async () => {
      const bodies = sizesOfOne.map((size) => `${++this.#bodies}:`.padEnd(size, '.'))
      try {
        const { first, last } = await this.buffer.append(sourceOf(bodies))
        expect(last - first + 1).toBe(bodies.length)
        for (const [index, body] of bodies.entries()) {
          expect(this.acknowledged.has(first + index)).toBe(false)
          expect(first + index).toBeGreaterThan(this.drainedThrough)
          this.acknowledged.set(first + index, body)
        }
        this.highest = Math.max(this.highest, last)
      } catch (error) {
        expect((error as { code?: string }).code).toMatch(/^BUFFER_(FULL|UNAVAILABLE)$/)
      }
    })
    await Promise.all(appends)
  }

  async #drain(records: number): Promise<void> {
    try {
      if (!this.#asked) await this.#askDatabase()
      this.buffer.rewind()
      const batch = await this.buffer.read({ records, bytes: 400 })
      this.#expectInOrder(batch.records, batch.through)
      for (const { number } of batch.records) this.acknowledged.delete(number)
      // The database commits first; the buffer is told afterwards.
      this.drainedThrough = Math.max(this.drainedThrough, batch.through)
      await this.buffer.drained(batch.through)
    } catch (error) {
      expect((error as { code?: string }).code).toMatch(/^E/)
    }
  }

  async #reopen(die: () => void): Promise<void> {
    const old = this.buffer
    die()
    // The old process is dead; whatever it still tries fails on its dead handles.
    await old.close().catch(() => {})
    this.disk.restart()
    this.buffer = await openOn(this.disk)
    const hint = this.buffer.stats.drainedThrough
    expect(hint).toBeLessThanOrEqual(this.drainedThrough)
    // Every other time the database is away at first, and appends go on without its word.
    if (this.#bodies % 2 === 0) await this.#askDatabase()
    else this.#asked = false
    const { pendingRecords } = this.buffer.stats
    const all = await readAll(this.buffer)
    this.#expectInOrder(
      all.numbers.map((number, index) => ({ number, body: all.bodies[index]! })),
      Number.MAX_SAFE_INTEGER,
    )
    expect(all.numbers.length).toBe(pendingRecords)
    for (const { number, lastNumber } of all.setAside) {
      for (const acked of this.acknowledged.keys())
        expect(acked < number! || acked > (lastNumber ?? Infinity)).toBe(true)
    }
    // What survived without an acknowledgement is there for good from now on.
    for (const [index, number] of all.numbers.entries()) {
      if (number > this.drainedThrough) this.acknowledged.set(number, all.bodies[index]!)
    }
    this.buffer.rewind()
  }

  async #askDatabase(): Promise<void> {
    await this.buffer.setDrainedThrough(this.drainedThrough)
    // Under another id it would all be drained a second time.
    expect(this.buffer.bufferId).toBe(this.#bufferId)
    this.#asked = true
  }

  #expectInOrder(records: readonly { number: number; body: string | Buffer }[], through: number): void {
    const expected = [...this.acknowledged].filter(([number]) => number <= through).sort(([a], [b]) => a - b)
    const known = records.filter(({ number }) => this.acknowledged.has(number))
    expect(known.map(({ number, body }) => [number, body.toString('latin1')])).toEqual(expected)
    for (let i = 1; i < records.length; i++) expect(records[i]!.number).toBeGreaterThan(records[i - 1]!.number)
  }
}

/** Runs that once failed, or that caught the writer when one of its syncs was taken out. */
const examples: [Step[]][] = [
  [
    // fdatasync before the acknowledgement
    { do: 'crash', in: 6, power: 0 },
    { do: 'append', sizes: [0], together: 1 },
    { do: 'drain', records: 1 },
    { do: 'crash', in: 0, power: null },
  ],
  [
    // the name of a new file is made durable
    { do: 'append', sizes: [0], together: 1 },
    { do: 'crash', in: 0, power: 3 },
    { do: 'append', sizes: [0], together: 1 },
  ],
  [
    // start-up syncs what a killed process had only written
    { do: 'crash', in: 5, power: null },
    { do: 'append', sizes: [0], together: 2 },
    { do: 'crash', in: 0, power: 0 },
    { do: 'drain', records: 1 },
  ],
  [
    // the numbers of unlinked files are remembered
    { do: 'append', sizes: [10], together: 1 },
    { do: 'fail', operation: 'write', code: 'EIO', skip: 0, times: 1 },
    { do: 'append', sizes: [10, 10], together: 1 },
    { do: 'drain', records: 30 },
    { do: 'power', seed: 0 },
    { do: 'append', sizes: [0], together: 1 },
  ],
  [
    // a failed fdatasync is not tried again
    { do: 'append', sizes: [0], together: 1 },
    { do: 'fail', operation: 'datasync', code: 'EIO', skip: 0, times: 1 },
    { do: 'append', sizes: [0], together: 1 },
    { do: 'power', seed: 0 },
  ],
  [
    // a sync that failed at a start-up is not repeated without writing again
    { do: 'fail', operation: 'datasync', code: 'EIO', skip: 4, times: 1 },
    { do: 'append', sizes: [0], together: 1 },
    { do: 'crash', in: 7, power: null },
    { do: 'append', sizes: [0, 114], together: 3 },
    { do: 'power', seed: 0 },
  ],
].map((steps) => [steps as Step[]])

describe('G1 G9 G10: any faults, any crash', () => {
  it('every acknowledged record is read in order after the reopen, and the counts are those of the disk', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25, size: 'max' }), (steps) => new Model().run(steps)),
      { numRuns: Number(process.env.FAULT_RUNS ?? 400), examples },
    )
  }, 60_000)

  it('G3: whatever is left of the progress file, what was drained here is no sign of an older copy', async () => {
    for (let seed = 0; seed < 100; seed++) {
      const disk = new FaultDisk()
      const first = await openOn(disk)
      await first.append(sourceOf(['a']))
      await first.setDrainedThrough(0)
      await first.drained(1)
      disk.powerLoss(diceOf(seed))
      const second = await openOn(disk)
      await second.append(sourceOf(['b']))
      await second.setDrainedThrough(1)
      expect(second.bufferId, `seed ${seed}`).toBe(first.bufferId)
      expect((await readAll(second)).bodies).toEqual(['b'])
      await second.close()
    }
  })
})
