/**
 * The barrier of a cluster against a PostgreSQL that is slow to answer: the control and the cluster drain themselves, over
 * a store that answers when the test says so. Whoever has promised to hold its pushes holds them.
 */
import { describe, expect, it, vi } from 'vitest'
import { readSwitch, type SwitchState } from '../../src/engine/maintenance/switch-state.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { DRAINING, defects, inBarrier, NORMAL, pause, view } from './in-barrier.ts'

/** A slow machine may take its time; nothing waits so long otherwise. */
const FOR_LONG = { timeout: 20_000, interval: 5 }
const never = (): Promise<never> => new Promise(() => {})

describe('G4 a promise to hold pushes', () => {
  it('is kept while its report is slow, and the answer decides', async () => {
    let position = DRAINING
    const { entered, route } = await inBarrier(async ({ gated }) => {
      if (gated) {
        await pause(1_400)
        position = NORMAL
      }
      return view({ switch: position })
    })
    await pause(1_200)
    expect(route.mode).toBe('held')
    await pause(600)
    expect(route.mode).toBe('direct')
    expect(entered).not.toContain('outage')
  })

  it('is not made again between taking it back and opening the gate', async () => {
    let takenBack = false
    const { control, entered, reports } = await inBarrier(async ({ gated }, all) => {
      // Taking it back takes so long that the next round stands in line behind it.
      if (!gated && all.some((report) => report.gated) && !takenBack) {
        takenBack = true
        await pause(100)
      }
      return view({ called: !takenBack })
    })
    for (let look = 0; look < 200 && control.state === 'barrier'; look++) await pause(5)
    await pause(50)
    expect(entered[0]).toBe('gathering')
    const lastPromise = reports.findLastIndex((report) => report.gated)
    expect(lastPromise).toBeGreaterThan(0)
    // The first of them takes it back, the others stood in line.
    expect(reports.length - lastPromise).toBeGreaterThan(2)
    expect(reports.slice(0, lastPromise).findLastIndex((report) => !report.gated)).toBeLessThan(
      reports.findIndex((report) => report.gated),
    )
  })

  it('stands through refusals for as long as a push can wait, and not longer', async () => {
    let refuse = false
    const { entered, route } = await inBarrier(async ({ gated }) => {
      if (refuse) throw new StoreError('locked', 'canceling statement due to lock timeout')
      refuse = gated
      return view()
    })
    await pause(1_500)
    expect(route.mode).toBe('held')
    await pause(900)
    expect(entered[0]).toBe('outage')
  })

  it('ends after as long when PostgreSQL says nothing at all', async () => {
    const { entered } = await inBarrier((_, all) =>
      all.some(({ gated }) => gated) ? never() : Promise.resolve(view()),
    )
    await pause(1_700)
    expect(entered).toEqual([])
    await pause(700)
    expect(entered[0]).toBe('outage')
  })

  it('that certainly did not arrive holds nobody: the outage begins at once', async () => {
    const { entered } = await inBarrier(async ({ gated }) => {
      if (gated) throw new StoreError('unavailable', 'connection refused')
      return view()
    })
    await pause(100)
    expect(entered[0]).toBe('outage')
  })

  it('stands until the end of the drain is acted on, however long the disk takes to remember it', async () => {
    let position = DRAINING
    const { entered } = await inBarrier(async ({ gated }) => view({ switch: position, ungated: gated ? 0 : 1 }), {
      // The barrier's time ends while the disk still writes.
      finish: async () => {
        await pause(150)
        position = NORMAL
        return { switch: NORMAL, drained: 0, setAside: 0 }
      },
      saveMs: 200,
    })
    await pause(900)
    expect(entered).toEqual(['gate', 'direct'])
  })

  it('is made only when nothing has to be asked of PostgreSQL behind the gate', async () => {
    let synced = false
    let early = 0
    const { reports } = await inBarrier(
      async ({ gated }) => {
        if (gated && !synced) early++
        return view()
      },
      {
        sync: async () => {
          if (synced) return
          await pause(60)
          synced = true
        },
      },
    )
    await pause(50)
    expect(reports.some(({ gated }) => gated)).toBe(true)
    expect(early).toBe(0)
  })

  it('is not made while a push is still on its way, however often the gate is closed', async () => {
    let inFlight = 1
    const { reports } = await inBarrier(async () => view(), { inFlight: () => inFlight })
    await vi.waitUntil(() => reports.filter(({ closing }) => closing).length >= 5, FOR_LONG)
    expect(reports.filter(({ gated }) => gated)).toEqual([])
    inFlight = 0
    await vi.waitUntil(() => reports.at(-1)!.gated, FOR_LONG)
  })

  it('leaves nothing behind that could end in an outage when the others are normal', async () => {
    let position = DRAINING
    const { entered } = await inBarrier(
      async ({ gated }, all) => {
        // Stood in line behind the one that took the promise back.
        if (position === NORMAL) throw new StoreError('locked', 'canceling statement due to lock timeout')
        if (!gated && all.some((report) => report.gated)) {
          await pause(100)
          position = NORMAL
        }
        return view({ switch: position })
      },
      { saveMs: 50 },
    )
    await pause(900)
    expect(entered).toEqual(['gate', 'direct'])
  })

  it('opens the gate when it is kept, however long the disk takes to show that the buffer is empty', async () => {
    let position = DRAINING
    const { entered } = await inBarrier(
      async ({ gated }) => {
        if (gated) position = NORMAL
        return view({ switch: position })
      },
      { readMs: 400 },
    )
    await pause(600)
    expect(entered).toEqual(['gate', 'direct'])
  })

  it('lets nobody go direct before another copy of the database was looked at, which came when it was kept', async () => {
    let position = DRAINING
    let looksLeft = 0
    const looked: string[] = []
    const { entered, route } = await inBarrier(
      async ({ gated }) => {
        if (gated) {
          position = NORMAL
          // And once more while it is looked at.
          looksLeft = 2
        }
        return view({ switch: position })
      },
      {
        isInDoubt: () => looksLeft > 0,
        run: async () => {
          if (looksLeft-- > 0) looked.push(entered.at(-1)!)
          return 'empty'
        },
      },
    )
    await vi.waitUntil(() => route.mode === 'direct', FOR_LONG)
    expect([looked, entered]).toEqual([
      ['gate', 'gate'],
      ['gate', 'direct'],
    ])
  })

  it('is not taken back when somebody else has learned that the drain is over and still writes that down', async () => {
    let position = DRAINING
    const { control, entered } = await inBarrier(
      async ({ gated }, all) => {
        if (!gated && all.some((report) => report.gated)) await pause(120)
        return view({ switch: position })
      },
      { saveMs: 200 },
    )
    // The barrier's 250 ms are over, and the promise is being taken back; a notification makes this instance look.
    await pause(300)
    position = NORMAL
    await control.learn(readSwitch(NORMAL), control.ticket())
    await pause(50)
    expect(entered).toEqual(['gate', 'direct'])
  })
})

