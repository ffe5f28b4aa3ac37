/** When records were accepted: a clock that processes of one host share, and the frontier it makes possible. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { HorizonLog } from '../../src/engine/drain/horizon-log.ts'
import { Acceptance } from '../../src/engine/maintenance/acceptance.ts'
import { followDatabaseClock } from '../../src/engine/maintenance/follow-database-clock.ts'
import { HostClock } from '../../src/engine/maintenance/host-clock.ts'
import type { BufferedRecord } from '../../src/ports/record-log.ts'
import type { InstanceRow } from '../../src/ports/system-store.ts'
import { silent } from '../store/test-database.ts'

const run = promisify(execFile)
/** Numbers in [0, 1) that are the same at every run. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const CLOCK = fileURLToPath(new URL('../../src/engine/maintenance/host-clock.ts', import.meta.url))

describe('the clock of the host', () => {
  it('never goes back and stays within the millisecond that Date shows', () => {
    const clock = new HostClock()
    let before = 0
    let backwards = 0
    let away = 0
    for (let i = 0; i < 100_000; i++) {
      const wall = Date.now()
      const now = clock.nowMs()
      const after = Date.now()
      if (now < before) backwards++
      before = now
      // A process that lost its processor between two looks says nothing.
      if (after - wall <= 1 && (now <= wall - 0.5 || now >= after + 1.5)) away++
    }
    expect({ backwards, away }).toEqual({ backwards: 0, away: 0 })
  })

  // Kept small, or doubles would round away what a reading takes.
  const SINCE = 1_764_000_000_000

  it('is right, or knows less, in a process that loses its processor between any two readings', () => {
    const random = randomNumbers(7)
    for (let process = 0; process < 50; process++) {
      // Real time, of which the two clocks show their own; a reading takes 50 ns, and at times the process waits.
      let real = 1_000 * random()
      const bootedAt = -5_000_000 * random()
      const pass = (): number => {
        real += random() < 0.05 ? 12 * random() : 0.000_05
        return real
      }
      const clock = new HostClock(
        () => SINCE + Math.floor(pass()),
        () => pass() - bootedAt,
      )
      let worst = 0
      for (let i = 0; i < 3_000; i++) {
        const before = real
        const now = clock.nowMs() - SINCE
        const away = Math.max(0, before - now, now - real)
        if (i >= 2_900) worst = Math.max(worst, away)
        // However little could be learned: the pause, and the millisecond that the wall clock hides.
        else expect(away).toBeLessThan(13)
      }
      expect(worst).toBeLessThan(0.02)
    }
  })

  it('follows a wall clock that was set', () => {
    let real = 0.4
    let set = 0
    const clock = new HostClock(
      () => SINCE + Math.floor(real + set),
      () => {
        real += 0.000_05
        return real
      },
    )
    const away = () => {
      const before = real
      const now = clock.nowMs() - SINCE - set
      return Math.max(0, before - now, now - real)
    }
    expect(away()).toBeLessThan(0.02)
    set = 3_600_000
    real += 1_500
    expect(away()).toBeLessThan(0.02)
    // Back again: time goes on, and more slowly until the wall clock has caught up.
    const latest = clock.nowMs()
    set = 0
    real += 1_500
    expect(clock.nowMs() - latest).toBeCloseTo(750, 0)
    real += 7_200_000
    expect(away()).toBeLessThan(0.02)
  })

  it('G4 follows the clock of PostgreSQL where they are far apart, and only there', () => {
    let real = 0.4
    const clock = new HostClock(
      () => SINCE + Math.floor(real),
      () => {
        real += 0.000_05
        return real
      },
    )
    const ask = (aheadMs: number, tookMs = 2, mayGoBack = false): number | null => {
      const from = real
      real += tookMs
      return clock.compare(SINCE + real - tookMs / 2 + aheadMs, from, real, mayGoBack)
    }
    const ahead = () => Math.round(clock.nowMs() - SINCE - real) + 0
    expect([ask(200), ahead()]).toEqual([null, 0])
    expect([ask(5_000, 150), ahead()]).toEqual([null, 0])
    expect([Math.round(ask(5_000)!), ahead(), clock.followsDatabase]).toEqual([5_000, 5_000, true])
    expect([ask(5_100), ahead()]).toEqual([null, 5_000])
    // The host's clock was put right: not in one step back.
    expect([Math.round(ask(10)!), ahead(), clock.followsDatabase]).toEqual([10, 4_999, false])
    real += 10_000
    expect(ahead()).toBe(0)
    // In one step where nothing waits that was stamped.
    expect([Math.round(ask(-5_000, 2, true)!), ahead()]).toEqual([-5_000, -5_000])
  })

  describe('and that of PostgreSQL, which several hosts look at', () => {
    let real = 0.4
    /** A host, and how far its own clock is ahead of the right one. */
    function host(aheadMs = 0) {
      const clock = new HostClock(
        () => SINCE + Math.floor(real + aheadMs),
        () => {
          real += 0.000_05
          return real
        },
      )
      return {
        clock,
        /** PostgreSQL answers after `share` of the time it takes. */
        look(postgresAheadMs: number, tookMs: number, share: number, ...others: HostClock[]) {
          const from = real
          real += tookMs
          const views = others.map((other) => other.view).filter((view) => view !== null)
          clock.compare(SINCE + from + share * tookMs + postgresAheadMs, from, real, false, views)
        },
        ahead: () => clock.nowMs() - SINCE - real,
      }
    }

    it('G4 is followed by the same offset where the hosts agree, however badly one looks', () => {
      for (const postgresAheadMs of [400, -400, 252]) {
        const [a, b, c] = [host(), host(), host()]
        // Two find out at the same time, by looks that are 50 ms apart; one may think that it is near enough.
        a.look(postgresAheadMs, 50, 0)
        b.look(postgresAheadMs, 50, 1)
        for (let beats = 0; beats < 3; beats++) {
          a.look(postgresAheadMs, 2, 0.5, b.clock, c.clock)
          b.look(postgresAheadMs, 80, 0.9, a.clock, c.clock)
          // A third one comes later.
          if (beats > 0) c.look(postgresAheadMs, 10, 0, a.clock, b.clock)
        }
        real += 10_000
        expect(Math.abs(a.ahead() - postgresAheadMs)).toBeLessThanOrEqual(25.1)
        expect(b.ahead()).toBeCloseTo(a.ahead(), 1)
        expect(c.ahead()).toBeCloseTo(a.ahead(), 1)
        // And so it stays while PostgreSQL's clock goes its own way, also where that makes them follow it anew.
        for (let drift = 0; drift < 600; drift += 2) {
          a.look(postgresAheadMs + drift, 3, 1, b.clock, c.clock)
          b.look(postgresAheadMs + drift, 3, 0, a.clock, c.clock)
          c.look(postgresAheadMs + drift, 3, 0.5, a.clock, b.clock)
        }
        real += 10_000
        expect(b.ahead()).toBeCloseTo(a.ahead(), 1)
        expect(c.ahead()).toBeCloseTo(a.ahead(), 1)
      }
    })

    it('is taken from what the others that live say in their heartbeats', () => {
      const report = (followedMs: number) => ({ clock: { followedMs, lookMs: 400, errorMs: 1 } })
      const rows = [
        { id: 'a', silentMs: 0, report: report(380) },
        { id: 'b', silentMs: 0, report: report(390) },
        { id: 'of an earlier version', silentMs: 0, report: {} },
        { id: 'dead', silentMs: 3_600_000, report: report(370) },
      ] as unknown as InstanceRow[]
      const { clock } = host()
      followDatabaseClock(clock, silent, 'a', () => true)(SINCE + real + 1 + 400, real, real + 2, rows)
      expect(clock.view).toMatchObject({ followedMs: 390 })
    })

    it('G4 is followed by its own look of a host whose clock is another than those of the others', () => {
      const [a, b] = [host(), host(-90)]
      for (let beats = 0; beats < 2; beats++) {
        a.look(1_000, 2, 0.5, b.clock)
        b.look(1_000, 2, 0.5, a.clock)
      }
      expect(a.ahead()).toBeCloseTo(1_000, 0)
      expect(b.ahead()).toBeCloseTo(1_000, 0)
    })
  })

  it('G4 is the same in every process: what happens later has a later time', async () => {
    const clock = new HostClock()
    const script = `import { HostClock } from ${JSON.stringify(CLOCK)}; console.log(new HostClock().nowMicros())`
    for (let i = 0; i < 5; i++) {
      const before = clock.nowMicros()
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script])
      expect(Number(stdout)).toBeGreaterThan(before)
      expect(Number(stdout)).toBeLessThan(clock.nowMicros())
    }
  })
})

