/**
 * Remembers what producers tried and what they were promised. It is the test's side of the contract: whatever is
 * recorded as acknowledged must be found later, once and in order.
 */

/** What every message of a producer says about itself. */
export interface Numbered {
  readonly producer: string
  readonly sequence: number
}

export interface Acknowledged extends Numbered {
  readonly transactionId: string
  readonly partition: string
  readonly status: 'queued' | 'buffered' | 'duplicate'
  /** The instance that answered. */
  readonly instance: string
  readonly sentAtMs: number
  readonly answeredAtMs: number
}

/** One answered or failed request. */
export interface Attempt {
  /** HTTP status; 0 = the connection broke. */
  readonly status: number
  readonly code: string | null
  readonly tookMs: number
  readonly sentAtMs: number
}

export class Recorder {
  readonly acknowledged = new Map<string, Acknowledged>()
  readonly attempts: Attempt[] = []
  readonly #attempted = new Set<string>()
  readonly #arrivals = new Set<() => void>()

  attempt(transactionId: string): void {
    this.#attempted.add(transactionId)
  }

  wasAttempted(transactionId: string): boolean {
    return this.#attempted.has(transactionId)
  }

  answer(attempt: Attempt): void {
    this.attempts.push(attempt)
  }

  acknowledge(message: Acknowledged): void {
    // The first promise counts: a repeated push is answered "duplicate", which promises nothing new.
    if (!this.acknowledged.has(message.transactionId)) this.acknowledged.set(message.transactionId, message)
    for (const arrival of this.#arrivals) arrival()
  }

  count(status?: Acknowledged['status']): number {
    if (status === undefined) return this.acknowledged.size
    let count = 0
    for (const message of this.acknowledged.values()) if (message.status === status) count++
    return count
  }

  /** Resolves when `count` more messages were acknowledged (with that status). */
  more(count: number, status?: Acknowledged['status'], timeoutMs = 20_000): Promise<void> {
    const goal = this.count(status) + count
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#arrivals.delete(look)
        reject(new Error(`no ${count} more ${status ?? 'acknowledged'} messages within ${timeoutMs} ms`))
      }, timeoutMs)
      const look = (): void => {
        if (this.count(status) < goal) return
        clearTimeout(timer)
        this.#arrivals.delete(look)
        resolve()
      }
      this.#arrivals.add(look)
    })
  }

  /** The longest time a push took to be answered, whatever the answer. */
  get slowestMs(): number {
    return this.attempts.reduce((slowest, attempt) => Math.max(slowest, attempt.tookMs), 0)
  }

  /** How often each refusal was answered; "0" stands for broken connections. */
  get refusals(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { status, code } of this.attempts) {
      if (status === 201) continue
      const name = code ?? String(status)
      counts[name] = (counts[name] ?? 0) + 1
    }
    return counts
  }
}
