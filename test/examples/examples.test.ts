/** Every example runs as it stands against a real broker, ends by itself, and prints what its first comment promises. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Instance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { until } from '../support/until.ts'

const DIRECTORY = fileURLToPath(new URL('../../examples', import.meta.url))
const names = readdirSync(DIRECTORY)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replace(/\.ts$/, ''))
const MAINTENANCE = 'maintenance-window'
let broker: Instance

beforeAll(async () => {
  broker = await new Instance({ databaseUrl: await temporaryDatabase() }).start()
  await until('pushes go to PostgreSQL', async () => (await broker.api.get('/health/ready')).body.accepts === 'direct')
})
afterAll(async () => {
  await broker.stop()
  await endLeftovers()
})

/** The lines under `Prints:` in the first comment. */
function promised(name: string): string[] {
  const source = readFileSync(join(DIRECTORY, `${name}.ts`), 'utf8')
  const block = / \* Prints:\n((?: \* {3}.*\n)+) \*\/\n/.exec(source)?.[1]
  if (block === undefined) throw new Error(`${name}.ts does not say what it prints`)
  return block
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^ \* {3}/, ''))
}

async function runExample(name: string): Promise<void> {
  const child = spawn(process.execPath, [join(DIRECTORY, `${name}.ts`)], {
    env: { PATH: process.env.PATH, QUEEN_URL: broker.url },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Before the test gives up: what hangs must not stay.
    timeout: 100_000,
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out.trimEnd().split('\n')).toEqual(promised(name))
}

// They wait more than they work.
test.concurrent.each(names.filter((name) => name !== MAINTENANCE))('%s', runExample, 120_000)
// Alone: its window is everybody's.
test(MAINTENANCE, () => runExample(MAINTENANCE), 120_000)

test('the list of examples names each of them once', () => {
  const readme = readFileSync(join(DIRECTORY, 'README.md'), 'utf8')
  const listed = [...readme.matchAll(/^\| \[([a-z-]+)\]\(([a-z-]+)\.ts\) \|/gm)].map(([, name, file]) => [name, file])
  expect(listed.sort()).toEqual(names.map((name) => [name, name]).sort())
})
