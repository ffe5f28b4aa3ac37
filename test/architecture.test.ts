/** Holds the directions of the house, and shows by planted violations that it would notice. */
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { changingCollections, KNOWN } from './architecture/changing-collections.ts'
import { importsOf, readSources } from './architecture/imports.ts'
import { violations } from './architecture/rules.ts'

const sources = readSources(fileURLToPath(new URL('..', import.meta.url)))

describe('architecture', () => {
  test('the source keeps every rule', () => {
    expect(sources.size).toBeGreaterThan(20)
    expect(violations(importsOf(sources))).toEqual([])
  })

  test.each([
    ['http knows the store', 'broker/src/http/planted.ts', "import { openPool } from '../store/pool/pool.ts'"],
    ['http runs a port', 'broker/src/http/planted.ts', "import { isTransient } from '../ports/store-error.ts'"],
    ['the engine knows the store', 'broker/src/engine/planted.ts', "import type { Pool } from '../store/pool/pool.ts'"],
    ['the engine knows http', 'broker/src/engine/planted.ts', "import '../http/server.ts'"],
    ['the engine knows PostgreSQL', 'broker/src/engine/planted.ts', "import pg from 'pg'"],
    [
      'the engine knows the disk',
      'broker/src/engine/planted.ts',
      "import type { FileBuffer } from '@queen/file-buffer'",
    ],
    [
      'the store knows the file buffer',
      'broker/src/store/planted.ts',
      "import { openFileBuffer } from '@queen/file-buffer'",
    ],
    [
      'the store runs the engine',
      'broker/src/store/planted.ts',
      "import { Catalog } from '../engine/queues/catalog.ts'",
    ],
    ['the store knows services', 'broker/src/store/planted.ts', "export { drain } from '../services/drainer.ts'"],
    ['a service knows the store', 'broker/src/services/planted.ts', "const x = await import('../store/pool/pool.ts')"],
    [
      'a port runs code of the engine',
      'broker/src/ports/planted.ts',
      "import { frame } from '../engine/format/frame.ts'",
    ],
    [
      'a push runs code of pops',
      'broker/src/engine/push/planted.ts',
      "import { popMessages } from '../consume/pop.ts'",
    ],
    [
      'a new room of the engine',
      'broker/src/engine/extra/planted.ts',
      "import { writeFrame } from '../format/frame.ts'",
    ],
    ['a new room without a rule', 'broker/src/utils/planted.ts', "import type { Config } from '../config/config.ts'"],
    ['the file buffer knows the broker', 'file-buffer/src/planted.ts', "import { startBroker } from '@queen/broker'"],
    ['the client knows the broker', 'client/src/planted.ts', "import type { Config } from '@queen/broker'"],
    ['a package by path', 'broker/src/engine/planted.ts', "import { LIMITS } from '../../../protocol/src/limits.ts'"],
    ['a package without a rule', 'other/src/planted.ts', "import { LIMITS } from '@queen/protocol'"],
    ['a cycle', 'broker/src/engine/planted.ts', "import { x } from './planted.ts'"],
  ])('planted: %s', (_, file, line) => {
    const planted = new Map([[`packages/${file}`, `/** A header. */\nimport { join } from 'node:path'\n${line}\n`]])
    expect(violations(importsOf(planted))).toHaveLength(1)
  })

  test('a cycle over several files is named in full', () => {
    const planted = new Map([
      ['packages/client/src/a.ts', "import { b } from './b.ts'"],
      ['packages/client/src/b.ts', "import { c } from './c.ts'"],
      ['packages/client/src/c.ts', "export { a } from './a.ts'"],
    ])
    expect(violations(importsOf(planted))).toEqual([
      'cycle: packages/client/src/a.ts → packages/client/src/b.ts → packages/client/src/c.ts → packages/client/src/a.ts',
    ])
  })

  test('what is allowed is not reported', () => {
    const allowed = new Map([
      [
        'packages/broker/src/app.ts',
        "import { openFileBuffer } from '@queen/file-buffer'\nimport { p } from './store/pool.ts'",
      ],
      ['packages/broker/src/store/push.ts', "import type { S } from '../ports/store.ts'\nimport pg from 'pg'"],
      [
        'packages/broker/src/http/push.ts',
        "import { push } from '../engine/push/push.ts' // import x from '../store/x.ts'",
      ],
    ])
    expect(violations(importsOf(allowed))).toEqual([])
  })
})

describe('a Set or Map that members come to and go from', () => {
  test('is known, with the reason why it is none of requests', () => {
    expect(changingCollections(sources)).toEqual(KNOWN.toSorted())
  })

  test.each([
    ['of a class', '  readonly #pending = new Set<Request>()', '    this.#pending.delete(request)', '#pending'],
    ['with a type', '  open: Map<string, Request> = new Map()', '    this.open.clear()', 'open'],
    ['of a module', 'const running = new Map<string, Request>()', '  running.delete(id)', 'running'],
  ])('planted: %s', (_, declared, deleted, name) => {
    const path = 'packages/broker/src/engine/push/planted.ts'
    const planted = (...lines: string[]) => changingCollections(new Map([[path, lines.join('\n')]]))
    expect(planted(declared, deleted)).toEqual([`engine/push/planted.ts ${name}`])
    expect(planted(declared)).toEqual([])
  })
})
