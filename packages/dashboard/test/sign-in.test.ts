/** A broker that asks for tokens: the page asks the person, and shows each role what it may see. */
import { createHmac } from 'node:crypto'
import { afterAll, afterEach, expect, it, vi } from 'vitest'
import { startInstance } from '../../../test/support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../../../test/support/leftovers.ts'
import { closeBrowser, openPage } from './support/open-page.ts'

afterEach(endLeftovers)
afterAll(closeBrowser)
// The first test of all may build the page and unpack the browser.
vi.setConfig({ testTimeout: 90_000 })

const SECRET = 'a-secret-of-this-test-alone-0123456789'

function token(role: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'HS256' })}.${part({ sub: 'ada', role })}`
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`
}

it('asks for a token, again for a bad one, and shows each role what it may do', async () => {
  const instance = await startInstance({ databaseUrl: await temporaryDatabase(), env: { JWT_SECRET: SECRET } })
  const { page, check } = await openPage({ instance })
  const signIn = async (text: string): Promise<void> => {
    await page.getByLabel('Token').fill(text)
    await page.getByRole('button', { name: 'Sign in' }).click()
  }
  const maintenance = page.locator('aside [data-maintenance-button]')
  await page.goto(`${instance.url}/maintenance`)
  await page.getByText('This broker asks for a token').waitFor()
  await signIn('no.good.token')
  await page.getByText('did not accept your token').waitFor()

  await signIn(token('read-only'))
  await page.getByText('Only administrators see the details').waitFor()
  expect(await maintenance.isEnabled()).toBe(false)
  // Refusals are answers that were asked for; the browser writes each into its console.
  await check({ console: /40[13]/ })

  await page.getByRole('button', { name: 'Sign out' }).click()
  await signIn(token('admin'))
  await page.getByRole('button', { name: 'Turn maintenance on' }).waitFor()
  await maintenance.click()
  await page.locator('[role=dialog] [data-confirm]').click()
  await page.locator('main').getByText('ada').waitFor()
  // It stays in this tab, over a reload, and nowhere else.
  await page.reload()
  await page.locator('main').getByText('ada').waitFor()
  expect(await page.evaluate('localStorage.length')).toBe(0)
})
