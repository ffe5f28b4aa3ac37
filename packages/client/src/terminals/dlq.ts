/** Reads dead letters. Rejects on errors: unknown is not an empty page (G10). */

import type { ClientCore } from '../client-core.ts'
import { QueenServerError } from '../errors/classes.ts'
import { isRecord } from '../errors/from-answer.ts'
import { readNumber } from '../options.ts'
import { isoTime, query } from '../transport/path.ts'
import type { DlqMessage, DlqPage } from '../types/message.ts'
import type { Untyped } from '../types/untyped.ts'

const LIMIT_DEFAULT = 100

/** A question for dead letters; `get()` asks it. */
export class DlqBuilder<T = Untyped> {
  readonly #core: ClientCore
  readonly #filter: { queue: string; partition: string | null; consumerGroup: string | null }
  #limit = LIMIT_DEFAULT
  #offset = 0
  #from: string | null = null
  #to: string | null = null

  constructor(core: ClientCore, queue: string, partition: string | null, consumerGroup: string | null) {
    this.#core = core
    this.#filter = { queue, partition, consumerGroup }
  }

  /** Most messages of the page; default 100. */
  limit(count: number): this {
    this.#limit = Math.max(1, Math.trunc(readNumber('limit', count, -Infinity)))
    return this
  }

  /** How many to pass over; default 0. */
  offset(count: number): this {
    this.#offset = Math.max(0, Math.trunc(readNumber('offset', count, -Infinity)))
    return this
  }

  /** Only those that failed at this time or later. */
  from(time: string | Date): this {
    this.#from = isoTime(time)
    return this
  }

  /** Only those that failed before this time. */
  to(time: string | Date): this {
    this.#to = isoTime(time)
    return this
  }

  /** One page, newest first. Rejects on errors: unknown is not an empty page. */
  async get(options: { signal?: AbortSignal | undefined } = {}): Promise<DlqPage<T>> {
    this.#core.lifecycle.assertOpen()
    const page = { limit: this.#limit, offset: this.#offset, from: this.#from, to: this.#to }
    const { body } = await this.#core.send({
      operation: 'DLQBuilder.get',
      method: 'GET',
      path: `/api/v1/dlq${query({ ...this.#filter, ...page })}`,
      signal: options.signal,
      destination: { queue: this.#filter.queue, consumerGroup: this.#filter.consumerGroup },
    })
    if (!isRecord(body) || !Array.isArray(body.messages)) {
      throw new QueenServerError('The broker did not answer with a list of messages', { code: 'INVALID_ANSWER' })
    }
    const total = typeof body.total === 'number' ? body.total : null
    return { ...body, messages: body.messages.filter(isRecord).map(deadLetter<T>), total }
  }
}

/** The examples of client 0.15 read `dlqTimestamp`. */
function deadLetter<T>(raw: Record<string, unknown>): DlqMessage<T> {
  return { ...raw, dlqTimestamp: raw.dlqTimestamp ?? raw.failedAt } as DlqMessage<T>
}
