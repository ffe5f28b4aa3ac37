/**
 * Consumers: each has a connection and pops, acks (unless autoAck), pops again, until every message of the backlog was
 * delivered. Each delivered message is ticked off by its number: a second delivery and a missing one both fail the row.
 */
import { AckRequest } from './ack-request.ts'
import { Connection } from './connection.ts'
import { Latencies } from './latencies.ts'
import { readMessageNumber } from './message-number.ts'
import { findTransactionIds } from './pop-answer.ts'
import { popRequest } from './requests.ts'

export interface PopLoad {
  readonly queue: string
  readonly consumers: number
  readonly batch: number
  readonly autoAck: boolean
  /** The backlog: message numbers [numberFrom, numberFrom + messages). */
  readonly numberFrom: number
  readonly messages: number
}

export interface PopOutcome {
  readonly messagesPerSecond: number
  readonly requests: number
  /** Mean messages a pop. */
  readonly messagesPerPop: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const PARSE_EVERY = 256
// Consumers wait; one that is answered empty asks again. Long enough that a wrong "empty" would be seen in the rate.
const POP_TIMEOUT_MS = 2_000
const DEADLINE_MS = 120_000

export async function runPopLoad(url: string, load: PopLoad): Promise<PopOutcome> {
  const done = Promise.withResolvers<void>()
  const open = await Promise.all(Array.from({ length: load.consumers }, () => Connection.open(url, done.reject)))
  const latencies = new Latencies()
  const seen = new Uint8Array(load.messages)
  let finished = 0
  let answers = 0
  let filled = 0

  const tick = (body: Buffer, idsAt: readonly number[]): void => {
    if (idsAt.length > load.batch) throw new Error(`${idsAt.length} messages where ${load.batch} were asked for`)
    for (const at of idsAt) {
      const place = readMessageNumber(body, at) - load.numberFrom
      if (place < 0 || place >= load.messages) throw new Error('a message that was not pushed')
      if (seen[place] === 1) throw new Error('a message was delivered twice')
      seen[place] = 1
    }
  }
  const settle = (count: number): void => {
    finished += count
    if (finished === load.messages) done.resolve()
  }

  const consume = (connection: Connection): void => {
    const request = popRequest({ ...load, timeoutMs: POP_TIMEOUT_MS })
    const ack = new AckRequest()
    const idsAt: number[] = []
    let sentMs = 0
    const pop = (): void => {
      sentMs = performance.now()
      connection.send(request, true, guarded(popped))
    }
    const popped = (status: number, _bytes: number, body: Buffer | null): void => {
      if (status !== 200 && status !== 204) throw new Error(`a pop was answered ${status}: ${body?.toString()}`)
      answers++
      if (status === 204) {
        pop()
        return
      }
      latencies.add(performance.now() - sentMs)
      filled++
      findTransactionIds(body!, idsAt)
      if (answers % PARSE_EVERY === 0) {
        const { messages } = JSON.parse(body!.toString()) as { messages: unknown[] }
        if (messages.length !== idsAt.length) throw new Error('a message without a transactionId')
      }
      tick(body!, idsAt)
      if (load.autoAck) {
        settle(idsAt.length)
        pop()
      } else {
        connection.send(ack.of(body!, idsAt), true, guarded(acked))
      }
    }
    const acked = (status: number, _bytes: number, body: Buffer | null): void => {
      if (status !== 200) throw new Error(`an ack was answered ${status}: ${body?.toString()}`)
      if (body!.includes('"success":false')) throw new Error(`an ack was refused: ${body?.toString('utf8', 0, 400)}`)
      settle(idsAt.length)
      pop()
    }
    pop()
  }
  const guarded =
    (receive: (status: number, bytes: number, body: Buffer | null) => void) =>
    (status: number, bytes: number, body: Buffer | null): void => {
      try {
        receive(status, bytes, body)
      } catch (error) {
        done.reject(error)
      }
    }

  const deadline = setTimeout(
    () => done.reject(new Error(`${finished} of ${load.messages} messages after ${DEADLINE_MS / 1000} s`)),
    DEADLINE_MS,
  )
  const startedMs = performance.now()
  try {
    for (const connection of open) consume(connection)
    await done.promise
  } finally {
    clearTimeout(deadline)
    for (const connection of open) connection.close()
  }
  const elapsedMs = performance.now() - startedMs
  const [p50Ms, p99Ms] = latencies.percentiles(0.5, 0.99) as [number, number]
  return {
    messagesPerSecond: (load.messages * 1000) / elapsedMs,
    requests: answers,
    messagesPerPop: load.messages / filled,
    p50Ms,
    p99Ms,
  }
}
