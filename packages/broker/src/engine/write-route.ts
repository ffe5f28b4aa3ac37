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
  }

  /** Resolves when writes are no longer held. */
  async opened(): Promise<void> {
    while (this.#mode === 'held') {
      this.#opened ??= Promise.withResolvers<void>()
      await this.#opened.promise
    }
  }
}
