/** A broker that asks for tokens, seen from outside: who pushed a message and who opened a window stays on record. */
import { SignJWT } from 'jose'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Answer } from '../support/api.ts'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)
vi.setConfig({ testTimeout: 60_000 })

const SECRET = 'an-example-secret-of-at-least-32-bytes'

type Call = (method: string, path: string, body?: unknown) => Promise<Answer>

async function as(instance: Instance, sub: string, role: string): Promise<Call> {
  const token = await new SignJWT({ sub, role }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(SECRET))
  return (method, path, body) => instance.api.call(method, path, body, { authorization: `Bearer ${token}` })
}

describe('authentication', () => {
  test('producerSub is the verified subject: direct, in a transaction and through the buffer; never what a body says', async () => {
    const instance = await startInstance({ databaseUrl: await temporaryDatabase(), env: { JWT_SECRET: SECRET } })
    const [admin, worker] = [await as(instance, 'ops', 'admin'), await as(instance, 'shop', 'read-write')]
    const push = (transactionId: string) => ({ queue: 'orders', transactionId, producerSub: 'forged' })

    expect((await instance.api.push([push('nobody')])).status).toBe(401)
    expect((await worker('POST', '/api/v1/push', { items: [push('direct')] })).body).toMatchObject([
      { status: 'queued' },
    ])
    const transaction = await worker('POST', '/api/v1/transaction', {
      operations: [{ type: 'push', items: [push('transaction')] }],
    })
    expect(transaction.body).toMatchObject({ success: true })

    expect((await worker('POST', '/api/v1/system/maintenance', { enabled: true })).status).toBe(403)
    const on = await admin('POST', '/api/v1/system/maintenance', { enabled: true, reason: 'index' })
    expect(on.body).toMatchObject({ maintenanceMode: true, by: 'ops', reason: 'index' })
    expect((await worker('POST', '/api/v1/push', { items: [push('buffered')] })).body).toMatchObject([
      { status: 'buffered' },
    ])
    await admin('POST', '/api/v1/system/maintenance', { enabled: false })
    await until('the window is over', async () => {
      return (await admin('GET', '/api/v1/system/maintenance')).body.phase === 'normal'
    })
    const { windows } = (await admin('GET', '/api/v1/system/maintenance/history')).body
    expect(windows[0]).toMatchObject({ by: 'ops', endedBy: 'ops', reason: 'index' })

    const popped = await worker('GET', '/api/v1/pop/queue/orders?batch=10&autoAck=true')
    const stamped = popped.body.messages.map((m: Record<string, string>) => [m.transactionId, m.producerSub])
    expect(stamped).toEqual([
      ['direct', 'shop'],
      ['transaction', 'shop'],
      ['buffered', 'shop'],
    ])
  })
})
