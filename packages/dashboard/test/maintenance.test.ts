/** Maintenance as an operator drives it from the page, while producers and consumers go on. */
import type { Page } from 'playwright-core'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { Consumer } from '../../../test/support/consumer.ts'
import { startInstance } from '../../../test/support/instance.ts'
import { endLeftovers, temporaryDatabase, temporaryPostgres } from '../../../test/support/leftovers.ts'
import { startProducers, stopAll } from '../../../test/support/producer.ts'
import { Recorder } from '../../../test/support/recorder.ts'
import { openTables } from '../../../test/support/tables.ts'
import { until } from '../../../test/support/until.ts'
import { closeBrowser, openPage } from './support/open-page.ts'

afterEach(endLeftovers)
afterAll(closeBrowser)
// The broker waits 20 s for a write that does not end before it says so.
vi.setConfig({ testTimeout: 90_000 })

const sidebarButton = (page: Page) => page.locator('aside [data-maintenance-button]')
const banner = (page: Page) => page.locator('[data-maintenance-banner]')
const counted = async (page: Page): Promise<number> =>
  Number(((await page.locator('[data-buffered-total]').textContent()) ?? '').replaceAll(',', ''))

async function turn(page: Page, reason?: string): Promise<void> {
  await sidebarButton(page).click()
  if (reason !== undefined) await page.getByLabel('Reason').fill(reason)
  await page.locator('[role=dialog] [data-confirm]').click()
}

describe('a window driven from the sidebar', () => {
  it('opens, counts, says when it is safe, drains and is done, and every message arrives', async () => {
    const databaseUrl = await temporaryDatabase()
    const { page, instance, go, check } = await openPage({ instance: await startInstance({ databaseUrl }) })
    const operator = await openTables(databaseUrl)
    const recorder = new Recorder()
    const producers = startProducers(2, { queue: 'orders', instances: [instance], recorder })
    const consumer = new Consumer({ instance, queue: 'orders', group: 'workers' }).start()
    await recorder.more(50, 'queued')
    await go('/')
    expect(await sidebarButton(page).textContent()).toContain('Maintenance')
    expect(await banner(page).count()).toBe(0)

    // A confirmation that can be left without doing anything.
    await sidebarButton(page).click()
    await page.getByRole('dialog').waitFor()
    await check()
    await page.getByRole('button', { name: 'Cancel' }).click()
    expect((await instance.api.maintenance()).body.maintenanceMode).toBe(false)

    await turn(page, 'a new column')
    await banner(page).getByText('safe to migrate').waitFor()
    await sidebarButton(page).getByText('Maintenance ON').waitFor()
    expect((await instance.api.maintenance()).body).toMatchObject({ safeToMigrate: true, reason: 'a new column' })
    await banner(page).getByRole('link', { name: 'Details' }).click()
    await page
      .getByRole('listitem')
      .filter({ hasText: 'Safe to migrate' })
      .and(page.locator('[aria-current=step]'))
      .waitFor()
    await page.getByText('a new column').first().waitFor()
    const first = await counted(page)
    await recorder.more(100, 'buffered')
    await until('the count has risen by itself', async () => (await counted(page)) >= first + 100)
    await page.getByRole('row').filter({ hasText: 'Maintenance' }).first().waitFor()
    await check()

    // A lock on the partitions holds the drain where it can be seen.
    await operator.query('BEGIN')
    await operator.query('SELECT FROM queen.partitions FOR UPDATE')
    await turn(page)
    await page.getByRole('progressbar', { name: 'Drain' }).waitFor()
    await banner(page).getByText('Draining the buffers.').waitFor()
    await sidebarButton(page).getByText('Draining').waitFor()
    await operator.query('COMMIT')
    await page.getByText('Every buffered message is stored.').waitFor()
    await banner(page).waitFor({ state: 'detached' })
    await page.getByRole('tab', { name: 'History' }).click()
    await page.getByRole('row').filter({ hasText: 'a new column' }).waitFor()
    await check()

    await recorder.more(50, 'queued')
    await stopAll(producers)
    await until('the consumer has it all', () => consumer.completed.size === recorder.count())
    await consumer.stop()
    expect([recorder.refusals, consumer.refusals, consumer.unordered]).toEqual([{}, [], []])
    expect(await instance.buffered()).toBe(0)
  })

  it('says that a write holds it up, and which instance has it', async () => {
    const databaseUrl = await temporaryDatabase()
    const { page, go, check } = await openPage({ instance: await startInstance({ databaseUrl }) })
    await go('/maintenance')
    // What a write that does not end holds.
    const writer = await openTables(databaseUrl)
    const [fence] = await writer.query<{ name: string }>(`SELECT proname AS name FROM pg_proc
      WHERE proname LIKE 'fence_key%' AND pronamespace = 'queen'::regnamespace`)
    await writer.query('BEGIN')
    await writer.query(`SELECT pg_advisory_xact_lock_shared(queen.${fence!.name}())`)
    await turn(page)
    await page.locator('[data-stage]').getByText('writes that began before').waitFor()
    await banner(page).getByText('not safe to migrate yet').waitFor()
    await page.locator('[role=dialog]').getByText('MAINTENANCE_PENDING').waitFor({ timeout: 40_000 })
    await check({ console: /503/ })
    await writer.query('COMMIT')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await banner(page).getByText('safe to migrate').waitFor()
  })

  it('shows a database that is away as that, keeps what it knows, and lets consumers be paused', async () => {
    const postgres = await temporaryPostgres()
    const { page, instance, go } = await openPage({ instance: await startInstance({ databaseUrl: postgres.url }) })
    await go('/maintenance')
    await page.getByRole('button', { name: 'Pause consumers' }).click()
    await page.locator('[role=dialog]').getByLabel('Reason').fill('a look at the tables')
    await page.locator('[role=dialog] [data-confirm]').click()
    await page.getByText('Consumers are paused.').waitFor()
    expect((await instance.api.get('/api/v1/system/maintenance/pop')).body).toMatchObject({
      popMaintenanceMode: true,
      reason: 'a look at the tables',
    })
    await page.getByRole('button', { name: 'Let consumers go on' }).click()
    await page.locator('[role=dialog] [data-confirm]').click()
    await page.getByText('Consumers are paused.').waitFor({ state: 'detached' })

    await postgres.stop('immediate')
    await until(
      'pushes are buffered',
      async () => (await instance.api.push([{ queue: 'orders' }])).body[0].status === 'buffered',
    )
    await banner(page).getByText('PostgreSQL is not reachable.').waitFor()
    await turn(page)
    await page.locator('[role=dialog]').getByText('DATABASE_UNAVAILABLE').waitFor()
    await page.locator('[role=dialog]').getByText('PostgreSQL is not reachable').waitFor()
    expect(await sidebarButton(page).textContent()).not.toContain('ON')
  })
})

