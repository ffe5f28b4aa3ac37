/** Consumer groups: found, moved, restarted and deleted by a person in a real browser, and felt by the next pop. */
import type { Locator } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endLeftovers } from '../../../test/support/leftovers.ts'
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
const confirm = () => dialog().locator('[data-confirm]').click()

async function act(row: string, item: string): Promise<void> {
  await open.page.getByRole('button', { name: `Actions of ${row}`, exact: true }).click()
  await open.page.getByRole('menuitem', { name: item }).click()
  await dialog().waitFor()
}

/** Payloads of what the group gets next; they count as consumed. */
async function next(group: string): Promise<number[]> {
  const { status, body } = await open.instance.api.pop('orders', {
    batch: 100,
    partitions: 10,
    consumerGroup: group,
    autoAck: true,
  })
  return status === 204 ? [] : body.messages.map(({ data }: { data: number }) => data).sort()
}

async function unfinished(group: string): Promise<number | null> {
  const { body } = await open.instance.api.get(`/api/v1/consumer-groups?consumerGroup=${group}`)
  return body[0]?.totalLag ?? null
}

describe('consumer groups', () => {
  it('says how one comes into being, then lists them with what they have left', async () => {
    const { page, go, check, instance } = open
    await go('/consumer-groups')
    await page.getByText('No consumer groups yet').waitFor()
    await check()
    await instance.api.push([1, 2, 3, 4].map((payload) => ({ queue: 'orders', partition: `p${payload % 2}`, payload })))
    for (const group of ['billing', 'audit']) {
      const { body } = await instance.api.pop('orders', { batch: 1, consumerGroup: group, autoAck: true })
      expect(body.messages).toHaveLength(1)
    }
    await instance.api.pop('orders', { consumerGroup: 'late', subscriptionMode: 'new' })
    await instance.api.refreshStats()
    await go('/consumer-groups')
    const row = page.getByRole('row').filter({ hasText: 'billing' })
    await row.getByText('3', { exact: true }).waitFor()
    await page.getByRole('searchbox', { name: 'Search groups and queues' }).fill('bill')
    await page.getByRole('link', { name: 'audit' }).waitFor({ state: 'detached' })
    await page.waitForURL('**/consumer-groups?search=bill')
    await check()
  })

  it('skips to now, after it said how many messages that skips', async () => {
    const { page, go, check, instance } = open
    await go('/consumer-groups')
    await act('billing on orders', 'Skip to now…')
    await dialog().getByText('3 unfinished messages will count as consumed').waitFor()
    await check()
    await dialog().getByRole('button', { name: 'Skip 3 messages' }).click()
    await page.getByText('billing moved past everything on 2 partitions of orders').waitFor()
    expect(await next('billing')).toEqual([])
    expect(await unfinished('audit')).toBe(3)
    await instance.api.push([{ queue: 'orders', partition: 'p1', payload: 5 }])
    expect(await next('billing')).toEqual([5])
  })

  it('moves back to the beginning from the page of the queue', async () => {
    const { page, go } = open
    await go('/queues/orders?tab=groups')
    await act('billing on orders', 'Move to a time…')
    await dialog().getByRole('radio', { name: 'From the beginning' }).check()
    await dialog().getByText('delivered again').waitFor()
    await confirm()
    await page.getByText('billing moved to the beginning on 2 partitions of orders').waitFor()
    expect(await next('billing')).toEqual([1, 2, 3, 4, 5])
  })

  it('moves to a time, on one partition from the page of the group', async () => {
    const { page, go, check } = open
    await go('/consumer-groups/billing?queue=orders')
    await act('partition p1', 'Move to a time…')
    await dialog().getByRole('radio', { name: 'To a time' }).waitFor()
    await dialog().getByRole('button', { name: '1 hour ago' }).click()
    await check()
    await confirm()
    await page.getByText(/^billing moved to .* on partition p1 of orders$/).waitFor()
    expect(await next('billing')).toEqual([1, 3, 5])
    await act('billing on orders', 'Move to a time…')
    await dialog().getByRole('button', { name: '15 minutes ago' }).click()
    await dialog()
      .getByText(/about \d+ stored messages?/)
      .waitFor()
    await confirm()
    await dialog().waitFor({ state: 'detached' })
    expect(await next('billing')).toEqual([1, 2, 3, 4, 5])
  })

  it('changes where a group starts, and says when there is nothing to change', async () => {
    const { page, go, instance } = open
    await go('/consumer-groups/late')
    await page.getByRole('button', { name: 'Change start…' }).click()
    await dialog().getByLabel('Starts at').fill('2024-02-03T04:05')
    await confirm()
    await page.getByText(/^late starts at 03 Feb 2024/).waitFor()
    await until('the start is listed', async () => {
      const { body } = await instance.api.get('/api/v1/consumer-groups?consumerGroup=late')
      return body[0].subscriptionMode === 'timestamp' && /^2024-02-0/.test(body[0].subscriptionTimestamp)
    })
    await go('/consumer-groups/billing')
    await page.getByRole('button', { name: 'Change start…' }).click()
    await dialog().getByText('The group takes all messages on every queue').waitFor()
    expect(await dialog().locator('[data-confirm]').isDisabled()).toBe(true)
  })

  it('deletes a group on one queue, and everywhere after its name was typed', async () => {
    const { page, go, check, instance } = open
    await go('/consumer-groups')
    await act('audit on orders', 'Delete on this queue…')
    await check()
    await confirm()
    await page.getByText(/^audit is deleted on orders/).waitFor()
    expect(await next('audit')).toEqual([1, 2, 3, 4, 5])
    await go('/consumer-groups/billing')
    await page.getByRole('button', { name: 'Actions of billing', exact: true }).click()
    await page.getByRole('menuitem', { name: 'Delete on all queues…' }).click()
    expect(await dialog().locator('[data-confirm]').isDisabled()).toBe(true)
    await dialog().getByRole('textbox').fill('billing')
    await confirm()
    await page.waitForURL('**/consumer-groups')
    await until('it is gone', async () => (await instance.api.get('/api/v1/consumer-groups/billing')).status === 404)
    await go('/consumer-groups/billing')
    await page.getByText('This group does not exist').waitFor()
    await check({ console: /404/ })
  })
})
