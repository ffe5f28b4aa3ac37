/** Payloads that do not open: a wrong key moves nothing and hinders nobody else; a damaged message leaves the way. */
import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import type { Delivered } from '../support/api.ts'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

const newKey = () => ({ QUEEN_ENCRYPTION_KEY: randomBytes(32).toString('hex') })
const idsOf = (messages: readonly Delivered[]) => messages.map(({ transactionId }) => transactionId)

test('G8 a wrong key holds what it cannot open and nothing else; a damaged message is dead-lettered with its reason', async () => {
  const databaseUrl = await temporaryDatabase()
  const right = newKey()
  const instance = await startInstance({ databaseUrl, env: right })
  const { api } = instance
  await api.post('/api/v1/configure', { queue: 'secrets', options: { encryptionEnabled: true } })
  for (const transactionId of ['a', 'b', 'c'])
    await api.push([{ queue: 'secrets', partition: 'p', transactionId, payload: { card: transactionId } }])
  await api.push([{ queue: 'open', transactionId: 'plain' }])

  await instance.restart(newKey())
  await until('the wrong key is told', () =>
    instance.output.includes('QUEEN_ENCRYPTION_KEY is not the key this database is used with'),
  )
  const held = await api.pop('secrets', { batch: 10 })
  expect([held.status, held.headers.get('queen-empty-reason')]).toEqual([204, 'lease_held'])
  const waited = await api.pop('secrets', { batch: 10, wait: true, timeout: 1_500 })
  expect(waited.status).toBe(204)
  expect(waited.tookMs).toBeGreaterThan(1_000)
  expect((await api.pop('open')).body.messages).toMatchObject([{ transactionId: 'plain' }])
  // What is sealed with the key in force is delivered, in partitions of its own.
  await api.push([{ queue: 'secrets', partition: 'q', transactionId: 'd', payload: { card: 'd' } }])
  const mixed = await api.pop('secrets', { batch: 10, partitions: 10 })
  expect(mixed.body.messages).toMatchObject([{ transactionId: 'd', data: { card: 'd' } }])
  expect((await api.get('/api/v1/dlq')).body.messages).toEqual([])
  expect((await api.ack(mixed.body.messages)).body).toMatchObject([{ success: true }])

  // The right key again, and one message that somebody has changed in the tables.
  const tables = await openTables(databaseUrl)
  await tables.query(
    `UPDATE queen.segments s SET body = set_byte(s.body, octet_length(s.body) - 1, 255 - get_byte(s.body, octet_length(s.body) - 1))
       FROM queen.partitions p WHERE p.id = s.partition_id AND p.name = 'p' AND s.first_offset = 1`,
  )
  await instance.restart(right)
  const popped = await api.pop('secrets', { batch: 10 })
  expect(idsOf(popped.body.messages)).toEqual(['a', 'c'])
  const { messages } = (await api.get('/api/v1/dlq')).body
  expect(messages).toMatchObject([{ transactionId: 'b', errorMessage: 'DECRYPT: the payload cannot be decrypted' }])
  expect((await api.ack(popped.body.messages)).body).toMatchObject([
    { success: true },
    { success: true, leaseReleased: true },
  ])
  expect((await api.pop('secrets', { batch: 10 })).status).toBe(204)
}, 60_000)
