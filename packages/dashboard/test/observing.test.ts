/** Traces, analytics and the system's parts show what the broker measured. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startInstance } from '../../../test/support/instance.ts'
import { endLeftovers, temporaryPostgres } from '../../../test/support/leftovers.ts'
import { closeBrowser, type OpenPage, openPage } from './support/open-page.ts'

let opened: OpenPage
beforeAll(async () => {
  opened = await openPage()
}, 120_000)
afterAll(async () => {
  await endLeftovers()
  await closeBrowser()
})

it('a trace is found by a part of its name, and shows its steps over the messages they belong to', async () => {
  const { page, go, check, instance } = opened
  await go('/traces')
  await page.getByText('Nothing has been traced yet').waitFor()
  await check()
  await instance.api.push([
    { queue: 'orders', transactionId: 'order-1', payload: {} },
    { queue: 'mails', transactionId: 'mail-1', payload: {} },
  ])
  for (const [queue, transactionId, eventType] of [
    ['orders', 'order-1', 'received'],
    ['orders', 'order-1', 'charged'],
    ['mails', 'mail-1', 'mail failed'],
  ] as const) {
    const { body } = await instance.api.get(`/api/v1/resources/partitions?queue=${queue}`)
    const data = `{"amount":12345678901234567890}`
    const trace = `{"transactionId":"${transactionId}","partitionId":"${body.partitions[0].id}","eventType":"${eventType}","traceNames":["checkout/4711"],"data":${data}}`
    expect((await instance.api.post('/api/v1/traces', trace)).status).toBe(201)
  }
  await page.getByRole('searchbox', { name: 'Search trace names' }).fill('4711')
  await page.getByRole('link', { name: 'checkout/4711' }).click()
  await page.getByRole('button', { name: 'received' }).waitFor()
  await page.getByRole('button', { name: 'mail failed' }).waitFor()
  await page.getByRole('button', { name: 'charged' }).click()
  await page.getByText('12345678901234567890').waitFor()
  await check()
  await page.getByRole('link', { name: 'order-1' }).click()
  await page.waitForURL(/messages\/[0-9a-f-]{36}\/order-1/)
  // The way of one message begins when it was stored.
  await page.getByRole('group', { name: 'Trace timeline' }).getByText('Stored').waitFor()
  await page.getByRole('group', { name: 'Trace timeline' }).getByRole('button', { name: 'charged' }).waitFor()
  await check()
})

it('analytics counts what was pushed, of everything and of one queue', async () => {
  const { page, go, check, instance } = opened
  await instance.api.push(Array.from({ length: 41 }, (_, n) => ({ queue: 'counted', payload: n })))
  // Figures are stored each minute, or when somebody asks.
  await instance.api.refreshStats()
  await go('/analytics')
  const pushed = page.locator('.card').filter({ hasText: /^Pushed/ })
  await pushed.getByText('43', { exact: true }).waitFor()
  await page.getByRole('row', { name: 'counted' }).getByText('41', { exact: true }).first().waitFor()
  await page.getByLabel('Of what').selectOption('queue')
  await page.getByRole('combobox', { name: 'Queue' }).fill('counted')
  await page.keyboard.press('Enter')
  await pushed.getByText('41', { exact: true }).waitFor()
  expect(page.url()).toContain('queue=counted')
  await check()
})

it('the system shows its instance, PostgreSQL and the file buffer', async () => {
  const { page, go, check, instance } = opened
  const { body } = await instance.api.maintenance()
  await go('/system')
  const row = page.getByRole('row').filter({ hasText: body.instances[0].id })
  await row.getByText('Live').waitFor()
  await check()
  await page.getByRole('tab', { name: 'PostgreSQL' }).click()
  await page.getByRole('region', { name: 'Tables' }).getByText('dead_letters', { exact: true }).waitFor()
  await check()
  await page.getByRole('tab', { name: 'File buffer' }).click()
  await page.getByText('Reachable', { exact: true }).waitFor()
  await page.getByRole('progressbar', { name: `Buffer of ${body.instances[0].hostname} in use` }).waitFor()
  expect(page.url()).toContain('tab=buffer')
  await check()
})

it('every chart says that its figures are unknown while PostgreSQL is away, and none that there are none', async () => {
  const postgres = await temporaryPostgres()
  const { page, go, check, instance } = await openPage({
    instance: await startInstance({ databaseUrl: postgres.url }),
  })
  await instance.api.push([{ queue: 'orders' }])
  await postgres.stop('immediate')
  for (const [path, charts] of [
    ['/', 7],
    ['/analytics', 6],
    ['/system', 6],
    ['/queues/orders', 3],
  ] as const) {
    await go(path)
    const unknown = page.getByText('The figures are unknown: PostgreSQL is not reachable')
    await expect.poll(() => unknown.count(), { message: path, timeout: 20_000 }).toBe(charts)
    expect(await page.getByText(/^(No|Nothing) .* in this (range|time)$|No queues yet/).count(), path).toBe(0)
    await check({ console: /50\d/ })
  }
}, 120_000)
