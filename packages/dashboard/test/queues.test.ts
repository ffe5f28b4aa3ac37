/** Queues: created, found, set, pushed to, cleared and deleted by a person in a real browser, and seen in the API. */
import pg from 'pg'
import type { Locator } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startInstance } from '../../../test/support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../../../test/support/leftovers.ts'
import { until } from '../../../test/support/until.ts'
import { closeBrowser, type OpenPage, openPage } from './support/open-page.ts'

let open: OpenPage

beforeAll(async () => {
  open = await openPage()
})
afterAll(async () => {
  await endLeftovers()
  await closeBrowser()
})

const dialog = (): Locator => open.page.getByRole('dialog')
const closed = () => dialog().waitFor({ state: 'detached' })
const confirm = () => dialog().locator('[data-confirm]').click()

/** As they are: asking for no change is answered with what is stored, reads may be older. */
async function options(queue: string): Promise<Record<string, unknown>> {
  return (await open.instance.api.post('/api/v1/configure', { queue })).body.options
}

async function act(row: string, item: string): Promise<void> {
  await open.page.getByRole('button', { name: `Actions of ${row}`, exact: true }).click()
  await open.page.getByRole('menuitem', { name: item }).click()
  await dialog().waitFor()
}

describe('queues', () => {
  it('says how to begin when there is none, and creates one with options', async () => {
    const { page, go, check, instance } = open
    await go('/queues')
    await page.getByText('No queues yet').waitFor()
    await page.getByText('/api/v1/push -d').waitFor()
    await check()
    await page.getByRole('button', { name: 'New queue' }).first().click()
    const name = dialog().getByRole('textbox', { name: 'Name (required)' })
    await expect.poll(() => name.evaluate((field) => field === field.ownerDocument.activeElement)).toBe(true)
    await name.fill('orders.created')
    await dialog().getByText('A first push would set namespace orders, task created.').waitFor()
    await dialog().getByRole('button', { name: 'Use these' }).click()
    await dialog().getByText('A first push would set').waitFor({ state: 'detached' })
    await dialog().getByRole('button', { name: 'Options' }).click()
    await dialog().getByRole('textbox', { name: 'Retry limit' }).fill('7')
    await dialog().getByRole('switch', { name: 'Retention' }).check()
    await check()
    await confirm()
    await page.waitForURL('**/queues/orders.created')
    await page.getByRole('heading', { name: 'orders.created' }).waitFor()
    await dialog().waitFor({ state: 'detached' })
    const { body } = await instance.api.post('/api/v1/configure', { queue: 'orders.created' })
    expect(body).toMatchObject({ created: false, namespace: 'orders', task: 'created' })
    expect(body.options).toMatchObject({ retryLimit: 7, retentionEnabled: true, leaseTime: 300 })
  })

  it('long names leave room for what stands beside them', async () => {
    const { page, go, check, instance } = open
    const [queue, partition] = ['q'.repeat(255), 'p'.repeat(255)]
    await instance.api.post('/api/v1/push', { items: [{ queue, partition, payload: 1 }] })
    for (const width of [400, 1280]) {
      await page.setViewportSize({ width, height: 900 })
      for (const [tab, beside] of [
        ['partitions', page.getByRole('columnheader', { name: 'Pending', exact: true })],
        ['messages', page.getByText('Pending', { exact: true }).last()],
      ] as const) {
        await go(`/queues/${queue}?tab=${tab}`)
        await beside.waitFor()
        const right = await beside.evaluate((cell) => cell.getBoundingClientRect().right)
        expect(right, `${tab}, ${width} wide`).toBeLessThanOrEqual(width)
        await check()
      }
    }
    await page.setViewportSize({ width: 1280, height: 900 })
  })

  it('leaves namespace and task empty when they were left empty', async () => {
    const { page, go, instance } = open
    await go('/queues?new=1')
    await dialog().getByRole('textbox', { name: 'Name (required)' }).fill('plain.name')
    await confirm()
    await page.waitForURL('**/queues/plain.name')
    await closed()
    const { body } = await instance.api.post('/api/v1/configure', { queue: 'plain.name' })
    expect(body).toMatchObject({ created: false, namespace: '', task: '' })
  })

  it('says the same of lag everywhere: none when nothing is unfinished', async () => {
    const { page, go, instance } = open
    await instance.api.push([{ queue: 'waiting', payload: 1 }])
    await instance.api.refreshStats()
    await go('/queues')
    const lag = (table: string, queue: string) =>
      page
        .getByRole('table', { name: table })
        .getByRole('row')
        .filter({ hasText: queue })
        .getByRole('cell')
        .nth(table === 'Queues' ? 2 : 5)
    const card = page.locator('main .card').filter({ hasText: /^\s*Lag.*oldest unfinished/ })
    await expect.poll(() => lag('Queues', 'plain.name').textContent(), { timeout: 20_000 }).toBe('none')
    expect(await lag('Queues', 'waiting').textContent()).toMatch(/ m?s$/)
    await go('/')
    await expect.poll(() => lag('Top queues', 'plain.name').textContent(), { timeout: 20_000 }).toBe('none')
    await go('/queues/plain.name')
    await card.getByText('none', { exact: true }).waitFor()
    await instance.api.call('DELETE', '/api/v1/resources/queues/waiting')
  })

  it('refuses a name that is taken, with the way to that queue, and changes nothing', async () => {
    const { page, go } = open
    await go('/queues?new=1')
    await dialog().getByRole('textbox', { name: 'Name (required)' }).fill('orders.created')
    await dialog().getByRole('button', { name: 'Options' }).click()
    await dialog().getByRole('textbox', { name: 'Retry limit' }).fill('1')
    await confirm()
    await dialog().getByText('A queue of this name exists already').waitFor()
    expect(await options('orders.created')).toMatchObject({ retryLimit: 7 })
    await dialog().getByRole('link', { name: 'Open the settings of orders.created' }).click()
    await page.getByRole('tab', { name: 'Settings', selected: true }).waitFor()
  })

  it('explains and changes all 16 options, sends only what was changed, and says what is wrong', async () => {
    const { page, go, check } = open
    await go('/queues/orders.created?tab=settings')
    const names = Object.keys(await options('orders.created')).sort()
    const shown = await page.locator('[data-option]').evaluateAll((rows) => rows.map((row) => row.dataset.option))
    expect(shown.sort()).toEqual(names)
    await page.getByRole('textbox', { name: 'Lease time' }).fill('0.5')
    await page.getByText('A whole number is needed').waitFor()
    expect(await page.getByRole('button', { name: 'Save changes' }).isDisabled()).toBe(true)
    await page.getByRole('textbox', { name: 'Lease time' }).fill('90')
    await page.getByText('1m 30s').waitFor()
    await check()
    // Another tab asks first; the browser of the test answers no.
    await page.getByRole('tab', { name: 'Overview' }).click()
    await page.getByText('1 unsaved change').waitFor()
    // Somebody else changes another option meanwhile: it stays.
    await open.instance.api.post('/api/v1/configure', { queue: 'orders.created', options: { priority: 4 } })
    await page.getByRole('button', { name: 'Save changes' }).click()
    await page.getByText('1 setting of orders.created saved').waitFor()
    // The form shows what was saved at once, though reads may be older.
    expect(await page.getByRole('textbox', { name: 'Lease time' }).inputValue()).toBe('90')
    expect(await page.getByRole('textbox', { name: 'Priority' }).inputValue()).toBe('4')
    expect(await options('orders.created')).toMatchObject({ leaseTime: 90, priority: 4, retryLimit: 7 })
    await page.getByRole('button', { name: /^Back to the default of Retry limit/ }).click()
    await page.getByRole('button', { name: 'Save changes' }).click()
    await until('the default is back', async () => (await options('orders.created')).retryLimit === 3)
  })

  it('pushes a message exactly as it was typed, and shows the verdict of the broker', async () => {
    const { page, go, check, instance } = open
    await go('/queues/orders.created')
    await page.getByRole('button', { name: 'Push a message' }).first().click()
    await dialog().getByLabel('Partition').fill('customer/1')
    await dialog().getByLabel('Transaction id').fill('first')
    await dialog().getByLabel('Payload').fill('{"n": 1,')
    await dialog().getByText(/JSON/).first().waitFor()
    expect(await dialog().locator('[data-confirm]').isDisabled()).toBe(true)
    const payload = '{"b": 12345678901234567890123, "a": 1.50, "b": "ü"}'
    await dialog().getByLabel('Payload').fill(payload)
    await confirm()
    await dialog().locator('[data-push-result]').getByText('queued').waitFor()
    await check()
    // The same transaction id again is stored once, and the page says so.
    await dialog().getByLabel('Payload').press('Control+Enter')
    await dialog().locator('[data-push-result]').getByText('duplicate').waitFor()
    await dialog().getByLabel('Trace id').fill('nonsense')
    await dialog().getByText('Must be a UUID').waitFor()
    await page.keyboard.press('Escape')
    await closed()
    const popped = await fetch(`${instance.url}/api/v1/pop/queue/orders.created?batch=10&autoAck=true`)
    const text = await popped.text()
    expect(text).toContain(payload)
    expect(JSON.parse(text).messages).toMatchObject([{ transactionId: 'first', partition: 'customer/1' }])
    await page.getByRole('tab', { name: 'Messages' }).click()
    await page.getByText('first', { exact: true }).waitFor()
  })

  it('finds by name and namespace, and keeps filter and order in the address', async () => {
    const { page, go, check, instance } = open
    await instance.api.push(['emails.out', 'emails.in', 'a/b c%?'].map((queue) => ({ queue, payload: 1 })))
    await go('/queues')
    await page.getByRole('link', { name: 'emails.out' }).waitFor()
    await page.getByRole('searchbox', { name: 'Search queues' }).fill('emails')
    await page.getByRole('link', { name: 'orders.created' }).waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Queue', exact: true }).click()
    await page.waitForURL('**/queues?*search=emails*')
    expect(await rowNames()).toEqual(['emails.in', 'emails.out'])
    await page.reload()
    await page.getByRole('link', { name: 'emails.in' }).click()
    await page.getByRole('heading', { name: 'emails.in' }).waitFor()
    await page.goBack()
    await page.getByRole('link', { name: 'emails.out' }).waitFor()
    expect(await rowNames()).toEqual(['emails.in', 'emails.out'])
    await page.getByRole('button', { name: 'Clear search' }).click()
    await page.getByRole('link', { name: 'a/b c%?' }).click()
    await page.getByRole('heading', { name: 'a/b c%?' }).waitFor()
    await check()
  })

  it('shows, finds and clears partitions', async () => {
    const { page, go, check, instance } = open
    const items = ['eu', 'us', 'asia'].flatMap((partition) =>
      [1, 2].map((payload) => ({ queue: 'regions', partition, payload })),
    )
    await instance.api.push(items)
    await go('/queues/regions')
    await page.getByRole('tab', { name: /^Partitions/ }).click()
    await page.getByRole('button', { name: 'Actions of partition asia' }).waitFor()
    await page.getByRole('searchbox', { name: 'Search partitions' }).fill('s')
    await page.getByRole('button', { name: 'Actions of partition eu' }).waitFor({ state: 'detached' })
    await act('partition us', 'Clear…')
    await check()
    await confirm()
    await page.getByText('2 messages deleted from partition us of regions').waitFor()
    expect((await instance.api.pop('regions', { batch: 10, partitions: 10 })).body.messages).toHaveLength(4)
  })

  it('clears and deletes a queue only after its name was typed, and says how much is lost', async () => {
    const { page, go, check, instance } = open
    await instance.api.push([1, 2, 3].map((payload) => ({ queue: 'temporary', payload })))
    await instance.api.refreshStats()
    await go('/queues')
    await act('temporary', 'Clear…')
    await dialog().locator('[data-lost]').getByText('3').first().waitFor()
    expect(await dialog().locator('[data-confirm]').isDisabled()).toBe(true)
    await dialog().getByRole('textbox').fill('temporary')
    await confirm()
    await page.getByText('3 messages deleted from temporary').waitFor()
    expect((await instance.api.pop('temporary')).status).toBe(204)
    await act('temporary', 'Delete…')
    await check()
    await dialog().getByRole('textbox').fill('temporary')
    await confirm()
    await page.getByText('Queue temporary is deleted').waitFor()
    const read = () => instance.api.get('/api/v1/resources/queues/temporary')
    await until('reads know that it is gone', async () => (await read()).status === 404)
    await go('/queues/temporary')
    await page.getByText('This queue does not exist').waitFor()
    await check({ console: /404/ })
  })
})

