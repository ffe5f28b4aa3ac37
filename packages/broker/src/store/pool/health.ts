/**
 * Whether PostgreSQL can be reached, as this instance knows it.
 *
 *   connecting ──success──▶ connected ──failure──▶ disconnected ──probe succeeds──▶ connected
 *        └──────failure──▶ disconnected
 *
 * While disconnected a probe runs in the background and nobody else has to find out the slow way.
 * Invariant: every change is reported exactly once; a probe is never in flight twice.
 */
import type { StoreError } from '../../ports/store-error.ts'

export type DatabaseState = 'connecting' | 'connected' | 'disconnected'

export interface HealthOptions {
  readonly probe: () => Promise<void>
  readonly onChange: (state: 'connected' | 'disconnected', reason: string | null) => void
}

// Short, because a drain waits for it and buffered pushes pile up meanwhile; still only a few connections a second.
const PROBE_PAUSE_MS_MIN = 100
const PROBE_PAUSE_MS_MAX = 1_000

export class DatabaseHealth {
  readonly #options: HealthOptions
  #state: DatabaseState = 'connecting'
  #reason: StoreError | null = null
  #probing = false
  #timer: NodeJS.Timeout | null = null
  #pauseMs = PROBE_PAUSE_MS_MIN
  #stopped = false

  constructor(options: HealthOptions) {
    this.#options = options
  }

  get state(): DatabaseState {
    return this.#state
  }

  /** Why it is disconnected. */
  get reason(): StoreError | null {
    return this.#reason
  }

  succeeded(): void {
    if (this.#stopped) return
    this.#pauseMs = PROBE_PAUSE_MS_MIN
    if (this.#state === 'connected') return
    this.#state = 'connected'
    this.#reason = null
    this.#options.onChange('connected', null)
  }

  failed(error: StoreError): void {
    if (this.#stopped) return
    if (this.#state !== 'disconnected') {
      this.#state = 'disconnected'
      this.#reason = error
      this.#options.onChange('disconnected', error.message)
    }
    this.#probeLater()
  }

  /** Asks now whether PostgreSQL is still there. */
  check(): void {
    if (this.#probing || this.#stopped) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#probing = true
    this.#options.probe().then(
      () => {
        this.#probing = false
        this.succeeded()
      },
      (error) => {
        this.#probing = false
        this.failed(error as StoreError)
      },
    )
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #probeLater(): void {
    if (this.#timer !== null || this.#probing) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.check()
    }, this.#pauseMs)
    this.#pauseMs = Math.min(this.#pauseMs * 2, PROBE_PAUSE_MS_MAX)
  }
}
