/**
 * Flags as plain data: how they are written, what they mean, how their text becomes a value. Parsing happens before a
 * command runs, so a wrong flag never leaves half a command done.
 */
import { parseDurationMs, parseSeconds } from '../input/durations.ts'
import { parseTime } from '../input/times.ts'
import { CliError } from './failure.ts'

/** What completion may ask the broker for. */
export type Completes = 'queue' | 'group' | 'partition' | 'context' | 'file'

export interface Flag {
  readonly flags: string
  readonly about: string
  readonly parse?: (text: string, previous: unknown) => unknown
  /** As a person would write it; parsed like one. */
  readonly fallback?: string
  readonly choices?: readonly string[]
  readonly completes?: Completes
}

type More = { readonly fallback?: string | undefined; readonly completes?: Completes }

const define = (flags: string, about: string, parse: Flag['parse'], more: More = {}): Flag => ({
  flags,
  about,
  ...(parse === undefined ? {} : { parse }),
  ...(more.fallback === undefined ? {} : { fallback: more.fallback }),
  ...(more.completes === undefined ? {} : { completes: more.completes }),
})

export const toggle = (flags: string, about: string): Flag => define(flags, about, undefined)
export const text = (flags: string, about: string, more?: More): Flag => define(flags, about, (value) => value, more)
export const duration = (flags: string, about: string, fallback?: string): Flag =>
  define(flags, about, parseDurationMs, { fallback })
export const seconds = (flags: string, about: string, fallback?: string): Flag =>
  define(flags, about, parseSeconds, { fallback })
export const time = (flags: string, about: string): Flag =>
  define(flags, about, (value) => parseTime(value, Date.now()))
export const list = (flags: string, about: string): Flag =>
  define(flags, about, (value, previous) => [...((previous as string[] | undefined) ?? []), value])

export function count(flags: string, about: string, fallback?: string, min = 1, max = 1_000_000_000): Flag {
  const parse = (value: string): number => {
    const number = Number(value)
    if (!/^-?\d+$/.test(value) || number < min || number > max) {
      throw new CliError(`'${value}' is no whole number from ${min} to ${max}`)
    }
    return number
  }
  return define(flags, about, parse, { fallback })
}

/** `true` and `false` as words, for options that can be switched both ways. */
export const bool = (flags: string, about: string): Flag => ({
  ...choice(flags, about, ['true', 'false']),
  parse: (value) => value === 'true',
})

export function choice(flags: string, about: string, choices: readonly string[], fallback?: string): Flag {
  const parse = (value: string): string => {
    if (!choices.includes(value)) throw new CliError(`'${value}' is not one of ${choices.join(', ')}`)
    return value
  }
  return { ...define(flags, about, parse, { fallback }), choices }
}

export const QUEUE = text('--queue <name>', 'only this queue', { completes: 'queue' })
export const GROUP = text('--cg <name>', 'consumer group', { completes: 'group' })
export const PARTITION = text('--partition <name>', 'only this partition', { completes: 'partition' })
export const NAMESPACE = text('--namespace <name>', 'only this namespace')
export const TASK = text('--task <name>', 'only this task')
export const DRY_RUN = toggle('--dry-run', 'say what would be done, and do nothing')
export const FROM = time('--from <time>', 'from then on')
export const TO = time('--to <time>', 'until then')
export const OFFSET = count('--offset <n>', 'leave out the first n', '0', 0)
export const limit = (fallback: string): Flag => count('-n, --limit <n>', 'at most n rows', fallback)
