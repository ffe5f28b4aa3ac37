/**
 * The points at which a crashing broker can be told to die, and the switch itself.
 *
 * Names are `<what>:<before|after>`. A statement is meant with its answer: `after` is the instant at which PostgreSQL
 * has done it and the broker knows, but has not acted on it.
 */

type What =
  /** fdatasync of records in the file buffer. */
  | 'records-sync'
  /** A write of records: `before` half of its bytes reach the file, then the process dies. */
  | 'records-write'
  /** A drained buffer file is removed. */
  | 'records-unlink'
  /** How far the buffer is drained is written to disk. */
  | 'progress-write'
  /** The remembered switch is replaced on disk. */
  | 'switch-file'
  /** The statement that stores a drained batch and its progress. */
  | 'drain-statement'
  /** The statement that stores what live pushes brought. */
  | 'push-statement'
  /** The statement that writes the switch, inside its transaction. */
  | 'switch-statement'
  /** The transaction that writes the switch, its commit included. */
  | 'switch-commit'
  /** The wait for writes under way. */
  | 'fence'

export type CrashPoint = `${What}:${'before' | 'after'}`

export class CrashSwitch {
  /** What the disk answers to writes and syncs of records; null = it works. */
  diskError: 'EIO' | 'ENOSPC' | null = null
  #point: string | null

  constructor(point: string | undefined) {
    this.#point = point ?? null
  }

  arm(point: string): void {
    this.#point = point
  }

  isArmed(point: CrashPoint): boolean {
    return this.#point === point
  }

  failDisk(): void {
    if (this.diskError === null) return
    throw Object.assign(new Error(`${this.diskError}: the test's disk fails`), { code: this.diskError })
  }

  /** SIGKILL cannot be caught or delayed: nothing behind this line happens. */
  reach(point: CrashPoint): void {
    if (this.#point === point) process.kill(process.pid, 'SIGKILL')
  }

  async around<T>(what: What, work: () => Promise<T>): Promise<T> {
    this.reach(`${what}:before`)
    const result = await work()
    this.reach(`${what}:after`)
    return result
  }
}
