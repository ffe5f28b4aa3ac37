/**
 * The built dashboard: made when it is missing or when what it is made of has changed. Run by itself it does just that.
 *
 * Invariant: packages/dashboard/dist is there whole or not at all; a build that fails leaves the old one. The result is
 * never in the repository.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureInstalled, PROJECT_DIR, pinnedNode } from './installation.mjs'
import { runChild, withoutNpm } from './run-child.mjs'

const DASHBOARD = join(PROJECT_DIR, 'packages', 'dashboard')
/** Inside dist; says what it was made of. */
export const SOURCES_FILE = 'sources.sha256'
/** Everything that reaches the page: its own files, the packages it shows data through, and the versions of the rest. */
const SOURCES = [
  'packages/dashboard/src',
  'packages/dashboard/public',
  'packages/dashboard/scripts',
  'packages/dashboard/index.html',
  'packages/dashboard/vite.config.ts',
  'packages/client/src',
  'packages/client/package.json',
  'packages/protocol/src',
  'packages/protocol/package.json',
  'package-lock.json',
]

/** @returns {Promise<boolean>} whether the dashboard is there and up to date now */
export async function ensureDashboard() {
  const hash = sourcesHash()
  const file = join(DASHBOARD, 'dist', SOURCES_FILE)
  if (existsSync(file) && readFileSync(file, 'utf8') === hash) return true
  process.stderr.write('queen: building the dashboard ...\n')
  const build = join(DASHBOARD, 'scripts', 'build.ts')
  // Its output goes to stderr: ours belongs to the broker.
  const code = await runChild(pinnedNode(), [build, hash], {
    cwd: DASHBOARD,
    env: { ...withoutNpm(process.env), NODE_ENV: 'production' },
    stdio: ['ignore', 2, 2],
  })
  return code === 0
}

function sourcesHash() {
  const hash = createHash('sha256')
  for (const source of SOURCES) {
    for (const path of filesOf(join(PROJECT_DIR, source))) {
      const content = readFileSync(path)
      hash.update(`${relative(PROJECT_DIR, path)}\0${content.length}\0`).update(content)
    }
  }
  return hash.digest('hex')
}

function filesOf(path) {
  if (!existsSync(path)) return []
  const entries = readdirIfDirectory(path)
  if (entries === null) return [path]
  return entries.flatMap((name) => filesOf(join(path, name)))
}

function readdirIfDirectory(path) {
  try {
    return readdirSync(path).sort()
  } catch (error) {
    if (error.code === 'ENOTDIR') return null
    throw error
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  ensureInstalled()
  process.exitCode = (await ensureDashboard()) ? 0 : 1
}
