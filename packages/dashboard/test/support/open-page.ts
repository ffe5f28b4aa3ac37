/**
 * One test's page: a real browser on a real broker's dashboard, which must have nothing to complain about.
 *
 *   const { page, instance, check } = await openPage()     // in a test
 *   afterEach(endLeftovers); afterAll(closeBrowser)         // in the file
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AxeResults } from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { expect } from 'vitest'
import { ensureDashboard } from '../../../../scripts/dashboard.mjs'
import { type Instance, startInstance } from '../../../../test/support/instance.ts'
import { atEnd, temporaryDatabase } from '../../../../test/support/leftovers.ts'
import { launchChromium } from './chromium.ts'

export interface OpenPage {
  readonly page: Page
  readonly instance: Instance
  /** Goes to an address of the dashboard and waits until its first answers are shown. */
  go(path: string): Promise<void>
  /** No console errors, nothing asked elsewhere, axe finds nothing serious, and the page does not scroll sideways. */
  check(allow?: { console?: RegExp }): Promise<void>
}

export interface OpenPageOptions {
  readonly instance?: Instance
  readonly env?: Readonly<Record<string, string>>
  readonly theme?: 'light' | 'dark'
  readonly width?: number
  readonly height?: number
}

/** Of the slowest machine that has to pass; a page that works is a hundred times quicker. */
const PATIENCE_MS = 20_000
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let browser: Promise<Browser> | undefined

/** For afterAll. */
export async function closeBrowser(): Promise<void> {
  const opened = browser
  browser = undefined
  await (await opened)?.close()
}

export async function openPage(options: OpenPageOptions = {}): Promise<OpenPage> {
  if (!(await ensureDashboard())) throw new Error('the dashboard could not be built')
  const instance =
    options.instance ??
    (await startInstance({ databaseUrl: await temporaryDatabase(), ...(options.env ? { env: options.env } : {}) }))
  browser ??= launchChromium()
  const context = await (await browser).newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 900 },
    colorScheme: options.theme ?? 'light',
    reducedMotion: 'reduce',
  })
  context.setDefaultTimeout(PATIENCE_MS)
  atEnd(() => context.close())
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`console: ${message.text()}`)
  })
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
  page.on('request', (request) => {
    if (!request.url().startsWith(instance.url) && !request.url().startsWith('data:'))
      complaints.push(`asked somebody else: ${request.url()}`)
  })
  return {
    page,
    instance,
    async go(path) {
      await page.goto(instance.url + path)
      await settled(page)
    },
    async check({ console: allowed } = {}) {
      expect(complaints.filter((each) => allowed?.test(each) !== true)).toEqual([])
      expect(await seriousIssues(page)).toEqual([])
      const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
      expect(await page.evaluate(overflow), 'pixels that stick out sideways').toBe(0)
    },
  }
}

/** Nothing is drawn as loading any more. */
export async function settled(page: Page): Promise<void> {
  await page.locator('main h1').first().waitFor()
  // Playwright's own waiting, and not a function in the page: the page's policy evaluates no text.
  await page.locator('.skeleton, [aria-busy=true]').first().waitFor({ state: 'detached' })
}

/** axe's findings of impact serious or critical, one line each. */
async function seriousIssues(page: Page): Promise<string[]> {
  // Runs in a world of its own through the debugger, so that the page's policy stays as it is.
  await page.evaluate(AXE)
  const { violations } = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as AxeResults
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(' ')} – ${node.failureSummary}`))
}

export type { Browser, BrowserContext, Page }