describe('a queue with 100,000 partitions', () => {
  it('draws only what is seen, goes on page by page, and finds the last one', async () => {
    const databaseUrl = await temporaryDatabase()
    const instance = await startInstance({ databaseUrl })
    const sql = new pg.Client({ connectionString: databaseUrl })
    await sql.connect()
    await sql.query(
      `INSERT INTO queen.queues (id, name, namespace, task) VALUES (gen_random_uuid(), 'devices', '', '');
       INSERT INTO queen.partitions (id, queue_id, name, next_offset)
       SELECT gen_random_uuid(), q.id, 'd' || lpad(n::text, 6, '0'), 0 FROM queen.queues q, generate_series(1, 100000) n`,
    )
    await sql.end()
    const { page, go, check } = await openPage({ instance })
    await go('/queues/devices?tab=partitions')
    await page.getByText('The busiest 1,000 of 100,000 partitions').waitFor()
    const rows = page.getByRole('table', { name: 'Partitions' }).locator('tbody tr')
    expect(await rows.count()).toBeLessThan(80)
    await page.getByLabel('Order').selectOption('name')
    await page.getByText('200 of 100,000 partitions, by name').waitFor()
    await page.getByRole('button', { name: 'Load more' }).click()
    await page.getByText('400 of 100,000 partitions, by name').waitFor()
    expect(await rows.count()).toBeLessThan(80)
    await page.getByRole('searchbox', { name: 'Search partitions' }).fill('99999')
    await page.getByText('1 partition', { exact: true }).waitFor()
    await page.getByText('d099999').waitFor()
    await check()
  })
})

async function rowNames(): Promise<string[]> {
  return open.page.getByRole('table', { name: 'Queues' }).locator('tbody tr a').allTextContents()
}
