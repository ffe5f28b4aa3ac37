/** The body of a queue configuration. All wrong options are named at once, unknown ones before invalid ones. */
import {
  ConfigureRequestSchema,
  isName,
  QUEUE_OPTIONS,
  type QueueOptionName,
  type QueueOptionSpec,
} from '@queen/protocol'
import Type from 'typebox'
import { Refusal } from '../../engine/refusal.ts'
import type { ConfigureRequest } from '../../engine/types.ts'
import { bodyReader, invalidName, requireName } from './json-body.ts'

// The options are judged one by one below, so that an answer can name all of them.
const readShape = bodyReader(
  Type.Object({
    ...ConfigureRequestSchema.properties,
    options: Type.Optional(Type.Union([Type.Object({}), Type.Null()])),
  }),
)

export function parseConfigureBody(body: Buffer): ConfigureRequest {
  const { queue, namespace = null, task = null, options, mode = 'merge' } = readShape(body)
  return {
    queue: requireName(queue, 'queue'),
    namespace: scope(namespace, 'namespace'),
    task: scope(task, 'task'),
    options: readOptions((options ?? {}) as Record<string, unknown>),
    mode,
  }
}

function scope(value: string | null, field: string): string | null {
  if (value !== null && value !== '' && !isName(value)) throw invalidName(field)
  return value
}

function readOptions(sent: Record<string, unknown>): ConfigureRequest['options'] {
  const unknown = Object.keys(sent).filter((name) => !Object.hasOwn(QUEUE_OPTIONS, name))
  if (unknown.length > 0) throw refuse('UNKNOWN_OPTION', unknown, () => 'not known')
  const names = Object.keys(sent) as QueueOptionName[]
  const invalid = names.filter((name) => !isValid(QUEUE_OPTIONS[name], sent[name]))
  if (invalid.length > 0) throw refuse('INVALID_OPTION', invalid, whatIsWrong)
  const options: Partial<Record<QueueOptionName, number | boolean | null>> = {}
  for (const name of names) options[name] = sent[name] as number | boolean | null
  return options
}

function isValid(spec: QueueOptionSpec, value: unknown): boolean {
  if (value === null) return true
  if (spec.type === 'boolean') return typeof value === 'boolean'
  return Number.isInteger(value) && (value as number) >= spec.min && (value as number) <= spec.max
}

/** One is told what it may be; of several the names have to do. */
function whatIsWrong(names: readonly string[]): string {
  const spec: QueueOptionSpec = QUEUE_OPTIONS[names[0] as QueueOptionName]
  if (names.length > 1) return 'not valid'
  if (spec.type === 'boolean') return 'not valid: it must be true or false'
  return `not valid: it must be a whole number from ${spec.min} to ${spec.max}`
}

// An answer must stay small whatever was sent.
const NAMED_MAX = 50
const NAME_CHARS_MAX = 100

function refuse(
  code: 'UNKNOWN_OPTION' | 'INVALID_OPTION',
  names: readonly string[],
  wrong: (names: readonly string[]) => string,
): Refusal {
  const options = names.slice(0, NAMED_MAX).map((name) => name.slice(0, NAME_CHARS_MAX))
  const list = options.map((name) => `'${name}'`).join(', ')
  const what = wrong(names)
  const sentence = names.length === 1 ? `Queue option ${list} is ${what}` : `Queue options ${list} are ${what}`
  return new Refusal(code, sentence, { details: { options } })
}
