/**
 * Producers: each has a connection and sends its next push when the last is answered.
 *
 * Every answer's status and length is checked; every so often one is parsed and compared item by item with what was
 * sent. All answers to one shape have the same length, so a result that differs shows even in those that are not parsed.
 */
import { Connection } from './connection.ts'
import { Latencies } from './latencies.ts'
import { PushRequest, type PushShape } from './push-request.ts'

export interface PushLoad extends PushShape {
  readonly connections: number
  readonly status: 'queued' | 'buffered'
  /** Which comes first ends the load. */
  readonly seconds?: number
  readonly messagesMax?: number
  /** Not measured: connections open, windows grow. */
  readonly rampMs?: number
  /** Ends the load from outside. */
  readonly until?: AbortSignal
}

export interface PushOutcome {
  /** All messages that were acknowledged, the ramp's too: so many must be stored. */
  readonly acknowledged: number
  /** Numbers given out: [from, to). */
  readonly numberFrom: number
  readonly messagesPerSecond: number
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly elapsedMs: number
}

const PARSE_EVERY = 256
let nextNumber = 0

export async function runPushLoad(url: string, load: PushLoad): Promise<PushOutcome> {
  const { batch, connections, rampMs = 0, messagesMax = Number.POSITIVE_INFINITY } = load
  const done = Promise.withResolvers<void>()
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(url, done.reject)))
  const latencies = new Latencies()
  const numberFrom = nextNumber
  const startedMs = performance.now()
  const measureFromMs = startedMs + rampMs
  const endMs = load.seconds === undefined ? Number.POSITIVE_INFINITY : measureFromMs + load.seconds * 1000
  let sent = 0
  let answers = 0
  let acknowledged = 0
  let measured = 0
  let running = connections
  let lastMs = startedMs
  let usualBytes = -1

  const check = (status: number, bodyBytes: number, body: Buffer | null): void => {
    if (status !== 201) throw new Error(`a push was answered ${status}: ${body?.toString('utf8', 0, 300) ?? ''}`)
    if (body === null) {
      if (bodyBytes !== usualBytes) throw new Error(`an answer of ${bodyBytes} bytes where all have ${usualBytes}`)
      return
    }
    const results = JSON.parse(body.toString()) as { index: number; status: string; partition: string }[]
    if (results.length !== batch || results.some((each, i) => each.status !== load.status || each.index !== i)) {
      throw new Error(`not all ${batch} items are ${load.status}: ${body.toString('utf8', 0, 300)}`)
    }
    usualBytes = bodyBytes
  }

  const produce = (connection: Connection, place: number): void => {
    const request = new PushRequest(load)
    let partition = place
    let sentMs = 0
    const send = (): void => {
      sentMs = performance.now()
      if (sent >= messagesMax || sentMs >= endMs || load.until?.aborted) {
        if (--running === 0) done.resolve()
        return
      }
      const bytes = request.next(nextNumber, partition, Math.floor(performance.timeOrigin + sentMs))
      nextNumber += batch
      sent += batch
      partition += load.spread ? batch : 1
      connection.send(bytes, usualBytes === -1 || answers % PARSE_EVERY === 0, receive)
    }
    const receive = (status: number, bodyBytes: number, body: Buffer | null): void => {
      try {
        check(status, bodyBytes, body)
      } catch (error) {
        done.reject(error)
        return
      }
      lastMs = performance.now()
      answers++
      acknowledged += batch
      if (sentMs >= measureFromMs && lastMs <= endMs) {
        measured += batch
        latencies.add(lastMs - sentMs)
      }
      send()
    }
    send()
  }

  try {
    open.forEach(produce)
    await done.promise
  } finally {
    for (const connection of open) connection.close()
  }
  const elapsedMs = lastMs - startedMs
  const [p50Ms, p99Ms] = latencies.percentiles(0.5, 0.99) as [number, number]
  return {
    acknowledged,
    numberFrom,
    messagesPerSecond: (measured * 1000) / (Math.min(lastMs, endMs) - measureFromMs),
    requests: answers,
    p50Ms,
    p99Ms,
    elapsedMs,
  }
}
