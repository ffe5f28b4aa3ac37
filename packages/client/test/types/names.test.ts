/** Everything the public door has is in a type test, and says what it is. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')

/** What index.ts gives, what stands behind its `export type *` with it. */
function publicNames(): string[] {
  const door = read('../../src/index.ts')
  const names = [...door.matchAll(/^export (?:type )?\{([^}]*)\}/gms)].flatMap(([, list]) => list!.match(/\b\w+\b/g)!)
  for (const [, path] of door.matchAll(/^export type \* from '\.(.*)'/gm)) {
    for (const [, name] of read(`../../src${path}`).matchAll(/^export (?:interface|type) (\w+)/gm)) names.push(name!)
  }
  return names.filter((name) => name !== 'type')
}

const SOURCES = [
  ...['queen', 'options', 'defaults', 'admin/admin', 'settle/renew', 'observe/hooks', 'observe/logger'],
  ...['terminals/queue-builder', 'terminals/push', 'terminals/consume', 'terminals/dlq', 'terminals/operation'],
  ...['transaction/transaction', 'errors/classes', 'errors/queen-error'],
  ...['admin', 'close', 'consume', 'maintenance', 'message', 'push', 'queue', 'reports', 'transaction'].map(
    (name) => `types/${name}`,
  ),
]
const EXPORTED = /^export (?:abstract )?(?:interface|type|class|const|function) (\w+)/
const METHOD = /^ {2}(?:async |get )?(\w+)(?:<[^(]*>)?\(/
const NO_METHOD = new Set(['constructor', 'if', 'for', 'return', 'switch', 'while'])

/** Public names and methods of public classes without a comment above them. */
function undocumented(names: ReadonlySet<string>): string[] {
  return SOURCES.flatMap((path) => {
    const lines = read(`../../src/${path}.ts`).split('\n')
    let inClass = ''
    return lines.flatMap((line, at) => {
      const documented = lines[at - 1]?.trim().endsWith('*/')
      const [, name] = EXPORTED.exec(line) ?? []
      if (name !== undefined) {
        inClass = line.includes(' class ') && names.has(name) ? name : ''
        return documented || !names.has(name) ? [] : [`${path}: ${name}`]
      }
      const [, method] = METHOD.exec(line) ?? []
      // The second line of an overloaded method is one that stands below its type.
      const below = method !== undefined && lines[at - 1]?.startsWith(`  ${method}(`)
      if (inClass === '' || method === undefined || NO_METHOD.has(method) || documented || below) return []
      return [`${path}: ${inClass}.${method}`]
    })
  })
}

test('every public name and method says what it is', () => {
  expect(undocumented(new Set(publicNames()))).toEqual([])
})

test('every public name is in a type test', () => {
  const tested = new Set((read('program.ts') + read('surface.ts')).match(/\b\w+\b/g))
  expect(publicNames().length).toBeGreaterThan(100)
  expect(publicNames().filter((name) => !tested.has(name))).toEqual([])
})