describe('records that were set aside', () => {
  it('are told of as soon as the drain has ended: nothing claims that every message was stored', async () => {
    const { page, instance, go, check } = await openPage()
    const { api } = instance
    await api.push([{ queue: 'doomed' }])
    await api.maintenance(true)
    await api.push(Array.from({ length: 5 }, () => ({ queue: 'doomed' })))
    await api.push([{ queue: 'kept' }, { queue: 'kept' }])
    await api.call('DELETE', '/api/v1/resources/queues/doomed')
    await go('/maintenance?tab=quarantine')
    await page.getByText('Nothing was set aside').waitFor()
    await turn(page)
    const stage = page.locator('[data-stage]')
    await stage.getByText('2 messages were stored, 5 could not be stored and were set aside.').waitFor()
    await page.getByRole('listitem').filter({ hasText: 'Done' }).and(page.locator('[aria-current=step]')).waitFor()
    expect(await page.getByText('Nothing was set aside').count()).toBe(0)
    await page.getByRole('tab', { name: 'Set aside 5' }).waitFor()
    // Sooner than the list is read by itself.
    await expect.poll(() => page.getByRole('button', { name: 'doomed' }).count(), { timeout: 4_000 }).toBe(5)
    await check()
  })

  it('are shown with why, stored again or dropped for good', async () => {
    const { page, instance, go, check } = await openPage()
    const { api } = instance
    await api.push([{ queue: 'doomed' }, { queue: 'broken' }, { queue: 'other' }])
    await api.maintenance(true)
    await api.push([
      { queue: 'doomed', transactionId: 'first', payload: { total: 12 } },
      { queue: 'broken', transactionId: 'third' },
      { queue: 'other', transactionId: 'second' },
    ])
    for (const queue of ['doomed', 'broken', 'other']) await api.call('DELETE', `/api/v1/resources/queues/${queue}`)
    await api.maintenance(false)
    await until('the drain has ended', async () => (await api.maintenance()).body.phase === 'normal')

    await go('/maintenance?tab=quarantine')
    await page.getByRole('button', { name: 'doomed' }).click()
    await page.locator('[role=dialog]').getByText('Queue was deleted').waitFor()
    await page.locator('[role=dialog]').getByText('"total"').waitFor()
    await check()
    await page.getByRole('button', { name: 'Store now' }).click()
    await page.getByRole('button', { name: 'Store 1 record' }).waitFor()
    await check()
    await page.getByRole('button', { name: 'Store 1 record' }).click()
    await page.getByText('1 record stored').waitFor()
    expect((await api.pop('doomed')).body.messages).toMatchObject([{ transactionId: 'first', data: { total: 12 } }])

    await page.getByRole('checkbox', { name: 'Select broken' }).check()
    await page.getByRole('button', { name: 'Store', exact: true }).click()
    const store = page.locator('[role=dialog]')
    await store.getByLabel('In another queue').fill('mended')
    await store.getByLabel('In another partition').fill('p')
    await store.getByLabel('With another payload').fill('{"total": ')
    expect(await store.locator('[data-confirm]').isEnabled()).toBe(false)
    await store.getByLabel('With another payload').fill('{"total": 9007199254740993}')
    await check()
    await store.locator('[data-confirm]').click()
    await store.waitFor({ state: 'detached' })
    const mended = await fetch(`${instance.url}/api/v1/pop/queue/mended/partition/p`)
    expect(await mended.text()).toContain('"data":{"total": 9007199254740993}')

    await page.getByRole('checkbox', { name: 'Select other' }).check()
    await page.getByRole('button', { name: 'Drop', exact: true }).click()
    const confirm = page.locator('[role=dialog] [data-confirm]')
    expect(await confirm.isEnabled()).toBe(false)
    await check()
    await page.locator('[role=dialog] input').fill('drop')
    await confirm.click()
    await page.getByText('Nothing was set aside').waitFor()
    expect((await api.get('/api/v1/system/buffers/quarantine')).body.total).toBe(0)
  })
})

