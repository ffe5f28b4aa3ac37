/**
 * All tests of the repository. One PostgreSQL serves the whole run (global setup); every test file that needs a
 * database creates its own empty one there.
 */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    globalSetup: ['packages/embedded-postgres/src/testing/global-setup.ts'],
    pool: 'forks',
    // Two cores: one file per core beside PostgreSQL. More only makes timing tests wait for each other.
    maxWorkers: 2,
    // Generous: a slow machine must not turn a right answer into a failure. Tests wait on signals, never this long.
    testTimeout: 30_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
  },
})
