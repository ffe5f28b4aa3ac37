/** When `npm start` and `npm test` install, and when they leave an installation alone. npm itself is played by a script. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ensureInstalled, InstallationError, pinnedNode } from '../../scripts/installation.mjs'
import { PROJECT_DIR } from './clone.ts'

let dir: string

/** Records how it was called and installs what the lock file says. */
const FAKE_NPM = `
const fs = require('node:fs')
fs.writeFileSync('called.json', JSON.stringify({ args: process.argv.slice(2), env: process.env }))
if (fs.existsSync('broken')) process.exit(1)
const { packages } = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'))
delete packages['']
for (const path of Object.keys(packages)) {
  if (packages[path].optional) delete packages[path]
  else fs.mkdirSync(path, { recursive: true })
}
fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages }))
`

function lock(version: string): void {
  const packages = {
    '': { name: 'x' },
    'node_modules/a': { version },
    'node_modules/elsewhere': { version, optional: true, os: ['plan9'] },
  }
  writeFileSync(join(dir, 'package-lock.json'), JSON.stringify({ packages }))
}

function called(): { args: string[]; env: Record<string, string> } | undefined {
  const file = join(dir, 'called.json')
  if (!existsSync(file)) return undefined
  const call = JSON.parse(readFileSync(file, 'utf8'))
  rmSync(file)
  return call
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'queen install '))
  mkdirSync(join(dir, 'npm'))
  writeFileSync(join(dir, 'npm', 'npm-cli.js'), FAKE_NPM)
  vi.stubEnv('npm_execpath', join(dir, 'npm', 'npm-cli.js'))
  lock('1.0.0')
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(dir, { recursive: true, force: true })
})

describe('ensureInstalled', () => {
  test('installs into a fresh clone, once', () => {
    ensureInstalled(dir)
    expect(called()?.args.slice(0, 1)).toEqual(['ci'])
    ensureInstalled(dir)
    expect(called()).toBeUndefined()
  })

  test('installs again when the lock file has changed or a package is gone', () => {
    ensureInstalled(dir)
    called()
    lock('1.0.1')
    ensureInstalled(dir)
    expect(called()).toBeDefined()
    rmSync(join(dir, 'node_modules', 'a'), { recursive: true })
    ensureInstalled(dir)
    expect(called()).toBeDefined()
  })

  test('what npm sets for its own scripts does not mislead the npm inside', () => {
    vi.stubEnv('npm_config_workspace', 'x')
    vi.stubEnv('npm_config_omit', 'dev')
    vi.stubEnv('NODE_ENV', 'production')
    vi.stubEnv('npm_config_cache', '/some/cache')
    ensureInstalled(dir)
    const { env } = called()!
    expect([env.npm_config_workspace, env.npm_config_omit, env.NODE_ENV]).toEqual([undefined, undefined, undefined])
    expect(env.npm_config_cache).toBe('/some/cache')
  })

  test('a failed npm is told in one sentence', () => {
    writeFileSync(join(dir, 'broken'), '')
    expect(() => ensureInstalled(dir)).toThrow(InstallationError)
    expect(() => ensureInstalled(dir)).toThrow(/npm ci failed in/)
  })
})

describe('the installation of this project', () => {
  test('has the Node that package.json pins', () => {
    expect(pinnedNode()).toContain('node')
  })

  test.each(['package-lock.json', 'packages/embedded-postgres/majors/package-lock.json'])(
    '%s names no registry',
    (name) => {
      expect(readFileSync(join(PROJECT_DIR, name), 'utf8')).not.toMatch(/"resolved": "(https?|git)/)
    },
  )

  test('every dependency is pinned to one version', () => {
    const packages = readdirSync(join(PROJECT_DIR, 'packages')).map((name) => `packages/${name}`)
    const files = ['.', 'packages/embedded-postgres/majors', ...packages]
    for (const file of files) {
      const manifest = JSON.parse(readFileSync(join(PROJECT_DIR, file, 'package.json'), 'utf8'))
      const groups = [manifest.dependencies, manifest.devDependencies, manifest.optionalDependencies]
      for (const [name, version] of groups.flatMap((group) => Object.entries(group ?? {}))) {
        expect(version, `${name} in ${file}`).toMatch(/^(npm:@?[\w/-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/)
      }
    }
  })
})
