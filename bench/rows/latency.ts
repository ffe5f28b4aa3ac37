/**
 * From a push to a consumer that waits for it, at 200 messages a second, beside the yardstick of the same seconds: one
 * row inserted and committed through the PostgreSQL driver at the same pace.
 */
import pg from 'pg'
import { AckRequest } from '../load/ack-request.ts'
import { Connection } from '../load/connection.ts'
import { Latencies } from '../load/latencies.ts'
import { readMessageNumber } from '../load/message-number.ts'
import { paced } from '../load/paced.ts'
import { findTransactionIds } from '../load/pop-answer.ts'
import { PushRequest } from '../load/push-request.ts'
import { popRequest } from '../load/requests.ts'
import type { Figures, Row } from './row.ts'
import { usualShape } from './row.ts'

const PER_SECOND = 200
const POP_TIMEOUT_MS = 5_000
const ROW = 'x'.repeat(100)
/** Pushes before the measured ones: queue and group come into being. */
const WARM_UP = 50
// One is acking when the next message comes.
const CONSUMERS = 2
// Enough for a stall of 320 ms; a longer one fails the row instead of being hidden by a slower pace.
const PUSHERS = 64
// The same for the yardstick's connections, with less: its stalls are not judged.
const COMMITTERS = 8

export function latencyRows(): Row[] {
  return [latency(true), latency(false)]
}

function latency(autoAck: boolean): Row {
  return {
    name: autoAck ? 'latency-auto-ack' : 'latency-ack',
    about: `push to waiting consumer at ${PER_SECOND} msg/s${autoAck ? '' : ', each acked'}; commit = one-row INSERT`,
    async run({ round, seconds, queue }) {
      const before = await commits(round.databaseUrl, seconds / 2)
      const delivered = await deliveries(round.broker.url, queue, seconds, autoAck)
      const after = await commits(round.databaseUrl, seconds / 2)
      const [p50Ms, p99Ms] = delivered.percentiles(0.5, 0.99) as [number, number]
      const commitMs = (before.percentiles(0.5)[0]! + after.percentiles(0.5)[0]!) / 2
      return { p50Ms, p99Ms, commitMs } satisfies Figures
    },
  }
}

async function commits(databaseUrl: string, seconds: number): Promise<Latencies> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: COMMITTERS, min: COMMITTERS })
  const latencies = new Latencies()
  const insert = async (measured: boolean): Promise<void> => {
    const sentMs = performance.now()
    await pool.query({ name: 'yardstick', text: 'INSERT INTO public.yardstick (body) VALUES ($1)', values: [ROW] })
    if (measured) latencies.add(performance.now() - sentMs)
  }
  try {
    await pool.query('CREATE TABLE IF NOT EXISTS public.yardstick (id bigint GENERATED ALWAYS AS IDENTITY, body text)')
    await Promise.all(Array.from({ length: WARM_UP }, () => insert(false)))
    const running: Promise<void>[] = []
    await paced(PER_SECOND, seconds, () => void running.push(insert(true)))
    await Promise.all(running)
    return latencies
  } finally {
    await pool.end()
  }
}

/** Each message has its place in `sentMs`; place and number differ by the first number of the row. */
async function deliveries(url: string, queue: string, seconds: number, autoAck: boolean): Promise<Latencies> {
  const done = Promise.withResolvers<void>()
  const open = (count: number): Promise<Connection[]> =>
    Promise.all(Array.from({ length: count }, () => Connection.open(url, done.reject)))
  const consumers = await open(CONSUMERS)
  const pushers = await open(PUSHERS)
  const free = [...pushers]
  const count = WARM_UP + Math.round(PER_SECOND * seconds)
  const sentMs: number[] = []
  const latencies = new Latencies()
  const request = popRequest({ queue, batch: 10, autoAck, timeoutMs: POP_TIMEOUT_MS })
  let delivered = 0

  const consume = (connection: Connection): void => {
    const ack = new AckRequest()
    const idsAt: number[] = []
    const pop = (): void =>
      connection.send(request, true, (status, _bytes, body) => {
        const nowMs = performance.now()
        if (status === 204) return pop()
        if (status !== 200) return done.reject(new Error(`a pop was answered ${status}`))
        findTransactionIds(body!, idsAt)
        for (const at of idsAt) {
          const place = readMessageNumber(body!, at)
          if (place >= WARM_UP) latencies.add(nowMs - sentMs[place]!)
        }
        delivered += idsAt.length
        if (autoAck) pop()
        else {
          connection.send(ack.of(body!, idsAt), false, (status) =>
            status === 200 ? pop() : done.reject(new Error(`an ack was answered ${status}`)),
          )
        }
        if (delivered === count) done.resolve()
        if (delivered > count) done.reject(new Error('a message was delivered twice'))
      })
    pop()
  }

  const shape = { ...usualShape(queue, 1) }
  const requests = new Map(pushers.map((connection) => [connection, new PushRequest(shape)]))
  const push = (): void => {
    const connection = free.pop()
    if (connection === undefined) {
      done.reject(new Error(`${PUSHERS} pushes are waiting for their answer`))
      return
    }
    const place = sentMs.length
    const bytes = requests.get(connection)!.next(place, place, Date.now())
    sentMs.push(performance.now())
    connection.send(bytes, false, (status) => {
      if (status === 201) free.push(connection)
      else done.reject(new Error(`a push was answered ${status}`))
    })
  }

  try {
    consumers.forEach(consume)
    await Promise.race([paced(PER_SECOND, count / PER_SECOND, push), done.promise])
    await done.promise
    return latencies
  } finally {
    for (const connection of [...consumers, ...pushers]) connection.close()
  }
}
