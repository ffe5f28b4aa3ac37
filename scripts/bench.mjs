/** `npm run bench`: installs what is missing, then measures on the pinned Node. Options after `--`; see `--help`. */
import { join } from 'node:path'
import { ensureInstalled, InstallationError, PROJECT_DIR, pinnedNode } from './installation.mjs'
import { runChild, withoutNpm } from './run-child.mjs'

try {
  ensureInstalled()
  const args = [join(PROJECT_DIR, 'bench', 'bench.ts'), ...process.argv.slice(2)]
  process.exitCode = await runChild(pinnedNode(), args, { env: withoutNpm(process.env) })
} catch (error) {
  if (!(error instanceof InstallationError)) throw error
  process.stderr.write(`queen: ${error.message}.\n`)
  process.exitCode = 2
}
