/** docs/dependencies.md and the package files name the same packages. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const ROOT = new URL('..', import.meta.url)

test('every dependency has its line, and every line its dependency', () => {
  const manifests = [
    'package.json',
    ...readdirSync(new URL('packages', ROOT)).map((name) => `packages/${name}/package.json`),
  ]
  const used = new Set<string>()
  for (const path of manifests) {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
      readFileSync(new URL(path, ROOT), 'utf8'),
    )
    for (const name of Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
      if (!name.startsWith('@queen/')) used.add(name)
    }
  }
  const page = readFileSync(new URL('docs/dependencies.md', ROOT), 'utf8')
  const lines = page.split('\n').filter((line) => line.startsWith('- `'))
  const named = lines.flatMap((line) => [...line.split(' – ')[0]!.matchAll(/`([^`]+)`/g)].map((match) => match[1]!))
  expect(named.sort()).toEqual([...used].sort())
})
