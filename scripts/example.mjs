/** `npm run example NAME`: an example on the Node that the project pins. Without a name: which there are. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ensureInstalled, InstallationError, PROJECT_DIR, pinnedNode } from './installation.mjs'
import { runChild, withoutNpm } from './run-child.mjs'

const directory = join(PROJECT_DIR, 'examples')
const [name = '', ...rest] = process.argv.slice(2)
const file = join(directory, `${name.replace(/\.ts$/, '')}.ts`)
try {
  if (name === '' || !existsSync(file)) {
    const names = readdirSync(directory).filter((each) => each.endsWith('.ts'))
    process.stderr.write(`npm run example NAME, where NAME is one of:\n`)
    for (const each of names) process.stderr.write(`  ${each.replace(/\.ts$/, '')}\n`)
    process.exitCode = 1
  } else {
    ensureInstalled()
    process.exitCode = await runChild(pinnedNode(), [file, ...rest], { env: withoutNpm(process.env) })
  }
} catch (error) {
  if (!(error instanceof InstallationError)) throw error
  process.stderr.write(`queen: ${error.message}.\n`)
  process.exitCode = 2
}
