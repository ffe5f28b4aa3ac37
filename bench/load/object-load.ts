/**
 * The push and pop loads as a plain program writes them: the same connections, but every request is made of objects with
 * JSON.stringify and every answer is read with JSON.parse. What the client is beside it is what the client itself costs;
 * beside the ready-made bytes it also pays for the objects that any program has.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { Connection } from './connection.ts'
import { messageNumberOf } from './message-number.ts'
import type { PushShape } from './push-request.ts'
import { popRequest, requestBytes } from './requests.ts'

export interface ObjectPushLoad extends PushShape {
  readonly connections: number
  readonly seconds: number
  readonly rampMs: number
}

export interface ObjectPopLoad {
  readonly queue: string
  readonly consumers: number
  readonly batch: number
  readonly numberFrom: number
  readonly messages: number
}

interface Popped {
  readonly messages: readonly { transactionId: string; partitionId: string; leaseId: string; data: unknown }[]
}

const POP_TIMEOUT_MS = 2_000

export async function runObjectPush(
  url: string,
  load: ObjectPushLoad,
): Promise<{ acknowledged: number; messagesPerSecond: number }> {
  const { connections, queue, batch, partitions } = load
  const done = Promise.withResolvers<void>()
  const open = await Promise.all(Array.from({ length: connections }, () => Connection.open(url, done.reject)))
  const measureFromMs = performance.now() + load.rampMs
  const endMs = measureFromMs + load.seconds * 1000
  const payload = order(load.payloadBytes)
  let acknowledged = 0
  let measured = 0
  let running = connections
  const produce = (connection: Connection, place: number): void => {
    let turn = place
    const send = (): void => {
      const sentMs = performance.now()
      if (sentMs >= endMs) {
        if (--running === 0) done.resolve()
        return
      }
      const partition = `p${String(turn++ % partitions).padStart(4, '0')}`
      const items = Array.from({ length: batch }, () => ({ queue, partition, payload, transactionId: randomUUID() }))
      const request = requestBytes('POST', '/api/v1/push', Buffer.from(JSON.stringify({ items })))
      connection.send(request, true, (status, _bytes, body) => {
        const results = JSON.parse(body!.toString()) as { status: string }[]
        if (status !== 201 || results.length !== batch || results.some((each) => each.status !== 'queued')) {
          done.reject(new Error(`a push was answered ${status}: ${body?.toString('utf8', 0, 300)}`))
          return
        }
        acknowledged += batch
        if (sentMs >= measureFromMs && performance.now() <= endMs) measured += batch
        send()
      })
    }
    send()
  }
  await untilDone(open, done.promise, () => open.forEach(produce))
  return { acknowledged, messagesPerSecond: measured / load.seconds }
}

export async function runObjectPop(url: string, load: ObjectPopLoad): Promise<{ messagesPerSecond: number }> {
  const done = Promise.withResolvers<void>()
  const open = await Promise.all(Array.from({ length: load.consumers }, () => Connection.open(url, done.reject)))
  const seen = new Uint8Array(load.messages)
  const request = popRequest({ ...load, autoAck: false, timeoutMs: POP_TIMEOUT_MS })
  let finished = 0
  const consume = (connection: Connection): void => {
    const pop = (): void =>
      connection.send(request, true, (status, _bytes, body) => {
        if (status === 204) pop()
        else ack((JSON.parse(body!.toString()) as Popped).messages)
      })
    const ack = (messages: Popped['messages']): void => {
      for (const { transactionId } of messages) {
        const place = messageNumberOf(transactionId) - load.numberFrom
        if (seen[place] !== 0) done.reject(new Error('a message that was not pushed, or was delivered twice'))
        seen[place] = 1
      }
      const acknowledgments = messages.map(({ transactionId, partitionId, leaseId }) => ({
        transactionId,
        partitionId,
        leaseId,
        status: 'completed',
      }))
      const bytes = requestBytes('POST', '/api/v1/ack/batch', Buffer.from(JSON.stringify({ acknowledgments })))
      connection.send(bytes, true, (_status, _bytes, body) => {
        const results = JSON.parse(body!.toString()) as { success: boolean }[]
        if (results.some(({ success }) => !success)) done.reject(new Error(`an ack was refused: ${body?.toString()}`))
        finished += results.length
        if (finished === load.messages) done.resolve()
        else pop()
      })
    }
    pop()
  }
  const startedMs = performance.now()
  await untilDone(open, done.promise, () => open.forEach(consume))
  return { messagesPerSecond: (load.messages * 1000) / (performance.now() - startedMs) }
}

const DEADLINE_MS = 120_000

async function untilDone(open: readonly Connection[], done: Promise<void>, begin: () => void): Promise<void> {
  const late = Promise.withResolvers<never>()
  const deadline = setTimeout(() => late.reject(new Error(`not done after ${DEADLINE_MS / 1000} s`)), DEADLINE_MS)
  try {
    begin()
    await Promise.race([done, late.promise])
  } finally {
    clearTimeout(deadline)
    for (const connection of open) connection.close()
  }
}

/** A payload of about so many bytes of JSON. */
export function order(bytes: number): { kind: string; total: number; note: string } {
  const rest = { kind: 'order.created', total: 4999, note: '' }
  const note = randomBytes(bytes)
    .toString('base64')
    .slice(0, Math.max(0, bytes - JSON.stringify(rest).length))
  return { ...rest, note }
}
