/** `npm run copy-database -- --from URL --to URL`: Queen's tables from one PostgreSQL into another. */
import { join } from 'node:path'
import { ensureInstalled, InstallationError, PROJECT_DIR, pinnedNode } from './installation.mjs'
import { runChild, withoutNpm } from './run-child.mjs'

try {
  ensureInstalled()
  const main = join(PROJECT_DIR, 'packages', 'broker', 'src', 'copy-database.ts')
  process.exitCode = await runChild(pinnedNode(), [main, ...process.argv.slice(2)], { env: withoutNpm(process.env) })
} catch (error) {
  if (!(error instanceof InstallationError)) throw error
  process.stderr.write(`queen: ${error.message}.\n`)
  process.exitCode = 2
}
