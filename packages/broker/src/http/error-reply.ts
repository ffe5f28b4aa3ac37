/**
 * What an error looks like on the wire. Every answer outside 2xx is made here, so the rules of the contract hold in one
 * place: one body shape, Retry-After where repeating makes sense, nothing of the inside of the server, and the wording
 * of a 503 that keeps consumers of older clients alive.
 */
import { randomUUID } from 'node:crypto'
import { ERRORS, type ErrorCode } from '@queen/protocol'
import type { Logger } from 'pino'
import { Refusal } from '../engine/refusal.ts'

export interface ErrorReply {
  readonly status: number
  readonly code: ErrorCode
  readonly body: string
  /** Name and value in turn. */
  readonly headers: readonly string[]
}

const REFUSED_WORDS = ['connection refused', 'ECONNREFUSED'] as const
// Older clients read these words anywhere in a body as their own time limit and repeat without a pause.
const TIME_LIMIT_WORDS = /time[-_ ]?outs?|timed[-_ ]?out|deadline[-_ ]exceeded/gi

export function errorReply(error: unknown, log: Logger): ErrorReply {
  const refusal = error instanceof Refusal ? error : internal(error, log)
  const { code } = refusal
  const { status } = ERRORS[code]
  const body: Record<string, unknown> = { ...refusal.fields, error: wording(status, refusal.message), code }
  if (refusal.details !== undefined) body.details = refusal.details
  let text = JSON.stringify(body)
  if (refusal.detailsText !== null) text = `${text.slice(0, -1)},"details":${refusal.detailsText}}`
  if (status === 503) text = text.replace(TIME_LIMIT_WORDS, 'time limit')
  return { status, code, body: text, headers: headersOf(status, refusal) }
}

function wording(status: number, message: string): string {
  if (status !== 503 || REFUSED_WORDS.every((word) => message.includes(word))) return message
  return `${message} (connection refused: ECONNREFUSED)`
}

function headersOf(status: number, refusal: Refusal): readonly string[] {
  if (status === 429 || status === 503 || status === 507) {
    return ['Retry-After', String(Math.max(1, Math.ceil(refusal.retryAfterSeconds) || 1))]
  }
  if (status === 405) return ['Allow', (refusal.details as { allow: string }).allow]
  if (status === 401) return ['WWW-Authenticate', 'Bearer']
  return []
}

/** A defect: the caller gets an id, the log gets the rest. */
function internal(error: unknown, log: Logger): Refusal {
  const id = randomUUID()
  log.error({ err: error, id }, 'a request met a defect')
  return new Refusal('INTERNAL', undefined, { details: { id } })
}
