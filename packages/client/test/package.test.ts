/** The built package: complete, without dependencies, right for ES modules and CommonJS. */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { checkPackage, Package } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { describe, expect, test } from 'vitest'
import { GENERATED_FILE, generateCodes } from '../scripts/generate-codes.ts'
import { realBroker } from './broker/real-broker.ts'
import { installedPackage, packageDir, systemNode } from './support/installed-package.ts'

const place = installedPackage()
const broker = realBroker()

function run(code: string, ...flags: string[]): string {
  return execFileSync(process.execPath, [...flags, '-e', code], { cwd: place.project, encoding: 'utf8' }).trim()
}

describe('the built package', () => {
  test('publint finds nothing', async () => {
    const { messages } = await publint({ pkgDir: place.dist, pack: false, strict: true })
    expect(messages).toEqual([])
  })

  test('its types are right for every way of importing', async () => {
    const files: Record<string, string> = {}
    for (const path of readdirSync(place.dist, { recursive: true, encoding: 'utf8' })) {
      const file = join(place.dist, path)
      if (statSync(file).isFile()) files[`/node_modules/@queen/client/${path}`] = readFileSync(file, 'utf8')
    }
    const result = await checkPackage(new Package(files, '@queen/client', '1.0.0'))
    expect(result.types && 'problems' in result ? result.problems : 'no types').toEqual([])
  })

  test('has no dependencies and imports nothing but its own files', () => {
    const manifest = JSON.parse(readFileSync(join(place.dist, 'package.json'), 'utf8'))
    expect(Object.keys(manifest).filter((key) => /dependencies|scripts|private/i.test(key))).toEqual([])
    for (const path of readdirSync(place.dist, { recursive: true, encoding: 'utf8' })) {
      if (!/\.(js|d\.ts)$/.test(path)) continue
      const code = readFileSync(join(place.dist, path), 'utf8')
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

  test.each([
    ['an ES module', 'program.mts', ['--module', 'nodenext']],
    ['an ES module, node16', 'program.mts', ['--module', 'node16']],
    ['CommonJS', 'program.cts', ['--module', 'node16']],
    ['a bundler', 'program.ts', ['--module', 'esnext', '--moduleResolution', 'bundler']],
  ])('programs are type-checked against it, as for %s', (_kind, file, flags) => {
    const compiler = join(packageDir, '../../node_modules/typescript/bin/tsc')
    const programs = ['program', 'surface'].map((name) => {
      const copy = join(place.project, file.replace('program', name))
      cpSync(join(packageDir, `test/types/${name}.ts`), copy)
      return copy
    })
    const checked = spawnSync(
      process.execPath,
      [
        compiler,
        // Without Node's types: the client's own must not need them.
        ...'--noEmit --strict --target es2024 --lib es2024,dom,esnext.disposable'.split(' '),
        ...['--types', '', ...flags, ...programs],
      ],
      { cwd: place.project, encoding: 'utf8' },
    )
    expect(checked.stdout).toBe('')
  })
})

describe('installed from its tarball, on the Node of the system where there is one', () => {
  const PROGRAM = `
    const queen = new Queen({ url: process.argv[2], handleSignals: false })
    async function main() {
      await queen.queue('installed').buffer({ timeMillis: 5 }).push([{ n: 1 }, { n: 2 }, { n: 3 }])
      await queen.flushAllBuffers()
      const [first] = await queen.queue('installed').pop()
      await queen.transaction().ack(first).queue('next').push(first.data).commit()
      const seen = []
      for await (const message of queen.queue('installed').limit(1).messages()) seen.push(message.data.n)
      const summary = await queen.queue('installed').each().limit(1).consume(({ data }) => { seen.push(data.n) })
      const [next] = await queen.queue('next').autoAck(true).pop()
      const error = await queen.queue('').config({ nonsense: 1 }).create().catch(({ name }) => name)
      await queen[Symbol.asyncDispose]()
      console.log(JSON.stringify({ node: parseInt(process.versions.node) >= 20, seen, summary, next: next.data, error }))
    }
    main()`

  test.each([
    ['ES module', 'run.mjs', "import { Queen } from '@queen/client'"],
    ['CommonJS', 'run.cjs', "const { Queen } = require('@queen/client')"],
  ])('as %s', async (_kind, file, line) => {
    writeFileSync(join(place.project, file), `${line}\n${PROGRAM}`)
    // Not in one piece: the broker it speaks to lives in this process.
    const { stdout } = await promisify(execFile)(systemNode(), [file, broker.url], { cwd: place.project })
    expect(JSON.parse(stdout)).toEqual({
      node: true,
      seen: [2, 3],
      summary: { processed: 1, failed: 0, reason: 'limit' },
      next: { n: 1 },
      error: 'QueenValidationError',
    })
  })
})

test('the table of codes is the one of the protocol (npm run generate -w @queen/client)', () => {
  expect(readFileSync(GENERATED_FILE, 'utf8')).toBe(generateCodes())
})
