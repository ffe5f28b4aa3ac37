/**
 * The verb that lists dead letters: opens the frames, decrypts payloads, pages by key.
 *
 * A payload that cannot be opened (no key, another key, damaged) is shown as null with a warning in the log: one bad
 * row must not hide the others.
 */
import type { Cipher } from '../../ports/cipher.ts'
import type { DeadLetterPosition, DeadLetterStore, StoredDeadLetter } from '../../ports/dead-letter-store.ts'
import type { Log } from '../../ports/log.ts'
import type { Engine } from '../engine.ts'
import { openPayload, viewFrame } from '../format/frame-view.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import type { DeadLetter } from '../types.ts'

export interface DeadLetterParts {
  readonly store: DeadLetterStore
  readonly cipher: Cipher | null
  readonly log: Log
}

// Frames of one answer together. The answer is built in memory, several may be at a time.
const ANSWER_BYTES_MAX = 32 * 1024 * 1024
const NULL_JSON = Buffer.from('null')
const TIMESTAMP = /^(?!0000)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00$/
const ID = /^\d{1,18}$/

export function createDeadLetters(parts: DeadLetterParts): Pick<Engine, 'listDeadLetters'> {
  return {
    async listDeadLetters(query) {
      const after = query.after === null ? null : positionOf(query.after)
      const { limit, offset } = query
      const found = await answering(() =>
        parts.store.listDeadLetters(query, { limit, offset, after, bytesMax: ANSWER_BYTES_MAX }),
      )
      const last = found.rows.at(-1)
      return {
        rows: found.rows.map((row) => open(row, parts)),
        total: found.total,
        limit,
        offset,
        hasMore: found.hasMore,
        next: found.hasMore && last !== undefined ? tokenOf(last.position) : null,
      }
    },
  }
}

function open(row: StoredDeadLetter, { cipher, log }: DeadLetterParts): DeadLetter {
  let data: Buffer = NULL_JSON
  let traceId: string | null = null
  let producerSub: string | null = null
  try {
    const view = viewFrame(row.frame)
    traceId = view.traceId
    producerSub = view.producerSub
    data = openPayload(view, cipher)
  } catch (error) {
    log.warn(
      { deadLetter: row.position.id, error: (error as Error).message },
      'the payload of a dead letter cannot be read',
    )
  }
  const { messageId, frame: _, position: __, ...rest } = row
  return { ...rest, id: messageId, data, traceId, producerSub }
}

function tokenOf({ failedAt, id }: DeadLetterPosition): string {
  return Buffer.from(`${failedAt}/${id}`).toString('base64url')
}

function positionOf(token: string): DeadLetterPosition {
  const [failedAt = '', id = ''] = Buffer.from(token, 'base64url').toString('latin1').split('/', 2)
  const timeMs = TIMESTAMP.test(failedAt) ? Date.parse(failedAt) : Number.NaN
  // The comparison refuses a 30th of February, which JavaScript takes for a day in March and PostgreSQL for an error.
  const real = !Number.isNaN(timeMs) && new Date(timeMs).toISOString().slice(0, 10) === failedAt.slice(0, 10)
  if (!real || !ID.test(id))
    throw new Refusal('INVALID_PARAMETER', "Parameter 'after' is not a value this server has given", {
      details: { parameter: 'after' },
    })
  return { failedAt, id }
}
