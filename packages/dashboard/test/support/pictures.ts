/**
 * Makes docs/screenshots anew, and with a folder also every view, empty and full, each part of a queue's page and the
 * dialogs in both themes and three widths, to be looked at:
 *
 *   node packages/dashboard/test/support/pictures.ts [folder]
 *
 * Two brokers with demonstration data on a PostgreSQL of their own.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { ensureDashboard } from '../../../../scripts/dashboard.mjs'
import { startInstance } from '../../../../test/support/instance.ts'
import { endLeftovers, temporaryPostgres } from '../../../../test/support/leftovers.ts'
import { openTables } from '../../../../test/support/tables.ts'
import { until } from '../../../../test/support/until.ts'
import { launchChromium } from './chromium.ts'
import { fillWithDemoData, keepGoing, pushMany, pushRound } from './demo-data.ts'
import { type Shot, type ShotOptions, takeScreenshots } from './screenshots.ts'

/** Messages a second that the traffic makes in any whole minute. */
const RATE_MIN = 40
const MINUTES_MS = 180_000
const DOCS = fileURLToPath(new URL('../../../../docs/screenshots', import.meta.url))
const [folder] = process.argv.slice(2)
const QUEUE = 'orders.created'
const queueParts: Shot[] = ['overview', 'partitions', 'groups', 'messages', 'settings'].map((tab) => ({
  name: `queue-${tab}`,
  path: `/queues/${QUEUE}?tab=${tab}`,
  ...(tab === 'settings' ? { prepare: (page: Page) => page.locator('[data-option]').first().waitFor() } : {}),
}))
const dialogs: Shot[] = [
  { name: 'dialog-create-queue', path: '/queues?new=1', prepare: (page) => page.getByRole('dialog').waitFor() },
  { name: 'dialog-push', path: `/queues/${QUEUE}`, prepare: (page) => press(page, 'Push a message') },
  { name: 'dialog-delete-queue', path: '/queues', prepare: (page) => act(page, QUEUE, 'Delete…') },
  { name: 'dialog-seek', path: `/queues/${QUEUE}?tab=groups`, prepare: (page) => act(page, / on /, 'Move to a time…') },
  { name: 'dialog-redrive', path: '/dead-letters', prepare: (page) => press(page, 'Redrive all') },
  { name: 'dialog-maintenance', path: '/maintenance', prepare: askForMaintenance },
]

async function press(page: Page, button: string): Promise<void> {
  await page.getByRole('button', { name: button, exact: true }).first().click()
  await page.getByRole('dialog').waitFor()
}

async function act(page: Page, row: string | RegExp, item: string): Promise<void> {
  const name = typeof row === 'string' ? `Actions of ${row}` : new RegExp(`^Actions of .*${row.source}`)
  await page.getByRole('button', { name }).first().click()
  await page.getByRole('menuitem', { name: item }).click()
  await page.getByRole('dialog').waitFor()
}

/** On a narrow screen the sidebar is behind the menu. */
async function askForMaintenance(page: Page): Promise<void> {
  const menu = page.getByRole('button', { name: 'Open menu' })
  if (await menu.isVisible()) await menu.click()
  await page.locator('[data-maintenance-button]').filter({ visible: true }).first().click()
  await page.getByRole('dialog').last().waitFor()
}

try {
  if (!(await ensureDashboard())) throw new Error('the dashboard could not be built')
  const postgres = await temporaryPostgres()
  const env = (id: string) => ({ databaseUrl: postgres.url, env: { INSTANCE_ID: id, LOG_LEVEL: 'warn' } })
  const instance = await startInstance(env('queen-0'))
  await startInstance(env('queen-1'))
  const { api } = instance
  const tables = await openTables(postgres.url)
  const browser = await launchChromium()
  const take = (to: string, shots: Shot[], options: ShotOptions = {}): Promise<string[]> =>
    takeScreenshots(browser, instance.url, to, shots, options)
  const wide = (theme: 'light' | 'dark'): ShotOptions => ({ themes: [theme], widths: [1280], fullPage: false })

  const start = await browser.newPage()
  await start.goto(instance.url)
  const links = await start.locator('aside nav a').evaluateAll((all) => all.map((each) => each.getAttribute('href')!))
  await start.close()
  const views = links.map((path) => ({ name: path === '/' ? 'dashboard' : path.slice(1), path }))
  if (folder !== undefined)
    await take(
      folder,
      views.map(({ name, path }) => ({ name: `empty-${name}`, path })),
    )
  await fillWithDemoData(api, tables)
  const traffic = keepGoing(api)
  const pushedPerSecond = async (): Promise<number> =>
    (await api.get('/api/v1/resources/overview')).body.throughput.ingestedPerSecond
  await until('a whole minute of traffic is measured', async () => (await pushedPerSecond()) > RATE_MIN, MINUTES_MS)
  if (folder !== undefined) {
    await take(folder, [...views, ...queueParts])
    await take(folder, dialogs, { fullPage: false })
  }
  for (const [index, view] of views.entries()) await take(DOCS, [view], wide(index % 2 === 0 ? 'dark' : 'light'))

  await traffic.stop()
  await api.maintenance(true, 'PostgreSQL upgrade to 18')
  for (let round = 0; round < 40; round++) await pushRound(api, 100 + round)
  const window = [{ name: 'window', path: '/maintenance' }]
  await take(DOCS, window, wide('light'))
  await take(DOCS, [{ name: 'window-dashboard', path: '/' }], { themes: ['dark'], widths: [380], fullPage: false })
  if (folder !== undefined) await take(folder, window)
  await pushMany(api)
  await api.maintenance(false)
  await take(DOCS, [{ name: 'draining', path: '/maintenance' }], wide('dark'))
  await browser.close()
  process.stdout.write(`${join(DOCS, '')}\n`)
} finally {
  await endLeftovers()
}
