/**
 * Keeps the catalog's queues as new as the newest version anybody has noticed.
 *
 * One refresh at a time, at most a few a second however often the configuration changes; a failed one is repeated.
 * Invariant: after the last notice a refresh that read at least that version follows within a second, while
 * PostgreSQL answers.
 */
import type { Log } from '../../ports/log.ts'
import type { QueueStore } from '../../ports/queue-store.ts'
import type { QueueEntry } from '../types.ts'

export interface RefreshParts {
  readonly store: QueueStore
  readonly log: Log
  readonly names: () => string[]
  /** A version later than any before was noticed. */
  readonly onChange: () => void
  readonly onQueues: (asked: readonly string[], found: readonly QueueEntry[], version: number) => void
}

// Creating queues by the thousand raises the version by the thousand; five refreshes a second follow them well enough.
const PAUSE_MS = 200
const RETRY_MS = 1_000
const NAMES_PER_READ = 1_000

export class CatalogRefresh {
  readonly #parts: RefreshParts
  #noticed = 0
  /** Every cached queue is at least as new as this. */
  #reached = 0
  #timer: NodeJS.Timeout | null = null
  #running = false
  #stopped = false

  constructor(parts: RefreshParts) {
    this.#parts = parts
  }

  get noticed(): number {
    return this.#noticed
  }

  noticeVersion(version: number): void {
    if (version <= this.#noticed) return
    this.#noticed = version
    this.#parts.onChange()
    this.#schedule(0)
  }

  /** Versions of this database say nothing of those before: the next one that is noticed is later than any. */
  startOver(): void {
    this.#noticed = 0
    this.#reached = 0
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #schedule(pauseMs: number): void {
    if (this.#timer !== null || this.#running || this.#stopped) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      void this.#run()
    }, pauseMs)
    this.#timer.unref()
  }

  async #run(): Promise<void> {
    this.#running = true
    const noticed = this.#noticed
    let pauseMs = PAUSE_MS
    try {
      this.#reached = await this.#readAll()
      // The version that was noticed had been committed. A read that began later and found a lower one reads another
      // database, an older copy.
      if (this.#reached < noticed && this.#noticed === noticed) this.#noticed = this.#reached
    } catch (error) {
      this.#parts.log.debug({ error: (error as Error).message }, 'the queue configuration could not be read')
      pauseMs = RETRY_MS
    }
    this.#running = false
    if (this.#reached < this.#noticed) this.#schedule(pauseMs)
  }

  /** Returns the version that everything read has at least. */
  async #readAll(): Promise<number> {
    const names = this.#parts.names()
    let lowest = this.#noticed
    for (let at = 0; at < names.length && !this.#stopped; at += NAMES_PER_READ) {
      const asked = names.slice(at, at + NAMES_PER_READ)
      const { version, queues } = await this.#parts.store.readQueues(asked)
      this.#parts.onQueues(asked, queues, version)
      lowest = Math.min(lowest, version)
    }
    return lowest
  }
}
