/** Records that could not be stored: one list for the whole cluster, acted on from any instance, exact over restarts. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { Api } from '../support/api.ts'
import { startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

const LIST = '/api/v1/system/buffers/quarantine'

async function normalAgain(api: Api): Promise<void> {
  await until('the drain is over', async () => (await api.maintenance()).body.phase === 'normal')
}

const idsOf = (body: { records: { transactionId: string | null }[] }) => body.records.map((each) => each.transactionId)

describe('quarantine', () => {
  test('G8 G10 queues deleted in a window: listed, counted, stored after all and dropped from any instance', async () => {
    const databaseUrl = await temporaryDatabase()
    const first = await startInstance({ databaseUrl, env: { INSTANCE_ID: 'first' } })
    const second = await startInstance({ databaseUrl, env: { INSTANCE_ID: 'second' } })
    const { api } = second
    await first.api.push([{ queue: 'doomed', transactionId: 'stored' }])
    await first.api.push([{ queue: 'other', transactionId: 'stored' }])
    await first.api.maintenance(true)
    await first.api.push([
      { queue: 'doomed', partition: 'p', transactionId: 'a', payload: { big: 12345678901234567890n.toString() } },
      { queue: 'doomed', transactionId: 'b' },
      { queue: 'other', transactionId: 'c' },
    ])
    await second.api.push([{ queue: 'doomed', transactionId: 'd' }])
    await first.api.push([{ queue: 'kept', transactionId: 'e' }])
    await api.call('DELETE', '/api/v1/resources/queues/doomed')
    await api.call('DELETE', '/api/v1/resources/queues/other')
    expect((await api.get(LIST)).body).toMatchObject({ records: [], total: 0 })
    await first.api.maintenance(false)
    await normalAgain(api)
    expect((await api.pop('kept')).body.messages).toMatchObject([{ transactionId: 'e' }])

    // Whoever merged the buffers set them aside; both show the same.
    const all = (await api.get(LIST)).body
    expect(all).toEqual((await first.api.get(LIST)).body)
    expect([all.total, idsOf(all)]).toEqual([4, ['a', 'b', 'c', 'd']])
    expect(all.records[0]).toMatchObject({
      live: true,
      queue: 'doomed',
      partition: 'p',
      payload: { big: '12345678901234567890' },
      attempts: 1,
      reason: 'QUEUE_DELETED',
      sqlState: null,
    })
    const owner = all.records[0].instanceId
    expect(['first', 'second']).toContain(owner)
    expect(idsOf((await api.get(`${LIST}?queue=other`)).body)).toEqual(['c'])
    expect(idsOf((await api.get(`${LIST}?queue=doomed&limit=1&offset=1`)).body)).toEqual(['b'])
    expect((await api.get(`${LIST}?instance=${owner}`)).body.total).toBe(4)
    expect((await api.get(`${LIST}?instance=nobody`)).body).toMatchObject({ records: [], total: 0 })
    const status = (await api.maintenance()).body
    expect(status.quarantinedMessages).toBe(4)
    expect(status.instances.find((each: { id: string }) => each.id === owner).quarantinedMessages).toBe(4)
    const [window] = (await api.history()).body.windows
    expect(window).toMatchObject({
      bufferedMessages: 5,
      drainedMessages: 1,
      quarantinedMessages: 4,
      bufferedBytes: null,
    })

    // Its owner goes: what it set aside does not go with it.
    const [a, b, c, d] = all.records.map((each: { id: string }) => each.id)
    const [gone, left] = owner === 'first' ? [first, second] : [second, first]
    await gone.kill9()
    const retried = await left.api.post(`${LIST}/${a}/retry`, { queue: 'rescued', partition: 'q', payload: { n: 1 } })
    expect(retried).toMatchObject({
      status: 200,
      body: { success: true, id: a, status: 'queued', queueName: 'rescued' },
    })
    expect((await left.api.pop('rescued')).body.messages).toMatchObject([
      { transactionId: 'a', partition: 'q', data: { n: 1 }, id: retried.body.messageId },
    ])
    expect((await left.api.post(`${LIST}/${a}/retry`, {})).status).toBe(404)
    expect((await left.api.call('DELETE', `${LIST}/${b}`)).body).toEqual({ success: true, id: b })
    expect(await left.api.call('DELETE', `${LIST}/${b}`)).toMatchObject({
      status: 404,
      body: { code: 'QUARANTINE_NOT_FOUND' },
    })
    // In a window nothing is stored after all.
    await left.api.maintenance(true)
    expect(await left.api.post(`${LIST}/${c}/retry`, {})).toMatchObject({ status: 503, body: { code: 'MAINTENANCE' } })
    await left.api.maintenance(false)
    await until('the owner counts as gone', async () =>
      (await left.api.get(LIST)).body.records.every((each: { live: boolean }) => !each.live),
    )
    await gone.start()
    await until('the counts are the same everywhere', async () => {
      const counts = await Promise.all(
        [gone, left].map(async ({ api: each }) => (await each.maintenance()).body.quarantinedMessages),
      )
      return counts.every((count) => count === 2)
    })
    expect(idsOf((await gone.api.get(LIST)).body)).toEqual(['c', 'd'])
    await normalAgain(gone.api)
    // Two operators at once: one of them stores it.
    const both = await Promise.all([gone, left].map(({ api: each }) => each.post(`${LIST}/${d}/retry`, {})))
    expect(both.map(({ status: code }) => code).sort()).toEqual([200, 404])
    expect((await left.api.pop('doomed', { batch: 10 })).body.messages).toHaveLength(1)
  }, 60_000)

  test('G10 the only file of the buffer is deleted while the instance is down: the start says what is missing', async () => {
    const instance = await startInstance({ databaseUrl: await temporaryDatabase() })
    const { api } = instance
    await api.maintenance(true)
    await api.push([{ queue: 'orders', transactionId: 'stored' }])
    await api.maintenance(false)
    await normalAgain(api)
    await api.maintenance(true)
    await api.push([{ queue: 'orders', transactionId: 'lost' }])
    await instance.kill9()
    const files = readdirSync(instance.bufferDir).filter((name) => name.endsWith('.qbuf'))
    expect(files).toHaveLength(1)
    rmSync(join(instance.bufferDir, files[0]!))
    await instance.start()

    const missing = {
      reason: 'CORRUPT',
      live: true,
      queue: null,
      error: expect.stringContaining('in no file'),
    }
    expect((await api.get(LIST)).body).toMatchObject({ total: 1, records: [missing] })
    expect((await api.maintenance()).body).toMatchObject({ bufferedMessages: 0, quarantinedMessages: 1 })
    expect(instance.output).toMatch(/ERROR .*are in no file of the file buffer/)
    await api.push([{ queue: 'orders', transactionId: 'next' }])
    await instance.restart()
    await api.maintenance(false)
    await normalAgain(api)
    expect((await api.get(LIST)).body.total).toBe(1)
    expect(idsOf({ records: (await api.pop('orders', { batch: 10 })).body.messages })).toEqual(['stored', 'next'])
  }, 60_000)

  test('G2 G4 G8 a column that wants a value sets nothing aside: it is no fault of a message', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl })
    const { api } = instance
    const tables = await openTables(databaseUrl)
    await normalAgain(api)
    await api.maintenance(true)
    for (const transactionId of ['a', 'b', 'c']) await api.push([{ queue: 'orders', transactionId }])
    await tables.query('ALTER TABLE queen.segments ADD COLUMN tenant text NOT NULL')
    await api.maintenance(false)
    await until('the log says why nothing is stored', () => instance.output.includes('null value in column "tenant"'))
    expect((await api.push([{ queue: 'orders', transactionId: 'd' }])).body).toMatchObject([{ status: 'buffered' }])
    expect((await api.get(LIST)).body).toMatchObject({ records: [], total: 0 })
    await tables.query('ALTER TABLE queen.segments ALTER COLUMN tenant DROP NOT NULL')
    await until('all is stored', async () => (await tables.messagesIn('orders')) === 4)
    const { messages } = (await api.pop('orders', { batch: 10 })).body
    expect(messages.map((each: { transactionId: string }) => each.transactionId)).toEqual(['a', 'b', 'c', 'd'])
  })

  const added: readonly [what: string, commands: string[], removal: string[], said: string][] = [
    [
      'a trigger that freezes the table',
      [
        `CREATE FUNCTION public.freeze() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'frozen for a migration'; END $$`,
        'CREATE TRIGGER frozen BEFORE INSERT ON queen.segments FOR EACH ROW EXECUTE FUNCTION public.freeze()',
      ],
      ['DROP TRIGGER frozen ON queen.segments'],
      'frozen for a migration',
    ],
    [
      'a check',
      [
        'ALTER TABLE queen.segments ADD COLUMN tenant text',
        'ALTER TABLE queen.segments ADD CONSTRAINT owned CHECK (tenant IS NOT NULL) NOT VALID',
      ],
      ['ALTER TABLE queen.segments DROP CONSTRAINT owned'],
      'violates check constraint "owned"',
    ],
    [
      'a reference',
      [
        'CREATE TABLE public.known (id uuid PRIMARY KEY)',
        'ALTER TABLE queen.segments ADD CONSTRAINT known FOREIGN KEY (partition_id) REFERENCES public.known NOT VALID',
      ],
      ['ALTER TABLE queen.segments DROP CONSTRAINT known'],
      'violates foreign key constraint "known"',
    ],
  ]
  test.each(added)(
    'G2 G4 G8 %s that refuses every message sets nothing aside, in a drain or without',
    async (_, add, remove, said) => {
      const databaseUrl = await temporaryDatabase()
      const instance = await startInstance({ databaseUrl })
      const { api } = instance
      const tables = await openTables(databaseUrl)
      const all = async (commands: readonly string[]): Promise<void> => {
        for (const command of commands) await tables.query(command)
      }
      const push = async (transactionId: string) => (await api.push([{ queue: 'orders', transactionId }])).body
      await normalAgain(api)
      expect(await push('a')).toMatchObject([{ status: 'queued' }])
      await all(add)
      expect(await push('b')).toMatchObject([{ status: 'buffered' }])
      await api.maintenance(true)
      expect(await push('c')).toMatchObject([{ status: 'buffered' }])
      await api.maintenance(false)
      await until('the log says why nothing is stored', () => instance.output.includes(said))
      expect(await push('d')).toMatchObject([{ status: 'buffered' }])
      await all(remove)
      await until('all is stored', async () => (await tables.messagesIn('orders')) === 4)
      expect((await api.get(LIST)).body).toMatchObject({ records: [], total: 0 })
      expect(idsOf({ records: (await api.pop('orders', { batch: 10 })).body.messages })).toEqual(['a', 'b', 'c', 'd'])
    },
  )

  test("G8 G10 damage on an instance's disk: shown at once, handed over after the window, and gone when it is dropped", async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl })
    const { api } = instance
    await api.maintenance(true)
    for (const transactionId of ['a', 'b', 'c']) await api.push([{ queue: 'orders', transactionId }])
    await instance.kill9()
    const [file] = readdirSync(instance.bufferDir).filter((name) => name.endsWith('.qbuf'))
    const path = join(instance.bufferDir, file!)
    const bytes = readFileSync(path)
    // Somewhere in the body of the first record, behind two file headers and its own.
    bytes[128 + 32 + 10]! ^= 0xff
    writeFileSync(path, bytes)
    await instance.start()

    const shown = (await api.get(LIST)).body
    expect(shown).toMatchObject({ total: 1, records: [{ reason: 'CORRUPT', live: true, queue: null, attempts: 0 }] })
    expect(Buffer.from(shown.records[0].rawBase64, 'base64').length).toBeGreaterThan(0)
    const status = (await api.maintenance()).body
    expect(status).toMatchObject({ bufferedMessages: 2, quarantinedMessages: 1, bufferStats: { failedCount: 1 } })
    expect(instance.output).toMatch(/ERROR .*file buffer .*damaged/)
    const tables = await openTables(databaseUrl)
    const stored = async () => (await tables.query('SELECT FROM queen.quarantined_records')).length
    // Not while maintenance is on: the database may be about to be replaced.
    expect(await stored()).toBe(0)

    await api.maintenance(false)
    await until('it is handed over', async () => (await stored()) === 1)
    await until('it has left the disk', () => {
      return readdirSync(join(instance.bufferDir, 'quarantine')).every((name) => !name.endsWith('.entry'))
    })
    expect((await api.get(LIST)).body).toEqual(shown)
    expect((await api.pop('orders', { batch: 10 })).body.messages).toMatchObject([
      { transactionId: 'b' },
      { transactionId: 'c' },
    ])
    await instance.restart()
    await until('the count is known', async () => (await api.maintenance()).body.quarantinedMessages === 1)
    const { id } = shown.records[0]
    expect(await api.post(`${LIST}/${encodeURIComponent(id)}/retry`, {})).toMatchObject({
      status: 400,
      body: { code: 'INVALID_PAYLOAD' },
    })
    const given = { queue: 'orders', payload: { rescued: true } }
    expect(await api.post(`${LIST}/${encodeURIComponent(id)}/retry`, given)).toMatchObject({ status: 200 })
    expect((await api.get(LIST)).body).toMatchObject({ records: [], total: 0 })
    await instance.restart()
    expect((await api.get(LIST)).body.total).toBe(0)
  }, 60_000)
})
