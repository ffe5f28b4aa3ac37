/** The command line of the benchmark. */
import { parseArgs } from 'node:util'

export interface Options {
  readonly help: boolean
  /** Only rows whose name contains one of these; empty = all. */
  readonly rows: readonly string[]
  readonly seconds: number
  readonly rounds: number
  /** null = a file named after machine and commit. */
  readonly jsonFile: string | null
  readonly profileDir: string | null
}

export class OptionError extends Error {}

const SECONDS = { fallback: 4, min: 0.5, max: 300 }
// Medians of three: one round that met a checkpoint or a neighbour does not decide.
const ROUNDS = { fallback: 3, min: 1, max: 100 }

export const USAGE = `Usage: npm run bench -- [options]

Starts a PostgreSQL and a broker of its own, loads them over HTTP and prints medians and goals.

  --rows a,b       only rows named a or b, or with a or b in their name (see --list)
  --seconds N      length of each measurement (default ${SECONDS.fallback})
  --rounds N       rounds; every row runs once in each (default ${ROUNDS.fallback})
  --json FILE      where to write the results (default bench/results/local/<machine>-<commit>.json)
  --profile DIR    write V8 CPU profiles of the broker and of the ceiling there
  --list           name the rows
  --help           this text

Exit code 0: all ran; 1: a row failed; 2: a wrong option. Goals that are not met are printed, and change no exit code.
`

export function readOptions(args: readonly string[]): Options & { readonly list: boolean } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rows: { type: 'string' },
        seconds: { type: 'string' },
        rounds: { type: 'string' },
        json: { type: 'string' },
        profile: { type: 'string' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    return {
      help: values.help,
      list: values.list,
      rows: (values.rows ?? '').split(',').filter((name) => name !== ''),
      seconds: number('--seconds', values.seconds, SECONDS),
      rounds: Math.round(number('--rounds', values.rounds, ROUNDS)),
      jsonFile: values.json ?? null,
      profileDir: values.profile ?? null,
    }
  } catch (error) {
    if (error instanceof OptionError) throw error
    throw new OptionError((error as Error).message)
  }
}

function number(name: string, text: string | undefined, range: { fallback: number; min: number; max: number }): number {
  if (text === undefined) return range.fallback
  const value = Number(text)
  if (text.trim() === '' || !(value >= range.min && value <= range.max)) {
    throw new OptionError(`${name} must be a number from ${range.min} to ${range.max}, not ${JSON.stringify(text)}`)
  }
  return value
}
