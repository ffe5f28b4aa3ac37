/** Messages and dead letters, as an operator goes about them: found, read to the last character, and brought back or away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endLeftovers } from '../../../test/support/leftovers.ts'
import { closeBrowser, type OpenPage, openPage } from './support/open-page.ts'

let opened: OpenPage
beforeAll(async () => {
  opened = await openPage()
}, 120_000)
afterAll(async () => {
  await endLeftovers()
  await closeBrowser()
})

/** What a JavaScript program would change by reading it. */
const EXACT = '{"id":12345678901234567890,"price":1.50,"z":{"b":null,"a":2},"text":"\\u00e4 <b>"}'

async function push(queue: string, transactionId: string, { partition = 'p', payload = '{}' } = {}): Promise<string> {
  const { api } = opened.instance
  const items = `[{"queue":"${queue}","partition":"${partition}","transactionId":"${transactionId}","payload":${payload}}]`
  expect((await api.post('/api/v1/push', `{"items":${items}}`)).status).toBe(201)
  const { body } = await api.get(`/api/v1/resources/partitions?queue=${queue}`)
  return body.partitions.find(({ name }: { name: string }) => name === partition).id
}

async function bury(queue: string, names: readonly string[], error: string): Promise<void> {
  for (const name of names) {
    const partitionId = await push(queue, name, { payload: EXACT })
    const { status } = await opened.instance.api.post(`/api/v1/messages/${partitionId}/${name}/dlq`, { error })
    expect(status).toBe(200)
  }
}

const deadLetters = async (queue: string): Promise<number> =>
  (await opened.instance.api.get(`/api/v1/dlq?queue=${queue}`)).body.total

describe('messages', () => {
  it('are browsed, filtered in the address, opened with their exact payload, and closed by "back"', async () => {
    const { page, go, check } = opened
    await push('orders', 'order-1', { payload: EXACT })
    await push('mails', 'mail-1')
    await go('/messages')
    await page.getByRole('button', { name: 'mail-1' }).waitFor()
    await page.getByRole('combobox', { name: 'Queue' }).fill('ord')
    await page.getByRole('option', { name: 'orders' }).click()
    await page.getByRole('button', { name: 'mail-1' }).waitFor({ state: 'detached' })
    expect(page.url()).toContain('queue=orders')
    await page.getByRole('button', { name: 'order-1' }).click()
    const drawer = page.getByRole('dialog')
    await drawer.getByRole('button', { name: 'Raw' }).click()
    expect(await drawer.getByRole('group', { name: 'Payload text' }).textContent()).toBe(EXACT)
    await check()
    await page.reload()
    await drawer.getByText('Nothing was recorded on its way').waitFor()
    await page.goBack()
    await drawer.waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'order-1' }).waitFor()
  })

  it('go to the dead letters with a reason, come back by a retry, and are deleted', async () => {
    const { page, go, check, instance } = opened
    const partitionId = await push('jobs', 'job 1/2')
    const path = `${partitionId}/${encodeURIComponent('job 1/2')}`
    await go(`/messages/${path}`)
    await page.getByRole('button', { name: 'Move to dead letters' }).click()
    await page.getByLabel('Reason').fill('Poisoned by a wrong price list')
    await page.locator('[data-confirm]').click()
    await page.getByText('Given up by Queue mode').waitFor()
    await page.getByText('Poisoned by a wrong price list').waitFor()
    expect((await instance.api.get(`/api/v1/messages/${path}`)).body.status).toBe('dead_letter')
    await page.getByRole('button', { name: 'Retry' }).click()
    await page.locator('[data-confirm]').click()
    await page.getByText('Given up by Queue mode').waitFor({ state: 'detached' })
    expect((await instance.api.get(`/api/v1/messages/${path}`)).body.status).toBe('pending')
    await check()
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.locator('[data-confirm]').click()
    await page.waitForURL('**/messages')
    expect((await instance.api.get(`/api/v1/messages/${path}`)).status).toBe(404)
  })
})

