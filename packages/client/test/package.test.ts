/** The built package: complete, without dependencies, right for ES modules and CommonJS. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkPackage, Package } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { GENERATED_FILE, generateCodes } from '../scripts/generate-codes.ts'

const packageDir = fileURLToPath(new URL('..', import.meta.url))
let dist: string
let installed: string

function run(code: string, ...flags: string[]): string {
  return execFileSync(process.execPath, [...flags, '-e', code], { cwd: installed, encoding: 'utf8' }).trim()
}

beforeAll(() => {
  installed = mkdtempSync(join(tmpdir(), 'queen-client-'))
  dist = join(installed, 'node_modules/@queen/client')
  const built = spawnSync(process.execPath, [join(packageDir, 'scripts/build.ts'), dist], { encoding: 'utf8' })
  expect(built.stderr + built.stdout).toBe('')
})

afterAll(() => rmSync(installed, { recursive: true, force: true }))

describe('the built package', () => {
  test('publint finds nothing', async () => {
    const { messages } = await publint({ pkgDir: dist, pack: false, strict: true })
    expect(messages).toEqual([])
  })

  test('its types are right for every way of importing', async () => {
    const files: Record<string, string> = {}
    for (const path of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
      const file = join(dist, path)
      if (statSync(file).isFile()) files[`/node_modules/@queen/client/${path}`] = readFileSync(file, 'utf8')
    }
    const result = await checkPackage(new Package(files, '@queen/client', '1.0.0'))
    expect(result.types && 'problems' in result ? result.problems : 'no types').toEqual([])
  })

  test('has no dependencies and imports nothing but its own files', () => {
    const manifest = JSON.parse(readFileSync(join(dist, 'package.json'), 'utf8'))
    expect(Object.keys(manifest).filter((key) => /dependencies|scripts|private/i.test(key))).toEqual([])
    for (const path of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
      if (!/\.(js|d\.ts)$/.test(path)) continue
      const code = readFileSync(join(dist, path), 'utf8')
      expect(code, path).not.toMatch(/\b(Buffer|setImmediate|__dirname)\b/)
      const imports = code.matchAll(/(?:from|require\(|import\() ?['"]([^'"]+)['"]/g)
      for (const [, specifier] of imports) expect(specifier, path).toMatch(/^\.{1,2}\/.*\.js$/)
    }
  })

  test('works as ES module and as CommonJS, beside each other', () => {
    const use = `const q = new client.Queen('http://localhost'); console.log(typeof q.queue('a').push, client.CLIENT_DEFAULTS.retryAttempts)`
    expect(run(`import * as client from '@queen/client'; ${use}`, '--input-type=module')).toBe('function 3')
    expect(run(`const client = require('@queen/client'); ${use}`)).toBe('function 3')
    const across = `
      import * as esm from '@queen/client'
      import { createRequire } from 'node:module'
      const cjs = createRequire(process.cwd() + '/x.js')('@queen/client')
      let error; try { new cjs.Queen('nonsense') } catch (e) { error = e }
      console.log(error instanceof esm.QueenError, esm.isQueenError(error), error.name)`
    expect(run(across, '--input-type=module')).toBe('false true QueenUsageError')
  })

  test('importing it does nothing', () => {
    const code = `
      const before = [process.listenerCount('SIGTERM'), Object.keys(globalThis).length]
      await import('@queen/client')
      console.log(JSON.stringify(before) === JSON.stringify([process.listenerCount('SIGTERM'), Object.keys(globalThis).length]))`
    expect(run(code, '--input-type=module')).toBe('true')
  })

  test('a program is type-checked against it', () => {
    cpSync(join(packageDir, 'test/types/program.ts'), join(installed, 'program.mts'))
    const types = join(packageDir, '../../node_modules/@types')
    const compiler = join(packageDir, '../../node_modules/typescript/bin/tsc')
    const flags = '--noEmit --strict --module nodenext --target es2024 --lib es2024,esnext.disposable --types node'
    const checked = spawnSync(
      process.execPath,
      [compiler, ...flags.split(' '), '--typeRoots', types, join(installed, 'program.mts')],
      { cwd: installed, encoding: 'utf8' },
    )
    expect(checked.stdout).toBe('')
  })
})

test('the table of codes is the one of the protocol (npm run generate -w @queen/client)', () => {
  expect(readFileSync(GENERATED_FILE, 'utf8')).toBe(generateCodes())
})
