/**
 * One variable: text → value, or a ConfigError that a person can act on. An empty value equals an absent one (compose
 * files set variables to nothing). Never shows the value of a secret.
 */
import { ConfigError } from './config.ts'
import { type Kind, VARIABLES, type Variable, type VariableName } from './variables.ts'

export type Environment = Readonly<Record<string, string | undefined>>

const UNITS: Readonly<Record<string, number>> = { '': 1, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30, TIB: 2 ** 40 }
const BOOLEANS: Readonly<Record<string, boolean>> = { true: true, '1': true, false: false, '0': false }
/** Longer values are cut in messages: a wrong variable may hold anything. */
const SHOWN_CHARS_MAX = 100

export function isSet(env: Environment, name: VariableName): boolean {
  return (env[name] ?? '') !== ''
}

export function readText(env: Environment, name: VariableName): string | undefined {
  return isSet(env, name) ? env[name] : (VARIABLES[name] as Variable).fallback
}

export function readNumber(env: Environment, name: VariableName): number {
  const { kind } = VARIABLES[name] as Variable
  const text = readText(env, name)?.trim() ?? ''
  if (kind.type !== 'integer' && kind.type !== 'bytes') throw new Error(`${name} is not a number`)
  const match = /^(\d{1,16}) ?([KMGT]iB)?$/i.exec(text)
  const unit = match?.[2] ?? ''
  const value =
    match === null || (kind.type === 'integer' && unit !== '')
      ? Number.NaN
      : Number(match[1]) * UNITS[unit.toUpperCase()]!
  if (!(value >= kind.min && value <= kind.max)) throw wrong(env, name)
  return value
}

export function readBoolean(env: Environment, name: VariableName): boolean {
  const value = BOOLEANS[readText(env, name)?.trim().toLowerCase() ?? '']
  if (value === undefined) throw wrong(env, name)
  return value
}

export function readChoice<T extends string>(env: Environment, name: VariableName): T {
  const { kind } = VARIABLES[name] as Variable
  const text = readText(env, name)?.trim().toLowerCase() ?? ''
  if (kind.type !== 'choice' || !kind.of.includes(text)) throw wrong(env, name)
  return text as T
}

/** `because` replaces the general rule when something more precise is known. */
export function wrong(env: Environment, name: VariableName, because?: string): ConfigError {
  const variable: Variable = VARIABLES[name]
  const text = env[name] ?? ''
  const shown = variable.secret ? 'has a value that' : `is ${JSON.stringify(text.slice(0, SHOWN_CHARS_MAX))}, which`
  return new ConfigError(name, `${name} ${shown} ${because ?? `is not allowed; it must be ${allowed(variable.kind)}`}.`)
}

/** The rule in words, for messages and for the documentation. */
export function allowed(kind: Kind): string {
  switch (kind.type) {
    case 'integer':
      return `a whole number from ${kind.min} to ${kind.max}`
    case 'bytes':
      return `${bytesText(kind.min)} to ${bytesText(kind.max)}, in bytes or with KiB, MiB, GiB or TiB`
    case 'boolean':
      return 'true, false, 1 or 0'
    case 'choice':
      return `one of ${kind.of.join(', ')}`
    case 'text':
      return kind.allowed
  }
}

function bytesText(bytes: number): string {
  for (const [unit, size] of [
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size} ${unit}`
  }
  return String(bytes)
}
