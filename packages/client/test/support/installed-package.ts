/**
 * The package as its users get it: built, packed, and installed from the tarball into an empty project, without network.
 * The project is gone when the test file is done.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect } from 'vitest'

export const packageDir = fileURLToPath(new URL('../..', import.meta.url))

export interface InstalledPackage {
  /** The empty project. */
  readonly project: string
  /** The package in its node_modules. */
  readonly dist: string
}

export function installedPackage(): InstalledPackage {
  const place = { project: '', dist: '' }
  beforeAll(() => {
    const project = mkdtempSync(join(tmpdir(), 'queen-client-'))
    Object.assign(place, { project, dist: join(project, 'node_modules/@queen/client') })
    const built = join(project, 'built')
    const build = spawnSync(process.execPath, [join(packageDir, 'scripts/build.ts'), built], { encoding: 'utf8' })
    expect(build.stderr + build.stdout).toBe('')
    const npm = (...args: string[]) =>
      execFileSync('npm', [...args, '--offline', '--no-audit', '--no-fund', '--cache', join(project, 'npm-cache')], {
        cwd: project,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
    npm('pack', built)
    rmSync(built, { recursive: true })
    writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true }\n')
    npm('install', `./${readdirSync(project).find((file) => file.endsWith('.tgz'))}`)
  })
  afterAll(() => rmSync(place.project, { recursive: true, force: true }))
  return place
}

/** The Node of the system beside the pinned one, when it is new enough for the client; else the one that runs this. */
export function systemNode(): string {
  for (const directory of (process.env.PATH ?? '').split(':')) {
    if (directory.includes('node_modules')) continue
    const { stdout } = spawnSync(join(directory, 'node'), ['--version'], { encoding: 'utf8' })
    if (Number(/^v(\d+)\./.exec(stdout ?? '')?.[1] ?? 0) >= 20) return join(directory, 'node')
  }
  return process.execPath
}