describe('G4 the frontier of a report', () => {
  it('does not pass an append that has not ended', async () => {
    const { acceptance, reports } = await inBarrier(async () => view())
    const ended = Promise.withResolvers<void>()
    const append = acceptance.during(() => ended.promise)
    const begunMicros = acceptance.oldestMicros!
    const during = reports.length
    await vi.waitUntil(() => reports.length >= during + 3, FOR_LONG)
    expect(reports.slice(during).map(({ frontierMicros }) => frontierMicros < begunMicros)).not.toContain(false)
    ended.resolve()
    await append
    await vi.waitUntil(() => reports.at(-1)!.frontierMicros > begunMicros, FOR_LONG)
  })
})

describe('G4 an instance whose step takes long', () => {
  it('goes on reporting meanwhile, one report at a time, and promises nothing', async () => {
    const stored = Promise.withResolvers<'empty'>()
    let runs = 0
    let answering = 0
    let most = 0
    const { reports } = await inBarrier(
      async () => {
        most = Math.max(most, ++answering)
        await pause(20)
        answering--
        return view({ ungated: 0, called: false })
      },
      // Whoever starts waits for its first round.
      { reaches: 'gathering', pendingRecords: 5, run: async () => (runs++ === 0 ? 'empty' : stored.promise) },
    )
    await vi.waitUntil(() => runs === 2)
    const before = reports.length
    await vi.waitUntil(() => reports.length >= before + 2, { timeout: 10_000 })
    expect([most, reports.some(({ closing, gated }) => closing || gated)]).toEqual([1, false])
    stored.resolve('empty')
  })
})

describe('G4 an instance that slept', () => {
  it('takes a window for open only while the switch says so, however slowly its end is written to disk', async () => {
    const window = { enabled: true, draining: false, epoch: 0, since: '2026-01-01T00:00:00.000Z' }
    const looks: PromiseWithResolvers<unknown>[] = []
    const { control } = await inBarrier(async () => view(), {
      saveMs: 300,
      reaches: 'window',
      switchNow: () => {
        const look = Promise.withResolvers<unknown>()
        if (looks.push(look) === 1) look.resolve(window)
        return look.promise
      },
    })
    let confirmed = false
    const confirming = control.confirm(1).then(() => {
      confirmed = true
    })
    // Asked later, answered sooner: the window is over, and the disk does not know it yet.
    const over = control.learn(readSwitch(NORMAL), control.ticket())
    looks[1]!.resolve(window)
    // It looks again instead of taking the old answer.
    await vi.waitUntil(() => looks.length > 2 || confirmed)
    expect([control.state, confirmed]).toEqual(['window', false])
    looks[2]!.resolve(NORMAL)
    await Promise.all([over, confirming])
    expect(control.state).toBe('direct')
  })

  it('asks again when its connections were cut while it slept, instead of taking PostgreSQL for gone', async () => {
    const window = { enabled: true, draining: false, epoch: 0, since: '2026-01-01T00:00:00.000Z' }
    let looks = 0
    const { control } = await inBarrier(async () => view(), {
      reaches: 'window',
      switchNow: async () => {
        if (++looks === 2) throw new StoreError('unavailable', 'Connection terminated unexpectedly')
        return looks === 1 ? window : NORMAL
      },
    })
    await control.confirm(1)
    expect(control.state).toBe('direct')
  })

  it('acknowledges when PostgreSQL cannot be reached: then it is cut off like any other', async () => {
    const window = { enabled: true, draining: false, epoch: 0, since: '2026-01-01T00:00:00.000Z' }
    let away = false
    const { control } = await inBarrier(async () => view(), {
      reaches: 'window',
      switchNow: async () => {
        if (away) throw new StoreError('unavailable', 'connect ECONNREFUSED')
        return window
      },
    })
    away = true
    await control.confirm(1)
    expect([control.state, control.stale]).toEqual(['window', true])
  })
})

