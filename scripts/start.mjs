/**
 * `npm start`: from a fresh clone to a running broker with its dashboard. Installs and builds what is missing, then hands
 * over to main.ts on the pinned Node; everything that can be configured is decided there.
 */
import { join } from 'node:path'
import { ensureDashboard } from './dashboard.mjs'
import { ensureInstalled, InstallationError, PROJECT_DIR, pinnedNode } from './installation.mjs'
import { exitCodeOf, runChild, signalReceived, withoutNpm } from './run-child.mjs'

try {
  ensureInstalled()
  // Messages matter more than the page that shows them: without it the broker starts all the same.
  if (process.argv.length === 2) {
    const isBuilt = await ensureDashboard()
    const signal = signalReceived()
    if (signal !== undefined) process.exit(exitCodeOf(signal))
    if (!isBuilt) process.stderr.write('queen: the dashboard could not be built; the broker starts without it.\n')
  }
  const main = join(PROJECT_DIR, 'packages', 'broker', 'src', 'main.ts')
  process.exitCode = await runChild(pinnedNode(), [main, ...process.argv.slice(2)], { env: withoutNpm(process.env) })
} catch (error) {
  if (!(error instanceof InstallationError)) throw error
  process.stderr.write(`queen: ${error.message}.\n`)
  process.exitCode = 2
}
