/** Payloads that do not open: a wrong key moves nothing and hinders nobody else; a damaged message leaves the way. */
import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import type { Delivered } from '../support/api.ts'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase, temporaryPostgres } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

const WRONG = 'QUEEN_ENCRYPTION_KEY is not the key this database is used with'
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
  await until('the wrong key is told', () => instance.output.includes(WRONG))
  const held = await api.pop('secrets', { batch: 10 })
  expect([held.status, held.headers.get('queen-empty-reason')]).toEqual([204, 'lease_held'])
  const waited = await api.pop('secrets', { batch: 10, wait: true, timeout: 1_500 })
  expect(waited.status).toBe(204)
  expect(waited.tookMs).toBeGreaterThan(1_000)
  expect((await api.pop('open')).body.messages).toMatchObject([{ transactionId: 'plain' }])
  // From when the queue asked for no encryption: everybody can read it.
  await api.post('/api/v1/configure', { queue: 'secrets', options: { encryptionEnabled: false } })
  await api.push([{ queue: 'secrets', partition: 'q', transactionId: 'd', payload: { card: 'd' } }])
  await api.post('/api/v1/configure', { queue: 'secrets', options: { encryptionEnabled: true } })
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

test('G2 with a wrong key nothing more is sealed: refused at once, buffered or not, and told in /health until it is right', async () => {
  const databaseUrl = await temporaryDatabase()
  const right = newKey()
  const instance = await startInstance({ databaseUrl, env: right })
  const { api } = instance
  await api.post('/api/v1/configure', { queue: 'secrets', options: { encryptionEnabled: true } })
  await api.push([{ queue: 'secrets', transactionId: 'a', payload: 1 }])
  expect((await api.get('/health')).body).toMatchObject({ status: 'healthy', warnings: [] })

  await instance.restart(newKey())
  await until('pushes go to PostgreSQL', async () => (await api.push([{ queue: 'open' }])).body[0].status === 'queued')
  expect((await api.get('/health')).body).toMatchObject({
    status: 'degraded',
    warnings: [{ code: 'WRONG_ENCRYPTION_KEY', message: WRONG }],
  })
  const refused = { status: 409, body: { code: 'ENCRYPTION_NOT_CONFIGURED', error: WRONG } }
  expect(await api.push([{ queue: 'secrets', payload: 2 }])).toMatchObject(refused)
  expect((await api.push([{ queue: 'secrets' }, { queue: 'open' }])).body).toMatchObject([
    { status: 'failed', code: 'ENCRYPTION_NOT_CONFIGURED', error: WRONG },
    { status: 'queued' },
  ])
  const operations = [{ type: 'push', items: [{ queue: 'secrets', payload: 2 }] }]
  expect((await api.post('/api/v1/transaction', { operations })).body.error).toContain(WRONG)
  await api.maintenance(true)
  expect(await api.push([{ queue: 'secrets', payload: 2 }])).toMatchObject(refused)
  expect((await api.push([{ queue: 'open' }])).body).toMatchObject([{ status: 'buffered' }])
  await api.maintenance(false)

  // Somebody changes the key on purpose.
  const tables = await openTables(databaseUrl)
  await tables.query("DELETE FROM queen.system_state WHERE key = 'encryption_check'")
  await until('the new key is the right one', async () => (await api.get('/health')).body.status === 'healthy')
  expect(instance.output).toContain('QUEEN_ENCRYPTION_KEY is the key this database is used with')
  expect((await api.push([{ queue: 'secrets', payload: 2 }])).status).toBe(201)
  await instance.restart(right)
  await until('the old key is the wrong one', async () => (await api.get('/health')).body.warnings.length > 0)
}, 60_000)

test('G8 what was buffered before the key could be checked is set aside when it proves wrong, and can be read there', async () => {
  const postgres = await temporaryPostgres()
  const instance = await startInstance({ databaseUrl: postgres.url, env: newKey() })
  const { api } = instance
  await api.post('/api/v1/configure', { queue: 'secrets', options: { encryptionEnabled: true } })
  await instance.stop()
  await postgres.stop()
  await instance.start(newKey())
  // Nobody can tell yet: pushes are taken.
  expect((await api.get('/health')).body).toMatchObject({ database: 'disconnected', warnings: [] })
  const pushed = await api.push([
    { queue: 'secrets', transactionId: 's', payload: { card: 1 } },
    { queue: 'open', transactionId: 'o' },
  ])
  expect(pushed.body).toMatchObject([{ status: 'buffered' }, { status: 'buffered' }])

  await postgres.restart()
  await until('the drain has ended', async () => (await api.push([{ queue: 'probe' }])).body[0].status === 'queued')
  const { records } = (await api.get('/api/v1/system/buffers/quarantine')).body
  expect(records).toMatchObject([
    { transactionId: 's', reason: 'DECRYPT', payload: { card: 1 }, error: expect.stringContaining(WRONG) },
  ])
  expect((await api.pop('open')).body.messages).toMatchObject([{ transactionId: 'o' }])
}, 60_000)

test('G2 another database behind the same address may have another key: it is looked at again before anything goes there', async () => {
  const postgres = await temporaryPostgres()
  const instance = await startInstance({ databaseUrl: postgres.url, env: newKey() })
  const { api } = instance
  await api.post('/api/v1/configure', { queue: 'secrets', options: { encryptionEnabled: true } })
  expect((await api.push([{ queue: 'secrets' }])).body).toMatchObject([{ status: 'queued' }])
  // Restored from a backup that is older than the key, say.
  instance.freeze()
  await postgres.stop()
  await postgres.restart()
  const tables = await openTables(postgres.url)
  const kept = JSON.stringify({ kept: randomBytes(33).toString('base64') })
  await tables.query("UPDATE queen.system_state SET value = $1 WHERE key = 'encryption_check'", [kept])
  instance.thaw()
  await until('the key is found wrong', async () => (await api.get('/health')).body.warnings.length > 0)
  expect(await api.push([{ queue: 'secrets' }])).toMatchObject({ status: 409, body: { error: WRONG } })
}, 60_000)
