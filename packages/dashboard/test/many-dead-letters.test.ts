/** 100,000 dead letters in a real browser: only what is seen is drawn, and every step answers as if there were ten. */
import pg from 'pg'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { startInstance } from '../../../test/support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../../../test/support/leftovers.ts'
import { closeBrowser, openPage } from './support/open-page.ts'

afterEach(endLeftovers)
afterAll(closeBrowser)
vi.setConfig({ testTimeout: 90_000 })

const LETTERS = 100_000
/** A page that drew all of them would be busy for many seconds. */
const STEP_MS = 5_000
/** Longer than this at one go, and a click is felt to hang; a tenth of it on a machine that does nothing else. */
const BLOCKED_MS = 2_000

it('lists, goes on, filters and opens without ever drawing them all', async () => {
  const databaseUrl = await temporaryDatabase()
  const instance = await startInstance({ databaseUrl })
  const { api } = instance
  for (const queue of ['mass', 'few']) {
    const { body } = await api.push([{ queue, transactionId: `${queue}-0`, payload: { n: 1 } }])
    await api.post(`/api/v1/messages/${body[0].partition_id}/${queue}-0/dlq`, { error: `first of ${queue}` })
  }
  const sql = new pg.Client({ connectionString: databaseUrl })
  await sql.connect()
  await sql.query(
    `INSERT INTO queen.dead_letters (partition_id, group_name, message_offset, queue_id, message_id, transaction_id, frame,
                                     error_message, retry_count, created_at, failed_at)
     SELECT d.partition_id, d.group_name, n, d.queue_id, gen_random_uuid(), 'mass-' || n, d.frame,
            'error ' || n % 7, 3, d.created_at, d.failed_at - n * interval '1 second'
       FROM queen.dead_letters d, generate_series(1, $1::int - 2) n WHERE d.transaction_id = 'mass-0'`,
    [LETTERS],
  )
  await sql.end()
  await api.refreshStats()

  const { page, go, check } = await openPage({ instance })
  await page.addInitScript(
    `globalThis.longest = 0
     new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) longest = Math.max(longest, duration) })
       .observe({ entryTypes: ['longtask'] })`,
  )
  page.setDefaultTimeout(STEP_MS)
  const rows = page.getByRole('table', { name: 'Dead letters' }).locator('tbody tr')
  await go('/dead-letters')
  await page.getByText('of 100,000 shown').waitFor()
  await page.getByRole('button', { name: 'mass-0', exact: true }).waitFor()
  const shown = page.getByText(/^\s*[\d,]+ of 100,000 shown/)
  const first = (await shown.textContent())!
  await page.getByRole('button', { name: 'Load more' }).click()
  await expect.poll(() => shown.textContent(), { timeout: STEP_MS }).not.toBe(first)
  expect(await rows.count()).toBeLessThan(200)
  await check()

  await page.getByRole('combobox', { name: 'Queue' }).fill('few')
  await page.getByRole('option', { name: 'few' }).click()
  await page.getByText('1 of 1 shown').waitFor()
  await page.getByRole('button', { name: 'few-0', exact: true }).click()
  await page.getByRole('dialog').getByText('first of few').waitFor()
  expect(await page.evaluate('longest')).toBeLessThan(BLOCKED_MS)
  await check()
})