describe('G11 a switch', () => {
  const window = { enabled: true, draining: false, epoch: 0, since: '2026-01-01T00:00:00.000Z' }

  it('that was on before a restart is on from the first instant, also without PostgreSQL', async () => {
    const { control } = await inBarrier(async () => view(), {
      remembered: window,
      reaches: 'window',
      switchNow: () => Promise.reject(new StoreError('unavailable', 'connect ECONNREFUSED')),
    })
    expect([control.phase, control.switch?.enabled, control.stale]).toEqual(['maintenance', true, true])
  })

  it('that a copy of the database has forgotten stays on, also while the copy takes no writes', async () => {
    let upheld: SwitchState | null = null
    const older = { ...NORMAL, epoch: 0 }
    const { control } = await inBarrier(async () => view(), {
      remembered: window,
      reaches: 'window',
      switchNow: async () => older,
      upholdWindow: async () => upheld,
    })
    // Whoever asks learns it from a status, too, which must be answered.
    await control.learn(readSwitch(older), control.ticket())
    expect([control.state, control.stale]).toEqual(['window', true])
    upheld = readSwitch(window)
    await control.learn(readSwitch(older), control.ticket())
    expect([control.state, control.stale]).toEqual(['window', false])
  })

  it('that is put on again while the disk still writes that it was off stays on', async () => {
    const off = Promise.withResolvers<void>()
    let saves = 0
    const { control, entered } = await inBarrier(async () => view(), {
      reaches: 'window',
      switchNow: async () => window,
      save: async () => {
        if (++saves === 2) await off.promise
      },
    })
    const ended = control.learn(readSwitch(NORMAL), control.ticket())
    const again = control.learn(readSwitch({ ...window, since: '2026-01-01T00:00:01.000Z' }), control.ticket())
    off.resolve()
    await Promise.all([ended, again])
    expect([control.state, entered]).toEqual(['window', []])
  })

  it('that is over lets nothing go to PostgreSQL before what has to be known for it, whoever reads the switch', async () => {
    const asked: PromiseWithResolvers<void>[] = []
    const { control, entered, route } = await inBarrier(async () => view(), {
      reaches: 'window',
      switchNow: async () => window,
      beforeWrites: () => {
        const asking = Promise.withResolvers<void>()
        asked.push(asking)
        return asking.promise
      },
    })
    // A window needs none of it.
    expect(asked).toHaveLength(0)
    const over = control.learn(readSwitch(NORMAL), control.ticket())
    await vi.waitFor(() => expect(asked).toHaveLength(1), FOR_LONG)
    expect([control.state, route.mode, entered]).toEqual(['window', 'buffer', []])
    await control.learn(readSwitch({ ...window, since: '2026-01-01T00:00:01.000Z' }), control.ticket())
    asked[0]!.resolve()
    await over
    expect([control.state, entered]).toEqual(['window', []])
    const ended = control.learn(readSwitch(NORMAL), control.ticket())
    await vi.waitFor(() => expect(asked).toHaveLength(2), FOR_LONG)
    asked[1]!.resolve()
    await ended
    expect(entered[0]).toBe('draining')
  })
})

describe('G11 a switch that the disk has no room for', () => {
  it('is remembered as soon as there is room, without another look at PostgreSQL, and reported once', async () => {
    const window = { enabled: true, draining: false, epoch: 0, since: '2026-01-01T00:00:00.000Z' }
    const full = new Error('ENOSPC: no space left on device, write')
    let tries = 0
    let saved: unknown = null
    let looks = 0
    const { control } = await inBarrier(async () => view(), {
      reaches: 'window',
      switchNow: async () => {
        looks++
        return window
      },
      save: async (file, state) => {
        if (file !== 'maintenance') return
        if (++tries < 4) throw full
        saved = state
      },
    })
    await vi.waitFor(() => expect(saved).toMatchObject(window))
    expect([control.state, tries, looks]).toEqual(['window', 4, 1])
    expect(defects.splice(0)).toEqual([full])
  })
})
