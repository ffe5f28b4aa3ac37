/** The frame around every view, in a real browser on a real broker: it loads, is light, and works by keyboard. */
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { endLeftovers } from '../../../test/support/leftovers.ts'
import { closeBrowser, openPage } from './support/open-page.ts'

afterEach(endLeftovers)
afterAll(closeBrowser)
// The first test of all may build the page and unpack the browser.
vi.setConfig({ testTimeout: 90_000 })

/** Of everything that comes before the first view can be read, as it goes over the wire. */
const FIRST_LOAD_BYTES_MAX = 300_000

describe('the page', () => {
  it('loads in less than 300 KB, complains about nothing and knows its addresses', async () => {
    const { page, go, check, instance } = await openPage()
    let bytes = 0
    page.on('response', async (response) => {
      const { pathname } = new URL(response.url())
      if (!pathname.startsWith('/api/')) bytes += Number(response.headers()['content-length'])
    })
    await go('/')
    expect(await page.title()).toBe('Dashboard · Queen')
    await check()
    expect(bytes).toBeGreaterThan(20_000)
    expect(bytes).toBeLessThan(FIRST_LOAD_BYTES_MAX)
    await go('/nowhere/at/all')
    expect(await page.locator('h1').textContent()).toBe('Not found')
    await check()
    expect((await instance.api.get('/api/v1/nowhere')).body).toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each(['light', 'dark'] as const)('says on every page what its instance warns of (%s)', async (theme) => {
    // No disk is that large.
    const { page, go, check } = await openPage({
      theme,
      width: 700,
      env: { FILE_BUFFER_DISK_FREE_BYTES_WARN: '1000TiB' },
    })
    for (const path of ['/', '/queues']) {
      await go(path)
      const warning = page.locator('[data-health-warning]')
      await warning.waitFor()
      expect(await warning.textContent()).toMatch(
        /^The disk runs short\..*The disk of the file buffer has \d+ MiB free; /,
      )
      await check()
    }
    await page.getByRole('link', { name: 'Details' }).click()
    await page.getByRole('heading', { level: 1, name: 'System' }).waitFor()
  })

  it('is reached by keyboard, changes its theme and remembers it', async () => {
    const { page, go, check } = await openPage({ theme: 'dark' })
    await go('/')
    const theme = () => page.locator('html').getAttribute('data-theme')
    expect(await theme()).toBe('dark')
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate('document.activeElement.id')).toBe('main')
    await page.getByRole('button', { name: 'Light theme' }).click()
    expect(await theme()).toBe('light')
    await page.reload()
    expect(await theme()).toBe('light')
    await check()
  })

  it('shows which part of a view is open also where the parts are wider than the screen', async () => {
    const { page, go, instance } = await openPage({ width: 380, height: 700 })
    await instance.api.push([{ queue: 'narrow' }])
    const shown = (name: string) =>
      page.getByRole('tab', { name, selected: true }).evaluate((tab) => {
        const { left, right } = tab.getBoundingClientRect()
        return left >= 0 && right <= tab.ownerDocument.documentElement.clientWidth
      })
    await go('/queues/narrow?tab=settings')
    await expect.poll(() => shown('Settings')).toBe(true)
    await page.getByRole('tab', { name: 'Settings' }).press('Home')
    await expect.poll(() => shown('Overview')).toBe(true)
  })

  it('has a drawer on a narrow screen', async () => {
    const { page, go, check } = await openPage({ width: 380, height: 700 })
    await go('/')
    expect(await page.getByRole('navigation', { name: 'Main' }).isVisible()).toBe(false)
    await page.getByRole('button', { name: 'Open menu' }).click()
    await check()
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Dashboard' }).click()
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await check()
  })

  it('asks nothing while nobody can see it, and at once when somebody can', async () => {
    const { page, go } = await openPage()
    let asked = 0
    page.on('request', (request) => {
      if (new URL(request.url()).pathname.startsWith('/api/')) asked++
    })
    await page.clock.install()
    await go('/')
    const show = (hidden: boolean) =>
      page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))`)
    await show(true)
    const before = asked
    await page.clock.runFor(120_000)
    expect(asked).toBe(before)
    const next = page.waitForRequest((request) => request.url().includes('/api/'))
    await show(false)
    await next
  })

  it('says that the broker is gone, and is current again by itself when it is back', async () => {
    const { page, go, instance, check } = await openPage()
    await go('/')
    const port = new URL(instance.url).port
    const banner = page.getByRole('alert').filter({ hasText: 'The broker does not answer' })
    await instance.kill9()
    await banner.waitFor()
    await page.getByText('Last updated').waitFor()
    // The browser itself tells of every request that reaches nobody.
    await check({ console: /ERR_/ })
    await instance.start({ PORT: port })
    await banner.waitFor({ state: 'detached' })
    await page.getByText('Last updated').waitFor({ state: 'detached' })
    await page.getByText('Connected').waitFor()
  })
})
