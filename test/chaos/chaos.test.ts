/** A short chaos run with a fixed seed, and the proof that its judge notices what it is there for. */
import { afterEach, describe, expect, test } from 'vitest'
import { endLeftovers } from '../support/leftovers.ts'
import type { Plant } from './plants.ts'
import { reportOf } from './report.ts'
import { runChaos } from './run.ts'

afterEach(endLeftovers)

/** Start, heal and count come on top of a run; a busy machine makes all of it longer. */
const PATIENCE_MS = 180_000

describe('chaos', () => {
  test(
    'G1 G2 G3 G4 G5 G6 G9 G10 three instances keep every promise through twenty seconds of faults',
    async () => {
      const options = { seconds: 20, seed: 11 }
      const result = await runChaos(options)
      expect(result.history.windows.length).toBeGreaterThan(0)
      expect(result.violations, reportOf(options, result)).toEqual([])
    },
    PATIENCE_MS,
  )

  test.each<[Plant, string, string[], number]>([
    ['skip-fsync', 'G2', ['maintenance', 'kill'], 7],
    ['overtake', 'G4', ['maintenance'], 7],
    ['forget-progress', 'G3', ['maintenance', 'kill'], 3],
    ['ignore-fence', 'G5', ['maintenance-unseen'], 7],
  ])(
    'the judge notices the planted bug %s',
    async (plant, guarantee, faults, seed) => {
      const { violations } = await runChaos({ seconds: 10, seed, faults, plant })
      expect(violations.map((violation) => violation.guarantee)).toContain(guarantee)
    },
    PATIENCE_MS,
  )
})
