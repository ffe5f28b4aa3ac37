/** The command: `npm run chaos -- --help` tells. Exit code 1 = a guarantee was broken. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { endLeftovers } from '../support/leftovers.ts'
import { FAULTS } from './faults.ts'
import { PLANTS, type Plant } from './plants.ts'
import { markdownOf, reportOf } from './report.ts'
import { type RunOptions, type RunResult, runChaos } from './run.ts'

const HELP = `npm run chaos -- [options]

Three instances, hopping producers, six consumer groups, one PostgreSQL, and everything that can go wrong.

  --seconds N      how long faults are drawn (default 60)
  --seed S         which ones (default: another each time)
  --faults a,b     draw from these only: ${FAULTS.map((kind) => kind.name).join(', ')}
  --plant BUG      run with a bug on purpose: ${PLANTS.join(', ')}
  --report FILE    write the report there, as Markdown
  --history FILE   write everything that happened there, one JSON object a line; the instances' logs beside it
                   (after a violation it is always written, into the temporary directory)
  --help           this

Exit code 0: every guarantee held; 1: one did not; 2: wrong use; 3: the harness itself failed.
`

function fail(sentence: string): never {
  process.stderr.write(`chaos: ${sentence}\n`)
  process.exit(2)
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        seconds: { type: 'string', default: '60' },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        faults: { type: 'string' },
        plant: { type: 'string' },
        report: { type: 'string' },
        history: { type: 'string' },
        help: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    return fail((error as Error).message)
  }
}

const values = readOptions()
if (values.help === true) {
  process.stdout.write(HELP)
  process.exit(0)
}
const seconds = Number(values.seconds)
const seed = Number(values.seed)
if (!(seconds >= 1 && seconds <= 86_400)) fail('--seconds takes a number from 1 to 86400')
if (!Number.isSafeInteger(seed) || seed < 0) fail('--seed takes a whole number')
const faults = values.faults?.split(',')
const unknown = faults?.find((name) => !FAULTS.some((kind) => kind.name === name))
if (unknown !== undefined) fail(`there is no fault ${unknown}; there are ${FAULTS.map((kind) => kind.name).join(', ')}`)
if (values.plant !== undefined && !PLANTS.includes(values.plant as Plant)) fail(`plants are ${PLANTS.join(', ')}`)

const options: RunOptions = {
  seconds,
  seed,
  ...(faults === undefined ? {} : { faults }),
  ...(values.plant === undefined ? {} : { plant: values.plant as Plant }),
  say: (line) => process.stderr.write(`${line}\n`),
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}

function writeHistory(file: string, { history, logs }: RunResult): void {
  history.write(file)
  for (const [index, log] of logs.entries()) writeFileSync(`${file}.instance-${index}.log`, log)
  process.stderr.write(`history: ${file}\n`)
}

let broken = true
// Ctrl-C must not leave servers and mounts behind; pressed twice, or passed on by npm, it is still one.
let ending = false
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => {
    if (!ending) void endLeftovers().finally(() => process.exit(code))
    ending = true
  })
}
process.once('unhandledRejection', (error) => {
  process.stderr.write(`chaos: the harness itself failed: ${(error as Error)?.stack ?? String(error)}\n`)
  void endLeftovers().finally(() => process.exit(3))
})
try {
  const result = await runChaos(options)
  broken = result.violations.length > 0
  process.stdout.write(`${reportOf(options, result)}\n`)
  if (values.report !== undefined) writeFileSync(values.report, markdownOf(options, result, commit()))
  if (values.history !== undefined) writeHistory(values.history, result)
  else if (broken) writeHistory(join(mkdtempSync(join(tmpdir(), `queen-chaos-${seed}-`)), 'history.ndjson'), result)
} finally {
  await endLeftovers()
}
process.exit(broken ? 1 : 0)
