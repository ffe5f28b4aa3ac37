import { LIMITS } from './limits.ts'

// Control characters (C0, DEL, C1) and lone surrogates: PostgreSQL cannot store the latter, terminals and logs
// suffer from the former.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f]/

/** Whether `name` may name a queue, partition, consumer group, namespace, task, trace or transaction. */
export function isName(name: string): boolean {
  const units = name.length
  if (units === 0 || units > 2 * LIMITS.nameCodePointsMax || FORBIDDEN.test(name) || !name.isWellFormed()) return false
  if (units <= LIMITS.nameCodePointsMax) return true
  let codePoints = 0
  for (const _ of name) codePoints++
  return codePoints <= LIMITS.nameCodePointsMax
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether `text` is a UUID in its hyphenated form, any version, any case. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}
