/**
 * `npm test`: the one gate. Format and lint, types, the built dashboard, every test. `npm test -- <path>` runs only the tests under a path.
 *
 * All steps run even when one fails, so that one run shows everything there is to mend.
 */
import { join } from 'node:path'
import { ensureDashboard } from './dashboard.mjs'
import { ensureInstalled, InstallationError, PROJECT_DIR, pinnedNode } from './installation.mjs'
import { exitCodeOf, runChild, signalReceived, withoutNpm } from './run-child.mjs'

const modules = join(PROJECT_DIR, 'node_modules')
const VUE_TYPES = join(PROJECT_DIR, 'scripts', 'vue-types.mjs')
const STEPS = {
  biome: [join(modules, '@biomejs', 'biome', 'bin', 'biome'), 'check', '--error-on-warnings', '.'],
  types: [join(modules, 'typescript', 'bin', 'tsc'), '-p', '.'],
  'dashboard types': [VUE_TYPES],
  tests: [join(modules, 'vitest', 'vitest.mjs'), 'run'],
}

try {
  const failed = []
  ensureInstalled()
  // Older PostgreSQL versions (176 MB) for the tests alone; a broker's user never downloads them.
  ensureInstalled(join(PROJECT_DIR, 'packages', 'embedded-postgres', 'majors'))
  // The browser tests look at the built page.
  if (!(await ensureDashboard())) failed.push('dashboard')
  if (signalReceived() !== undefined) process.exit(exitCodeOf(signalReceived()))
  const node = pinnedNode()
  const paths = process.argv.slice(2)
  const steps = paths.length > 0 ? { tests: [...STEPS.tests, ...paths] } : STEPS
  for (const [name, args] of Object.entries(steps)) {
    const code = await runChild(node, args, { cwd: PROJECT_DIR, env: withoutNpm(process.env) })
    if (code >= 128) process.exit(code) // somebody pressed Ctrl-C
    if (code !== 0) failed.push(name)
  }
  if (failed.length > 0) process.stderr.write(`queen: failed: ${failed.join(', ')}\n`)
  process.exitCode = failed.length > 0 ? 1 : 0
} catch (error) {
  if (!(error instanceof InstallationError)) throw error
  process.stderr.write(`queen: ${error.message}.\n`)
  process.exitCode = 2
}
