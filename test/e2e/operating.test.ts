/** The procedures of docs/operating/maintenance.md, its commands word for word, while producers go on. */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { ALL_IS_WELL, verdict } from '../support/checker.ts'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase, temporaryDirectory } from '../support/leftovers.ts'
import { startProducers, stopAll } from '../support/producer.ts'
import { openShell, shellBlocks } from '../support/readme-shell.ts'
import { Recorder } from '../support/recorder.ts'
import { openTables } from '../support/tables.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)
// Several process starts in each: a busy machine may take its time.
vi.setConfig({ testTimeout: 120_000 })

const PAGE = 'operating/maintenance.md'

const inPhase = (instance: Instance, phase: string): Promise<unknown> =>
  until(`${instance.url} is in phase ${phase}`, async () => (await instance.phase()) === phase)

describe('operating', () => {
  test('G1 G2 G3 G4 G5 a migration, REINDEX and VACUUM FULL, each in its window', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl })
    await inPhase(instance, 'normal')
    const tables = await openTables(databaseUrl)
    const recorder = new Recorder()
    const producers = startProducers(3, { queue: 'orders', instances: [instance], recorder })
    await recorder.more(100, 'queued')
    const shell = openShell(instance.url, databaseUrl)
    for (const heading of ['A migration of your own', 'REINDEX', 'VACUUM FULL']) {
      const [block] = shellBlocks(PAGE, heading)
      expect(await shell.run(block!), heading).toMatchObject([{ safeToMigrate: true }, { maintenanceMode: false }])
      await inPhase(instance, 'normal')
      await recorder.more(50, 'queued')
    }
    await stopAll(producers)
    expect(recorder.refusals).toEqual({})
    const columns = await tables.query(
      `SELECT FROM information_schema.columns WHERE table_schema = 'queen' AND column_name = 'note'`,
    )
    expect(columns).toHaveLength(1)
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  })

  test('G2 G9 G11 a full buffer: a larger cap and a restart inside the window, nothing dropped', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl, env: { FILE_BUFFER_BYTES_MAX: '64KiB' } })
    const tables = await openTables(databaseUrl)
    const recorder = new Recorder()
    await instance.api.maintenance(true)
    const producers = startProducers(2, { queue: 'orders', instances: [instance], recorder, padding: 1_000 })
    await until('it is full', () => recorder.refusals.BUFFER_FULL !== undefined)
    const { body } = await instance.api.maintenance()
    expect(body).toMatchObject({ bufferHealthy: false })
    await instance.restart({ FILE_BUFFER_BYTES_MAX: '10MiB' })
    await recorder.more(100, 'buffered')
    expect((await instance.api.maintenance()).body).toMatchObject({ bufferHealthy: true, phase: 'maintenance' })
    await instance.api.maintenance(false)
    await inPhase(instance, 'normal')
    await stopAll(producers)
    expect(await verdict(recorder, instance, 'orders', tables)).toEqual(ALL_IS_WELL)
  })

  test('G2 G3 G4 a dead instance whose directory comes back elsewhere; one whose disk is lost holds nobody up', async () => {
    const databaseUrl = await temporaryDatabase()
    // Nobody is given up in this test but by the operator.
    const env = { BUFFER_HANDOFF_TIMEOUT_MS: '3600000' }
    const [first, second, third] = await Promise.all([0, 1, 2].map(() => startInstance({ databaseUrl, env })))
    const tables = await openTables(databaseUrl)
    const recorder = new Recorder()
    for (const instance of [first!, second!, third!]) await inPhase(instance, 'normal')
    await first!.api.maintenance(true)
    const producers = startProducers(3, { queue: 'orders', instances: [first!, second!], recorder })
    await recorder.more(100, 'buffered')
    expect((await third!.api.push([{ queue: 'lost', transactionId: 'late' }])).status).toBe(201)
    await until('the third has told of its record', async () => {
      const { instances } = (await first!.api.maintenance()).body
      return instances.filter((each: { bufferedMessages: number }) => each.bufferedMessages > 0).length === 3
    })
    await second!.kill9()
    await third!.kill9()

    // Its directory on another machine.
    const moved = join(temporaryDirectory(), 'buffer')
    cpSync(second!.bufferDir, moved, { recursive: true })
    rmSync(second!.bufferDir, { recursive: true })
    const stranger = await startInstance({ databaseUrl, env, bufferDir: moved })
    await first!.api.maintenance(false)

    // The other one is waited for, and named, until somebody says otherwise.
    const blocker = await until('the dead one is named', async () => {
      const { blockers } = (await first!.api.maintenance()).body
      return blockers.find((each: { reason: string }) => each.reason === 'NOT_LIVE')
    })
    expect(blocker.bufferedMessages).toBe(1)
    expect(await first!.phase()).toBe('draining')
    const shell = openShell(first!.url, databaseUrl)
    const [forget] = shellBlocks(PAGE, 'A dead instance')
    await shell.run(forget!.replaceAll('q-7f3a', blocker.instanceId))
    await inPhase(first!, 'normal')
    await inPhase(stranger, 'normal')
    await recorder.more(50, 'queued')
    const { instances } = (await first!.api.maintenance()).body
    expect(instances.map((each: { id: string }) => each.id)).not.toContain(blocker.instanceId)
    await stopAll(producers)
    expect(await verdict(recorder, first!, 'orders', tables)).toEqual(ALL_IS_WELL)

    // And if it turns up after all.
    await third!.start()
    await until('its record is stored', async () => (await tables.messagesIn('lost')) === 1)
  })

  test('G2 G3 a file set aside is salvaged: a broker on its records stores those that were missing, once', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl })
    const tables = await openTables(databaseUrl)
    const { api } = instance
    await inPhase(instance, 'normal')
    await api.maintenance(true)
    for (const transactionId of ['a', 'b', 'c'])
      await api.push([{ queue: 'orders', transactionId, payload: { id: transactionId } }])
    await instance.stop()
    // A broker cannot use the file any more; a copy could be made of it.
    const name = readdirSync(instance.bufferDir).find((each) => each.endsWith('.qbuf'))!
    const rescue = temporaryDirectory()
    const file = join(instance.bufferDir, name)
    cpSync(file, join(rescue, `${name}.aside`))
    writeFileSync(file, readFileSync(file).fill(0xee, 0, 128))
    await instance.start()
    await api.maintenance(false)
    await inPhase(instance, 'normal')
    expect((await api.get('/api/v1/system/buffers/quarantine')).body.records).toMatchObject([{ reason: 'CORRUPT' }])
    expect(readdirSync(instance.bufferDir)).toContain(`${name}.aside`)
    expect(await tables.messagesIn('orders')).toBe(0)
    // A producer was faster.
    expect((await api.push([{ queue: 'orders', transactionId: 'b', payload: { id: 'b' } }])).status).toBe(201)

    const [salvage] = shellBlocks(PAGE, 'A file that cannot be read')
    const shell = openShell(instance.url, databaseUrl)
    const command = salvage!.replaceAll('/mnt/rescue', rescue).replaceAll('00000000000000048112.qbuf', name)
    await shell.run(`${command.trim()} > /dev/null`)
    const stranger = await startInstance({ databaseUrl, bufferDir: join(rescue, 'buffer') })
    await until('its records are stored', async () => (await stranger.buffered()) === 0)
    await stranger.stop()
    const { messages } = (await api.pop('orders', { batch: 10 })).body
    expect(messages.map((each: { data: { id: string } }) => each.data.id)).toEqual(['b', 'a', 'c'])
  })

  test('G2 G8 a drain that a forgotten session holds up goes on when that session is ended', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl })
    await inPhase(instance, 'normal')
    await instance.api.maintenance(true)
    const operator = await openTables(databaseUrl)
    const pushed = await instance.api.push([{ queue: 'orders' }, { queue: 'orders' }])
    expect(pushed.status).toBe(201)
    await operator.query('BEGIN')
    await operator.query('LOCK TABLE queen.partitions IN ACCESS EXCLUSIVE MODE')
    await instance.api.maintenance(false)
    const shell = openShell(instance.url, databaseUrl)
    const [look, end] = shellBlocks(PAGE, 'A drain that does not end')
    const tables = await openTables(databaseUrl)
    await until('the drain has met the lock', () => tables.isWaiting('partitions'))
    expect(await shell.run(look!)).toMatchObject([
      { phase: 'draining', bufferedMessages: 2, blockers: [{ reason: 'BUFFER_NOT_EMPTY' }] },
    ])
    expect((await instance.api.push([{ queue: 'orders' }])).body).toMatchObject([{ status: 'buffered' }])
    await shell.run(end!.replaceAll('1 minute', '0 seconds'))
    await inPhase(instance, 'normal')
    expect(await tables.messagesIn('orders')).toBe(3)
  })
})