describe('appends under way', () => {
  it('show the oldest of them, whatever order they end in', async () => {
    let now = 0
    const acceptance = new Acceptance(() => ++now)
    const ends = Array.from({ length: 3 }, () => Promise.withResolvers<void>())
    const appends = ends.map(({ promise }) => acceptance.during(() => promise))
    expect(acceptance).toMatchObject({ running: 3, oldestMicros: 1 })
    ends[1]!.resolve()
    await appends[1]
    expect(acceptance).toMatchObject({ running: 2, oldestMicros: 1 })
    ends[0]!.resolve()
    await appends[0]
    expect(acceptance.oldestMicros).toBe(3)
    ends[2]!.reject(new Error('the disk'))
    await expect(appends[2]).rejects.toThrow('the disk')
    expect(acceptance).toMatchObject({ running: 0, oldestMicros: null })
  })

  it('are answered only when their time is past on every host, if there are others', async () => {
    const acceptance = new Acceptance(() => 0)
    acceptance.farAway = true
    const began = performance.now()
    await acceptance.during(async () => {})
    expect(performance.now() - began).toBeGreaterThanOrEqual(1)
  })
})

describe('a log with a horizon', () => {
  const record = (number: number): BufferedRecord => ({
    number,
    acceptedAtMicros: number * 10,
    flags: 0,
    bytes: Buffer.alloc(0),
    start: 0,
    end: 0,
    body: Buffer.alloc(0),
  })

  function logOf(...numbers: number[]) {
    const records = numbers.map(record)
    return new HorizonLog({
      bufferId: 'b',
      quarantine: { add: async () => true },
      read: async () => ({ records: records.splice(0), through: numbers.at(-1)!, empty: numbers.length === 0 }),
      rewind: () => {},
      drained: async () => {},
      setDrainedThrough: async () => {},
    })
  }

  it('shows nothing that was accepted later', async () => {
    const log = logOf(1, 2, 3)
    log.upToMicros = 20
    const batch = await log.read({ records: 10, bytes: 10 })
    expect(batch).toMatchObject({ through: 2, empty: false })
    expect(batch.records.map((each) => each.number)).toEqual([1, 2])
  })

  it('G2 shows nothing behind what it held back, also when the clock went back at a restart', async () => {
    const at = [10, 1_000, 20, 30]
    const records = at.map((acceptedAtMicros, index) => ({ ...record(index + 1), acceptedAtMicros }))
    let next = 0
    const log = new HorizonLog({
      bufferId: 'b',
      quarantine: { add: async () => true },
      read: async (limit) => {
        const batch = records.slice(next, next + limit.records)
        next += batch.length
        return { records: batch, through: next, empty: batch.length === 0 }
      },
      rewind: () => {
        next = 0
      },
      drained: async () => {},
      setDrainedThrough: async () => {},
    })
    log.upToMicros = 100
    const limit = { records: 2, bytes: 10 }
    expect(await log.read(limit)).toMatchObject({ through: 1, empty: false })
    expect(await log.read(limit)).toEqual({ records: [], through: 1, empty: true })
    log.rewind()
    log.upToMicros = 1_000
    expect((await log.read(limit)).records.map((each) => each.number)).toEqual([1, 2])
    expect((await log.read(limit)).records.map((each) => each.number)).toEqual([3, 4])
  })

  it('is empty when everything was', async () => {
    const log = logOf(5, 6)
    log.upToMicros = 20
    expect(await log.read({ records: 10, bytes: 10 })).toEqual({ records: [], through: 0, empty: true })
  })
})
