/** Which shape results take. Pure. */
import { CliError } from '../command/failure.ts'
import { parseJsonPath } from './jsonpath.ts'

export type Format =
  | { readonly kind: 'table' | 'wide' | 'json' | 'ndjson' | 'yaml' }
  | { readonly kind: 'jsonpath'; readonly path: ReturnType<typeof parseJsonPath> }

const KINDS = ['table', 'wide', 'json', 'ndjson', 'yaml'] as const

export function parseFormat(text: string): Format {
  const kind = KINDS.find((each) => each === text.toLowerCase())
  if (kind !== undefined) return { kind }
  const path = /^jsonpath=(.*)$/s.exec(text)?.[1]
  if (path !== undefined) return { kind: 'jsonpath', path: parseJsonPath(path) }
  throw new CliError(`'${text}' is no output format; there are ${KINDS.join(', ')} and jsonpath=.a[0].b`)
}

/** Whether a program reads it: errors are JSON then too. */
export function isMachineReadable(format: Format): boolean {
  return format.kind === 'json' || format.kind === 'ndjson'
}
