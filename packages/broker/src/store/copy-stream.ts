/**
 * One table's rows from one PostgreSQL into another by COPY, in the text format, which every version reads as every other
 * wrote it. Rows pass through as they come; what waits in memory is bounded by the slower side.
 */
import type pg from 'pg'

/** What is on its way to the target at most before the source is asked to wait. */
const AHEAD_BYTES_MAX = 8 * 1024 * 1024

/** The part of a connection that node-postgres shows to the queries it runs. */
interface Wire {
  readonly stream: {
    readonly writableLength: number
    pause(): void
    resume(): void
    once(event: 'drain', then: () => void): void
  }
  query(text: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
  sendCopyFail(message: string): void
}

/** A running COPY: node-postgres calls these while it is the client's active query. */
class Copy {
  readonly done: Promise<void>
  readonly #text: string
  #resolve!: () => void
  #reject!: (error: Error) => void
  #failure: Error | null = null
  wire: Wire | null = null
  onBegin: () => void = () => {}
  onChunk: (chunk: Buffer) => void = () => {}

  constructor(text: string) {
    this.#text = text
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(wire: Wire): void {
    this.wire = wire
    wire.query(this.#text)
  }

  handleCopyInResponse(): void {
    this.onBegin()
  }

  handleCopyData(message: { chunk: Buffer }): void {
    this.onChunk(message.chunk)
  }

  handleError(error: Error): void {
    this.#failure ??= error
    // A connection that is gone says no more.
    this.#reject(error)
  }

  handleReadyForQuery(): void {
    if (this.#failure === null) this.#resolve()
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
}

/** @throws what either side refused; the other side's statement has ended by then too */
export async function copyRows(
  from: pg.Client,
  to: pg.Client,
  select: string,
  table: string,
  columns: string,
): Promise<void> {
  const source = new Copy(`COPY (${select}) TO STDOUT`)
  const target = new Copy(`COPY ${table} (${columns}) FROM STDIN`)
  source.onChunk = (chunk) => {
    const wire = target.wire!
    wire.sendCopyFromChunk(chunk)
    if (wire.stream.writableLength < AHEAD_BYTES_MAX) return
    source.wire!.stream.pause()
    wire.stream.once('drain', () => source.wire!.stream.resume())
  }
  target.onBegin = () => {
    from.query(source as unknown as pg.Submittable)
    source.done.then(
      () => target.wire!.endCopyFrom(),
      (error: Error) => target.wire!.sendCopyFail(error.message),
    )
  }
  // Should the target fail, what the source still sends is thrown away with the connection.
  source.done.catch(() => {})
  to.query(target as unknown as pg.Submittable)
  await target.done
  await source.done
}
