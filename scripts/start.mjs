/**
 * `npm start`: from a fresh clone to a running broker. Installs what is missing, then hands over to main.ts on the
 * pinned Node; everything that can be configured is decided there.
 */
import { join } from 'node:path'
import { ensureInstalled, InstallationError, PROJECT_DIR, pinnedNode } from './installation.mjs'
import { runChild, withoutNpm } from './run-child.mjs'

try {
  ensureInstalled()
  const main = join(PROJECT_DIR, 'packages', 'broker', 'src', 'main.ts')
  process.exitCode = await runChild(pinnedNode(), [main, ...process.argv.slice(2)], { env: withoutNpm(process.env) })
} catch (error) {
  if (!(error instanceof InstallationError)) throw error
  process.stderr.write(`queen: ${error.message}.\n`)
  process.exitCode = 2
}
