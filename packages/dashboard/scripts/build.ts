/**
 * Builds the dashboard into dist, with every text file compressed beside it, and swaps the finished folder in.
 *
 * The argument is the hash of the sources, kept in dist so that the next start knows it has nothing to do. Run through
 * scripts/dashboard.mjs of the project.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { build, mergeConfig } from 'vite'
import config from '../vite.config.ts'

const PACKAGE_DIR = fileURLToPath(new URL('..', import.meta.url))
const DIST = join(PACKAGE_DIR, 'dist')
const COMPRESSED = /\.(js|css|html|svg|json|txt)$/

const [hash = ''] = process.argv.slice(2)
// Two starts may build at once, each in a folder of its own. Builds that were killed leave theirs to the next one.
const workshop = join(PACKAGE_DIR, '.build')
const ABANDONED_MS = 600_000
mkdirSync(workshop, { recursive: true })
for (const name of readdirSync(workshop)) {
  const path = join(workshop, name)
  const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
  if (age > ABANDONED_MS) rmSync(path, { recursive: true, force: true })
}
const unfinished = join(workshop, String(process.pid))
const replaced = `${unfinished}.old`
try {
  // Vite would bundle its configuration into node_modules, which may belong to somebody else.
  await build(
    mergeConfig(config, {
      configFile: false,
      root: PACKAGE_DIR,
      logLevel: 'warn',
      build: { outDir: unfinished, emptyOutDir: true },
    }),
  )
  for (const entry of readdirSync(unfinished, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && COMPRESSED.test(entry.name)) compress(join(entry.parentPath, entry.name))
  }
  writeFileSync(join(unfinished, 'sources.sha256'), hash)
  rename(DIST, replaced)
  rename(unfinished, DIST)
} finally {
  for (const dir of [unfinished, replaced]) rmSync(dir, { recursive: true, force: true })
}

function compress(path: string): void {
  const plain = readFileSync(path)
  const brotli = brotliCompressSync(plain, {
    params: {
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    },
  })
  const gzip = gzipSync(plain, { level: 9 })
  if (brotli.length < plain.length) writeFileSync(`${path}.br`, brotli)
  if (gzip.length < plain.length) writeFileSync(`${path}.gz`, gzip)
}

/** The one who comes second finds the folder moved or filled: the other build is as good. */
function rename(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}
