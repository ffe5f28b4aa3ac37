import { afterEach, describe, expect, it } from 'vitest'
import { FreezeWatch } from '../../src/engine/maintenance/freeze-watch.ts'

const STILL_MS_MAX = 15_000

let watch: FreezeWatch
afterEach(() => watch.stop())

/** A watch whose clocks stand where the test puts them. */
function watched(): { monotonic: number; wall: number } {
  const clocks = { monotonic: 1_000, wall: 1_700_000_000_000 }
  watch = new FreezeWatch(STILL_MS_MAX, [() => clocks.monotonic, () => clocks.wall])
  watch.start()
  return clocks
}

describe('a process that stood still', () => {
  it('is doubtful until somebody has found out what happened meanwhile', () => {
    const clocks = watched()
    clocks.monotonic += STILL_MS_MAX + 1
    clocks.wall += STILL_MS_MAX + 1
    expect(watch.doubtful).toBe(true)
    watch.settle()
    expect(watch.doubtful).toBe(false)
  })

  it('is doubtful after its machine was suspended, which stops the monotonic clock of Linux', () => {
    const clocks = watched()
    clocks.monotonic += 10
    clocks.wall += STILL_MS_MAX + 10
    expect(watch.doubtful).toBe(true)
  })

  it('is doubtful also when its wall clock was set back meanwhile', () => {
    const clocks = watched()
    clocks.monotonic += STILL_MS_MAX + 1
    clocks.wall -= 3_600_000
    expect(watch.doubtful).toBe(true)
  })

  it('is not for a pause that nobody else acts on', () => {
    const clocks = watched()
    clocks.monotonic += STILL_MS_MAX
    clocks.wall += STILL_MS_MAX
    expect(watch.doubtful).toBe(false)
  })
})
