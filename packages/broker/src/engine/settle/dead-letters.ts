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
import { isStoreTimestamp, nextOf, readToken } from '../list-token.ts'
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
const ID = /^\d{1,18}$/

export function createDeadLetters(parts: DeadLetterParts): Pick<Engine, 'listDeadLetters'> {
  return {
    async listDeadLetters(query) {
      const after = query.after === null ? null : positionOf(query.after)
      const { limit, offset } = query
      const found = await answering(() =>
        parts.store.listDeadLetters(query, { limit, offset, after, bytesMax: ANSWER_BYTES_MAX }),
      )
      return {
        rows: found.rows.map((row) => open(row, parts)),
        total: found.total,
        limit,
        offset,
        hasMore: found.hasMore,
        next: nextOf(found.rows, found.hasMore, ({ position }) => [position.failedAt, position.id]),
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

function positionOf(token: string): DeadLetterPosition {
  const [failedAt, id] = readToken(token, 2, ([at = '', row = '']) => isStoreTimestamp(at) && ID.test(row))
  return { failedAt: failedAt!, id: id! }
}
