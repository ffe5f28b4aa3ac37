/** Pushes that ask to be buffered (bufferMs) beside pushes that do not, on a real disk. */
import { afterEach, describe, expect, test } from 'vitest'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

const PRODUCERS = 6
const PUSHES = 150

interface Popped {
  readonly partition: string
  readonly data: number
}

describe('bufferMs', () => {
  test('G1 G2 G4 mixed with plain pushes: the broker stays awake, nothing is left on disk, order holds', async () => {
    const instance = await startInstance({ databaseUrl: await temporaryDatabase() })
    const ask = async (path: string, body?: unknown): Promise<Response> =>
      fetch(`${instance.url}${path}`, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) })

    async function produce(partition: string): Promise<void> {
      for (let n = 0; n < PUSHES; n++) {
        const bufferMs = n % 7 === 3 ? 1 + (n % 5) : 0
        const answer = await ask('/api/v1/push', { items: [{ queue: 'mixed', partition, payload: n }], bufferMs })
        expect(answer.status).toBe(201)
      }
    }

    await Promise.all(Array.from({ length: PRODUCERS }, (_, index) => produce(`p${index}`)))
    await until('nothing is left in the buffer', async () => (await instance.buffered()) === 0)
    const seen = new Map<string, number[]>()
    let count = 0
    await until('all are delivered', async () => {
      const answer = await ask('/api/v1/pop/queue/mixed?batch=1000&partitions=10&autoAck=true')
      if (answer.status === 200) {
        const { messages } = (await answer.json()) as { messages: Popped[] }
        for (const { data, partition } of messages) seen.set(partition, [...(seen.get(partition) ?? []), data])
        count += messages.length
      }
      return count === PRODUCERS * PUSHES
    })
    const inOrder = Array.from({ length: PUSHES }, (_, n) => n)
    for (const numbers of seen.values()) expect(numbers).toEqual(inOrder)
    expect(seen.size).toBe(PRODUCERS)
  })

  test('G4 a push inside a transaction does not overtake what waits', async () => {
    const { api } = await startInstance({ databaseUrl: await temporaryDatabase() })
    await api.push([{ queue: 'orders', transactionId: 'stored' }])
    const waiting = { items: [{ queue: 'orders', transactionId: 'waits', payload: 1 }], bufferMs: 60_000 }
    expect((await api.post('/api/v1/push', waiting)).body).toMatchObject([{ status: 'buffered' }])
    const operations = [{ type: 'push', items: [{ queue: 'orders', transactionId: 'later', payload: 2 }] }]
    expect((await api.post('/api/v1/transaction', { operations })).body).toMatchObject({ success: true })
    const { messages } = (await api.pop('orders', { batch: 10 })).body
    expect(messages.map((each: { transactionId: string }) => each.transactionId)).toEqual(['stored', 'waits', 'later'])
  })
})
