/**
 * A bounded set of connections and a bounded queue of callers waiting for one.
 *
 * Connections are opened when someone waits and handed out most recently used first. When opening fails and there is
 * no other connection to wait for, everybody waiting is told at once: in an outage a caller learns it in the time a
 * refused connection takes, not after its own patience.
 *
 * What nobody needed for a minute is closed, down to a few: a burst must not keep others from connecting for ever.
 *
 * A server may have no room for all that our pools want. Then one pool gives a connection to another, and never closes it
 * for the other's sake: whoever else is waiting for room would take it.
 *
 * Invariant: a connection is with one caller or idle, never both; size, waiters and waiting time have limits.
 */
import { StoreError } from '../../ports/store-error.ts'
import { toStoreError } from '../sqlstate.ts'
import type { DatabaseConnection } from './connection.ts'

export interface PoolOptions {
  readonly size: number
  /** So many stay open, however idle. */
  readonly keep: number
  readonly waitersMax: number
  readonly waitTimeoutMs: number
  readonly open: () => Promise<DatabaseConnection>
  /** Why no connection can be had at present, so that callers need not try. */
  readonly refusal: () => StoreError | null
  readonly onOpened: () => void
  /** `alone`: the pool has no other connection. */
  readonly onOpenFailed: (error: StoreError, alone: boolean) => void
  readonly onLost: (silent: boolean) => void
}

export interface PoolStats {
  /** Open connections. */
  readonly size: number
  readonly max: number
  readonly idle: number
  readonly waiting: number
}

/** Waits for a connection to leave this pool with. */
interface Taker {
  readonly keep: number
  readonly resolve: (connection: DatabaseConnection | null) => void
  readonly timer: NodeJS.Timeout
}

interface Waiter {
  readonly resolve: (connection: DatabaseConnection) => void
  readonly reject: (error: StoreError) => void
  readonly timer: NodeJS.Timeout
}

// Pause after a failed opening while other connections still serve (too many connections): retrying at once would
// only load a server that is short of them.
const REOPEN_PAUSE_MS = 200
// Opening one costs a few milliseconds and all its statements are parsed anew: bursts that come every few seconds keep theirs.
const IDLE_PERIOD_MS = 60_000

