/** A chaos run with a fixed seed, and the proof that its judge notices what it is there for. */
import { afterEach, describe, expect, test } from 'vitest'
import { endLeftovers } from '../support/leftovers.ts'
import { EXPOSED_BY, PLANTS } from './plants.ts'
import { reportOf } from './report.ts'
import { runChaos } from './run.ts'

afterEach(endLeftovers)

/** Start, heal and count come on top of a run; a busy machine makes all of it longer. */
const PATIENCE_MS = 300_000

describe('chaos', () => {
  test(
    'G1 G2 G3 G4 G5 G6 G7 G8 G9 G10 G11 three instances keep every promise through a minute of faults',
    async () => {
      const options = { seconds: 60, seed: 11 }
      const result = await runChaos(options)
      expect(result.history.windows.length).toBeGreaterThan(0)
      expect(result.violations, reportOf(options, result)).toEqual([])
    },
    PATIENCE_MS,
  )

  test.each(PLANTS)(
    'the judge notices the planted bug %s',
    async (plant) => {
      const options = { seconds: 1, seed: 7, plant }
      const result = await runChaos(options)
      const broken = result.violations.map(({ guarantee }) => guarantee)
      expect(broken, reportOf(options, result)).toContain(EXPOSED_BY[plant].breaks)
    },
    PATIENCE_MS,
  )
})
