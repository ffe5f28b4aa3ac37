/** A small client of the HTTP API: says what was answered and how long it took, and judges nothing. */

export interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: the tests read bodies of every shape, right and wrong ones.
  readonly body: any
  readonly headers: Headers
  readonly tookMs: number
}

export interface Item {
  queue: string
  partition?: string
  payload?: unknown
  transactionId?: string
}

export interface ItemResult {
  index: number
  status: 'queued' | 'duplicate' | 'buffered' | 'failed'
  transactionId: string
  message_id: string | null
  code?: string
}

export interface Delivered {
  readonly transactionId: string
  readonly partition: string
  readonly partitionId: string
  readonly leaseId: string
  readonly createdAt: string
  // biome-ignore lint/suspicious/noExplicitAny: payloads are the test's own.
  readonly data: any
}

/** Above every bound the contract sets for an answer (10 s), so that an overrun is measured and not cut off. */
const PATIENCE_MS = 30_000

export class Api {
  readonly #url: () => string

  /** The URL is asked for anew each time: a restarted instance listens somewhere else. */
  constructor(url: () => string) {
    this.#url = url
  }

  async call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const startedAt = performance.now()
    const response = await fetch(this.#url() + path, {
      method,
      headers,
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
    return {
      status: response.status,
      body: isJson ? JSON.parse(text) : text,
      headers: response.headers,
      tookMs: performance.now() - startedAt,
    }
  }

  get(path: string): Promise<Answer> {
    return this.call('GET', path)
  }

  post(path: string, body?: unknown): Promise<Answer> {
    return this.call('POST', path, body)
  }

  push(items: readonly Item[], extra: object = {}): Promise<Answer> {
    return this.post('/api/v1/push', { items, ...extra })
  }

  /** Counts anew and waits for it, however long a busy machine takes. */
  async refreshStats(): Promise<void> {
    for (let body = {}; ; ) {
      const answer = await this.post('/api/v1/stats/refresh', body)
      if (answer.status !== 200 || answer.body.complete) return
      body = { since: answer.body.since }
    }
  }

  pop(queue: string, query: Record<string, string | number | boolean> = {}): Promise<Answer> {
    const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))
    return this.get(`/api/v1/pop/queue/${encodeURIComponent(queue)}?${search}`)
  }

  ack(messages: readonly Delivered[], status = 'completed'): Promise<Answer> {
    return this.post('/api/v1/ack/batch', {
      acknowledgments: messages.map(({ transactionId, partitionId, leaseId }) => ({
        transactionId,
        partitionId,
        leaseId,
        status,
      })),
    })
  }

  maintenance(enabled?: boolean, reason?: string): Promise<Answer> {
    const path = '/api/v1/system/maintenance'
    return enabled === undefined
      ? this.get(path)
      : this.post(path, reason === undefined ? { enabled } : { enabled, reason })
  }

  history(): Promise<Answer> {
    return this.get('/api/v1/system/maintenance/history')
  }
}