describe('dead letters', () => {
  it('show payload and error, and one is redriven', async () => {
    const { page, go, check } = opened
    await bury('invoices', ['a', 'b', 'c', 'd'], 'Downstream answered 502')
    await go('/dead-letters?queue=invoices')
    await page.getByText('Downstream answered 502').first().waitFor()
    await page.getByRole('button', { name: 'b', exact: true }).click()
    const drawer = page.getByRole('dialog')
    await drawer.getByRole('button', { name: 'Raw' }).click()
    expect(await drawer.getByRole('group', { name: 'Payload text' }).textContent()).toBe(EXACT)
    await drawer.getByText('Downstream answered 502').waitFor()
    await check()
    await drawer.getByRole('button', { name: 'Redrive' }).click()
    await drawer.waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'b', exact: true }).waitFor({ state: 'detached' })
    expect(await deadLetters('invoices')).toBe(3)
  })

  it('are redriven as they were selected', async () => {
    const { page, go, check } = opened
    await go('/dead-letters?queue=invoices')
    await page.getByRole('checkbox', { name: 'Select a', exact: true }).check()
    await page.getByRole('checkbox', { name: 'Select c', exact: true }).check()
    await page.getByRole('button', { name: 'Redrive selected' }).click()
    await page.getByRole('dialog').getByText('2 dead letters that you selected').waitFor()
    await check()
    await page.locator('[data-confirm]').click()
    await page.getByRole('heading', { name: 'Redriven 2 dead letters' }).waitFor()
    await check()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click()
    expect(await deadLetters('invoices')).toBe(1)
  })

  it('that match are redriven all, but none that fails meanwhile, and purged once the queue is typed', async () => {
    const { page, go, check } = opened
    await bury('mass', ['m1', 'm2', 'm3'], 'too late')
    await go('/dead-letters?queue=mass')
    await page.getByRole('button', { name: 'Redrive all matching' }).click()
    await page.getByRole('dialog').getByText('3 dead letters of queue mass').waitFor()
    await bury('mass', ['m4'], 'failed while somebody read the question')
    await page.locator('[data-confirm]').click()
    await page.getByRole('heading', { name: 'Redriven 3 dead letters' }).waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click()
    expect(await deadLetters('mass')).toBe(1)
    await page.getByRole('button', { name: 'Purge matching' }).click()
    const confirm = page.locator('[data-confirm]')
    await page.getByRole('dialog').getByText('1 dead letter of queue mass').waitFor()
    expect(await confirm.isDisabled()).toBe(true)
    await check()
    await page.getByRole('dialog').getByRole('textbox').fill('mass')
    await confirm.click()
    await page.getByRole('heading', { name: 'Purged 1 dead letter' }).waitFor()
    await check()
    expect(await deadLetters('mass')).toBe(0)
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click()
    await page.getByText('No dead letter matches').waitFor()
  })
})

/** The browser itself tells of every answer that is an error. The last test: nothing else may need this. */
const NO_ANSWER = /status of 40[49]/

it('a message is found by its transaction id alone, and chosen where several have it', async () => {
  const { page, go, check } = opened
  await push('twins', 'twin', { partition: 'left' })
  const right = await push('twins', 'twin', { partition: 'right' })
  await go('/messages')
  const find = page.getByRole('textbox', { name: 'Find by transaction id' })
  await find.fill('order-1')
  await find.press('Enter')
  await page.waitForURL(/messages\/[0-9a-f-]{36}\/order-1/)
  await go('/messages/twin')
  await page.getByText('2 partitions have this transaction id').waitFor()
  await check({ console: NO_ANSWER })
  await page.getByRole('link', { name: 'partition right' }).click()
  await page.waitForURL(`**/messages/${right}/twin`)
  await go('/messages/nobody')
  await page.getByText('No stored message has this transaction id').waitFor()
  await check({ console: NO_ANSWER })
})

describe('what cannot be read', () => {
  it.each([
    ['/messages', '**/api/v1/messages?*', /Nothing was stored|No message matches/],
    ['/dead-letters', '**/api/v1/dlq?*', /No dead letter/],
    ['/dead-letters?letter=gone', '**/api/v1/dlq?*', /No dead letter|Not among the newest/],
    ['/traces', '**/api/v1/traces/names?*', /Nothing has been traced/],
    ['/traces/order-1', '**/api/v1/traces/by-name/*', /Nothing is recorded|First to last step/],
  ])('is not called empty: %s', async (path, route, claim) => {
    const { page, go } = opened
    const away = { error: 'PostgreSQL is unavailable', code: 'DATABASE_UNAVAILABLE' }
    await page.route(route, (asked) => asked.fulfill({ status: 503, json: away }))
    await go(path)
    await page.getByText('DATABASE_UNAVAILABLE').first().waitFor()
    expect(await page.getByText(claim).count()).toBe(0)
    await page.unroute(route)
    await page.getByRole('button', { name: 'Try again' }).first().click()
    await page.getByText('DATABASE_UNAVAILABLE').first().waitFor({ state: 'detached' })
  })
})
