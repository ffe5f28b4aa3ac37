/**
 * All tests of the repository. One PostgreSQL serves the whole run (global setup); every test file that needs a
 * database creates its own empty one there.
 */
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The longest file (three minutes) first: last, it would run alone while the other core has nothing left to do. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const longest = sorted.filter((file) => file.moduleId.endsWith('test/chaos/chaos.test.ts'))
    return [...longest, ...sorted.filter((file) => !longest.includes(file))]
  }
}

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    globalSetup: ['packages/embedded-postgres/src/testing/global-setup.ts'],
    sequence: { sequencer: LongestFirst },
    pool: 'forks',
    // Two cores: one file per core beside PostgreSQL. More only makes timing tests wait for each other.
    maxWorkers: 2,
    // Generous: a slow machine must not turn a right answer into a failure. Tests wait on signals, never this long.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
})
