/**
 * Where writes go right now. A plain field, so that the check on the push path is a property read and never waits.
 *
 *   direct   into PostgreSQL
 *   buffer   into the file buffer: maintenance, outage, or draining (behind the older records)
 *   held     nowhere for a few milliseconds: the gate at the end of a drain, while the last records are stored
 *
 * Only the maintenance control changes it.
 */
export type WriteMode = 'direct' | 'buffer' | 'held'

export class WriteRoute {
  #mode: WriteMode = 'buffer'
  readonly #awaiting = new Set<() => void>()
  #opened: { promise: Promise<void>; resolve: () => void } | null = null

  get mode(): WriteMode {
    return this.#mode
  }

  set(mode: WriteMode): void {
    this.#mode = mode
    if (mode !== 'held') {
      this.#opened?.resolve()
      this.#opened = null
    }
    if (mode === 'direct') {
      for (const resume of this.#awaiting) resume()
      this.#awaiting.clear()
    }
  }

  /** Resolves when writes go direct, or after `waitMs`. */
  async direct(waitMs: number): Promise<void> {
    if (this.#mode === 'direct') return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, waitMs)
    this.#awaiting.add(resolve)
    await promise
    clearTimeout(timer)
    this.#awaiting.delete(resolve)
  }

  /** Resolves when writes are no longer held. */
  async opened(): Promise<void> {
    while (this.#mode === 'held') {
      this.#opened ??= Promise.withResolvers<void>()
      await this.#opened.promise
    }
  }
}
