/**
 * An instance's name is its own among those that share a database: of two that go by one name, status would show one and
 * count one buffer (G10). Who holds a name is told by the file buffer, which its owner has locked: the same buffer under
 * the same name is this instance's own earlier run, also right after kill -9.
 *
 * Two brokers on copies of one directory go by one buffer as well. Nobody can tell that from a restart at first; but whoever
 * was heard between two heartbeats of this process is alive, and what one of them drains passes for drained at the other.
 *
 * Never waits for a name of its own; for one whose holder was heard of a moment ago it waits until that one is heard again
 * or has been silent for long enough to be gone.
 */
import type { Log } from '../ports/log.ts'
import { StoreError } from '../ports/store-error.ts'
import type { InstanceRow } from '../ports/system-store.ts'
import { Periodic } from './periodic.ts'

/** Whoever else goes by the name. */
export interface Holder extends InstanceRow {
  /** With the same buffer. */
  readonly isCopy: boolean
}

export interface NameParts {
  /** Reports this instance unless another one holds its name; who else does, or null. @throws StoreError */
  readonly heartbeat: () => Promise<Holder | null>
  readonly nowMs: () => number
  readonly log: Log
}

const LOOK_MS = 200
// The log needs no line for each heartbeat.
const REPORT_MS = 60_000

/** One sentence for the operator. */
export class NameTaken extends Error {
  override readonly name = 'NameTaken'
  readonly exitCode = 2

  constructor({ id, hostname, pid }: InstanceRow) {
    super(
      `INSTANCE_ID ${id} is the name of another running instance on this database (process ${pid} on ${hostname}); each needs its own.`,
    )
  }
}

export class OwnName {
  readonly #parts: NameParts
  #held = false
  #reportedAtMs = Number.NEGATIVE_INFINITY

  constructor(parts: NameParts) {
    this.#parts = parts
  }

  /** Whether what stands in the database under this name is this instance's. */
  get held(): boolean {
    return this.#held
  }

  /** Before anything is done under the name. Without PostgreSQL nobody can be asked. @throws NameTaken */
  async claim(): Promise<void> {
    try {
      for (let heardAt: string | null = null; ; ) {
        const holder = await this.#heartbeat()
        if (holder === null || holder.isCopy) return
        if (heardAt !== null && heardAt !== holder.lastSeenAt) throw new NameTaken(holder)
        heardAt = holder.lastSeenAt
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
    }
  }

  /** Reports all the time: what this instance holds and that it lives. */
  periodically(pauseMs: number, onError: (error: unknown) => void): Periodic {
    return new Periodic({ name: 'heartbeat', pauseMs, immediately: true, work: () => this.beat(), onError })
  }

  /** Both may have started while PostgreSQL was away: then the one that came second says so. @throws StoreError */
  async beat(): Promise<void> {
    const { log, nowMs } = this.#parts
    const holder = await this.#heartbeat()
    if (holder === null || nowMs() - this.#reportedAtMs < REPORT_MS) return
    this.#reportedAtMs = nowMs()
    const { hostname, id, pid } = holder
    const sentence = holder.isCopy
      ? `another process goes by ${id} and drains the same buffer: two brokers must not run on copies of one directory, or what one has drained passes for drained at the other, and is lost; stop one, and keep its directory`
      : `another instance goes by the INSTANCE_ID ${id}: status shows and counts only that one; give each its own`
    log.error({ hostname, pid }, sentence)
  }

  async #heartbeat(): Promise<Holder | null> {
    const holder = await this.#parts.heartbeat()
    this.#held = holder === null || holder.isCopy
    return holder
  }
}
