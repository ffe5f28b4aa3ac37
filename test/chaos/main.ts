/** `npm run chaos -- --seconds N --seed S [--faults a,b] [--plant bug] [--history file]`. Exit code 1 = a guarantee was broken. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { endLeftovers } from '../support/leftovers.ts'
import { FAULTS } from './faults.ts'
import { PLANTS, type Plant } from './plants.ts'
import { reportOf } from './report.ts'
import { type RunOptions, runChaos } from './run.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    faults: { type: 'string' },
    plant: { type: 'string' },
    history: { type: 'string' },
  },
})

function fail(sentence: string): never {
  process.stderr.write(`chaos: ${sentence}\n`)
  process.exit(2)
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
let broken = true
try {
  const result = await runChaos(options)
  broken = result.violations.length > 0
  process.stdout.write(`${reportOf(options, result)}\n`)
  if (values.history !== undefined) {
    result.history.write(values.history)
    for (const [index, log] of result.logs.entries()) writeFileSync(`${values.history}.instance-${index}.log`, log)
  }
} finally {
  await endLeftovers()
}
process.exit(broken ? 1 : 0)