describe('lists that are longer than a page', () => {
  it('go on after the last row that was read, repeat none, and end', async () => {
    const { page, go, check } = await openPage()
    const asked: (string | null)[] = []
    // The broker's limit is what a person would have to fill first: the pages are made up, as the broker would cut them.
    const pages = async (path: string, name: string, rows: Record<string, object[]>) =>
      page.route(`**${path}?*`, (route) => {
        const after = new URL(route.request().url()).searchParams.get('after')
        asked.push(after)
        const next = after === null ? `${name}-2` : after === `${name}-2` ? `${name}-3` : null
        const pagination = { limit: 2, offset: 0, hasMore: next !== null, next }
        return route.fulfill({ json: { [name]: rows[after ?? 'first'], total: 5, pagination } })
      })
    const record = (n: number) => ({
      id: `00000000-0000-7000-8000-00000000000${n}`,
      instanceId: 'queen-0',
      live: true,
      reason: 'QUEUE_DELETED',
      error: 'The queue was deleted',
      sqlState: null,
      queue: `queue-${n}`,
      partition: 'Default',
      transactionId: null,
      payloadBytes: 2,
      attempts: 1,
      acceptedAt: new Date(n).toISOString(),
      quarantinedAt: new Date(n).toISOString(),
      producerSub: null,
      payload: {},
    })
    const window = (n: number) => ({
      kind: 'maintenance',
      startedAt: new Date(n).toISOString(),
      reason: `reason-${n}`,
      safeAt: null,
      endedAt: new Date(n + 1).toISOString(),
      drainedAt: new Date(n + 2).toISOString(),
      by: null,
      endedBy: null,
      instanceId: null,
      bufferedMessages: 0,
      bufferedBytes: 0,
      drainedMessages: 0,
      quarantinedMessages: 0,
    })
    // A row may come twice when the list moved between two pages.
    const cut = <Row>(of: (n: number) => Row, name: string): Record<string, Row[]> => ({
      first: [of(1), of(2)],
      [`${name}-2`]: [of(2), of(3)],
      [`${name}-3`]: [of(4), of(5)],
    })
    await pages('/api/v1/system/buffers/quarantine', 'records', cut(record, 'records'))
    await pages('/api/v1/system/maintenance/history', 'windows', cut(window, 'windows'))

    for (const [tab, name, text] of [
      ['quarantine', 'records', 'queue'],
      ['history', 'windows', 'reason'],
    ] as const) {
      await go(`/maintenance?tab=${tab}`)
      const rows = page.locator('main table:visible tbody tr').filter({ hasText: `${text}-` })
      const more = page.getByRole('button', { name: 'Load more' })
      await expect.poll(() => rows.count(), { timeout: 20_000 }).toBe(2)
      await more.click()
      await expect.poll(() => rows.count(), { timeout: 20_000 }).toBe(3)
      await more.click()
      await expect.poll(() => rows.count(), { timeout: 20_000 }).toBe(5)
      expect(await more.count()).toBe(0)
      for (let n = 1; n <= 5; n++) expect(await rows.nth(n - 1).textContent()).toContain(`${text}-${n}`)
      expect(asked).toEqual(expect.arrayContaining([null, `${name}-2`, `${name}-3`]))
      await check()
    }
  })
})