export class ConnectionPool {
  readonly #options: PoolOptions
  readonly #idle: DatabaseConnection[] = []
  readonly #busy = new Set<DatabaseConnection>()
  readonly #waiters: Waiter[] = []
  readonly #takers: Taker[] = []
  /** The first so many of the idle ones have not been used in this period. */
  #rested = 0
  #restTimer: NodeJS.Timeout | null = null
  #opening = 0
  #reopenTimer: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
  }

  stats(): PoolStats {
    return { size: this.#live(), max: this.#options.size, idle: this.#idle.length, waiting: this.#waiters.length }
  }

  async use<T>(work: (connection: DatabaseConnection) => Promise<T>): Promise<T> {
    const connection = this.#takeIdle() ?? (await this.#wait())
    try {
      return await work(connection)
    } finally {
      this.#release(connection)
    }
  }

  /**
   * Gives one of its connections away for good: an idle one, or the next that comes back, before any caller gets it. null
   * when that would leave fewer than `keep`, or none came back in time.
   */
  give(keep: number): Promise<DatabaseConnection | null> {
    if (this.#closed || this.#live() <= keep) return Promise.resolve(null)
    // The one that has rested longest: the others are warm.
    const idle = this.#idle.shift()
    this.#used()
    if (idle !== undefined) return Promise.resolve(idle)
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#takers.splice(this.#takers.indexOf(taker), 1)
        resolve(null)
      }, this.#options.waitTimeoutMs)
      const taker: Taker = { keep, resolve, timer }
      this.#takers.push(taker)
    })
  }

  /** Cuts every idle connection: the server fell silent, so they would only cost their users a full time limit each. */
  dropIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy()
    this.#used()
  }

  /** Refuses those who wait, closes idle connections now and busy ones when they come back. */
  close(): void {
    this.#closed = true
    if (this.#restTimer !== null) clearInterval(this.#restTimer)
    if (this.#reopenTimer !== null) clearTimeout(this.#reopenTimer)
    this.#rejectAll(new StoreError('unavailable', 'the database connections are closed'))
    for (const taker of this.#takers.splice(0)) {
      clearTimeout(taker.timer)
      taker.resolve(null)
    }
    for (const connection of this.#idle.splice(0)) connection.close()
  }

  /** Cuts what is still busy: for a shutdown whose patience has ended. */
  destroyBusy(): void {
    for (const connection of this.#busy) connection.destroy()
  }

  get busy(): number {
    return this.#busy.size
  }

  #live(): number {
    return this.#idle.length + this.#busy.size
  }

  #takeIdle(): DatabaseConnection | null {
    const connection = this.#idle.pop()
    if (connection === undefined) return null
    this.#used()
    this.#busy.add(connection)
    return connection
  }

  /** Some idle ones are not idle any more. */
  #used(): void {
    if (this.#idle.length < this.#rested) this.#rested = this.#idle.length
  }

  #closeRested(): void {
    const spare = Math.min(this.#rested, this.#live() - this.#options.keep)
    for (const connection of spare > 0 ? this.#idle.splice(0, spare) : []) {
      connection.onBroken = null
      connection.close()
    }
    this.#rested = this.#idle.length
  }

  #wait(): Promise<DatabaseConnection> {
    return new Promise((resolve, reject) => {
      const { waitersMax, waitTimeoutMs } = this.#options
      const refusal = this.#closed
        ? new StoreError('unavailable', 'the database connections are closed')
        : this.#waiters.length >= waitersMax
          ? new StoreError('unavailable', 'too many callers wait for a database connection')
          : this.#live() === 0
            ? this.#options.refusal()
            : null
      if (refusal !== null) {
        reject(refusal)
        return
      }
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        reject(new StoreError('unavailable', 'no database connection became free in time'))
      }, waitTimeoutMs)
      const waiter: Waiter = { resolve, reject, timer }
      this.#waiters.push(waiter)
      this.#openWhatIsMissing()
    })
  }

  #release(connection: DatabaseConnection): void {
    this.#busy.delete(connection)
    if (connection.broken) {
      this.#openWhatIsMissing()
    } else if (this.#closed) {
      connection.close()
    } else {
      this.#offer(connection)
    }
  }

  #offer(connection: DatabaseConnection): void {
    const taker = this.#takers[0]
    if (taker !== undefined && this.#live() >= taker.keep) {
      this.#takers.shift()
      clearTimeout(taker.timer)
      taker.resolve(connection)
      this.#openWhatIsMissing()
      return
    }
    const waiter = this.#waiters.shift()
    if (waiter === undefined) {
      this.#idle.push(connection)
      return
    }
    clearTimeout(waiter.timer)
    this.#busy.add(connection)
    waiter.resolve(connection)
  }

  #openWhatIsMissing(): void {
    if (this.#reopenTimer !== null || this.#closed) return
    while (this.#opening < this.#waiters.length && this.#live() + this.#opening < this.#options.size) {
      const refusal = this.#options.refusal()
      if (refusal !== null) {
        if (this.#live() === 0) this.#rejectAll(refusal)
        return
      }
      this.#opening++
      this.#options.open().then(
        (connection) => this.#opened(connection),
        (error) => this.#openFailed(toStoreError(error, false)),
      )
    }
  }

  #opened(connection: DatabaseConnection): void {
    this.#opening--
    connection.onBroken = (silent) => this.#lost(connection, silent)
    this.#options.onOpened()
    if (this.#closed) {
      connection.close()
      return
    }
    this.#restTimer ??= setInterval(() => this.#closeRested(), IDLE_PERIOD_MS).unref()
    this.#offer(connection)
  }

  #openFailed(error: StoreError): void {
    this.#opening--
    const alone = this.#live() === 0
    this.#options.onOpenFailed(error, alone)
    if (alone) {
      this.#rejectAll(error)
      return
    }
    this.#reopenTimer ??= setTimeout(() => {
      this.#reopenTimer = null
      this.#openWhatIsMissing()
    }, REOPEN_PAUSE_MS)
  }

  #lost(connection: DatabaseConnection, silent: boolean): void {
    const at = this.#idle.indexOf(connection)
    if (at !== -1) this.#idle.splice(at, 1)
    this.#used()
    if (!this.#closed) this.#options.onLost(silent)
  }

  #rejectAll(error: StoreError): void {
    for (const waiter of this.#waiters.splice(0)) {
      clearTimeout(waiter.timer)
      waiter.reject(error)
    }
  }
}
