/** `npm run chaos -- --seconds N --seed S`: everything that can go wrong, drawn from a seed, on real processes. */
import { join } from 'node:path'
import { ensureInstalled, InstallationError, PROJECT_DIR, pinnedNode } from './installation.mjs'
import { runChild, withoutNpm } from './run-child.mjs'

try {
  ensureInstalled()
  const main = join(PROJECT_DIR, 'test', 'chaos', 'main.ts')
  process.exitCode = await runChild(pinnedNode(), [main, ...process.argv.slice(2)], { env: withoutNpm(process.env) })
} catch (error) {
  if (!(error instanceof InstallationError)) throw error
  process.stderr.write(`queen: ${error.message}.\n`)
  process.exitCode = 2
}
