/**
 * The maintenance switch as this instance remembers it on its disk, so that a start without PostgreSQL knows of an open
 * window (G11). A disk that does not take it is asked again, for what is the latest by then.
 */
import type { Log } from '../../ports/log.ts'
import type { RecordLog } from '../../ports/record-log.ts'
import { readSwitch, type SwitchState } from './switch-state.ts'

const STATE_FILE = 'maintenance'
// A disk that has room again is used at once: until then a restart without PostgreSQL would not know of the window.
const AGAIN_MS = 100

export class RememberedSwitch {
  readonly #disk: Pick<RecordLog, 'readState' | 'writeState'>
  readonly #report: Pick<Log, 'error'>
  readonly #latest: () => SwitchState
  #saved = ''
  #fails = false
  #timer: NodeJS.Timeout | null = null
  #stopped = false

  constructor(
    disk: Pick<RecordLog, 'readState' | 'writeState'>,
    report: Pick<Log, 'error'>,
    latest: () => SwitchState,
  ) {
    this.#disk = disk
    this.#report = report
    this.#latest = latest
  }

  /** null = nothing is remembered. */
  async read(): Promise<SwitchState | null> {
    const remembered = await this.#disk.readState(STATE_FILE)
    if (remembered === null || remembered === undefined) return null
    const state = readSwitch(remembered)
    this.#saved = JSON.stringify(state)
    return state
  }

  has(state: SwitchState): boolean {
    return JSON.stringify(state) === this.#saved
  }

  /** Never rejects. */
  async save(state: SwitchState): Promise<void> {
    try {
      await this.#disk.writeState(STATE_FILE, state)
      this.#saved = JSON.stringify(state)
      this.#fails = false
    } catch (error) {
      if (!this.#fails) this.#report.error({ err: error }, 'the maintenance switch cannot be remembered on disk')
      this.#fails = true
      if (this.#stopped || this.#timer !== null) return
      this.#timer = setTimeout(() => {
        this.#timer = null
        if (this.#fails) void this.save(this.#latest())
      }, AGAIN_MS)
    }
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }
}
