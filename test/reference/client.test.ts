/** Holds docs/reference/client/ equal to what the source and its comments say. `UPDATE_REFERENCE=1` renews it. */
import { execFileSync } from 'node:child_process'
import { cpSync, globSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { endLeftovers, temporaryDirectory } from '../support/leftovers.ts'

const GENERATE = fileURLToPath(new URL('generate-client.mjs', import.meta.url))
const COMMITTED = fileURLToPath(new URL('../../docs/reference/client', import.meta.url))

function pagesIn(directory: string): Map<string, string> {
  const paths = globSync('**/*.md', { cwd: directory }).sort()
  return new Map(paths.map((path) => [path.replaceAll('\\', '/'), readFileSync(join(directory, path), 'utf8')]))
}

afterEach(endLeftovers)

test('the reference of the client is what the source says', () => {
  const fresh = join(temporaryDirectory(), 'client')
  execFileSync(process.execPath, [GENERATE, fresh], { stdio: ['ignore', 'ignore', 'inherit'] })
  if (process.env.UPDATE_REFERENCE === '1') {
    rmSync(COMMITTED, { recursive: true, force: true })
    cpSync(fresh, COMMITTED, { recursive: true })
  }
  const [committed, generated] = [pagesIn(COMMITTED), pagesIn(fresh)]
  expect(generated.get('classes/Queen.md')).toContain('new Queen(config)')
  expect([...committed.keys()]).toEqual([...generated.keys()])
  const stale = [...generated].filter(([path, page]) => committed.get(path) !== page).map(([path]) => path)
  expect(stale).toEqual([])
}, 120_000)
