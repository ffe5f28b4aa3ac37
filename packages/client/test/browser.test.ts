/** The built ES modules in a real browser, in a page of another origin than the broker's. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchBrowser } from '../../../test/support/browser.ts'
import { Queen } from '../src/index.ts'
import { realBroker } from './broker/real-broker.ts'
import { installedPackage, packageDir } from './support/installed-package.ts'

const installed = installedPackage()
const broker = realBroker()
const strict = realBroker({ CORS_ORIGINS: 'https://somewhere.example' })
let browser: Browser
let page: Page
let close: () => Promise<void>
const problems: string[] = []

beforeAll(async () => {
  const server = createServer((request, response) => {
    const path = normalize(request.url ?? '/')
    const serve = (type: string, content: string | Buffer) => response.setHeader('content-type', type).end(content)
    if (path === '/') return serve('text/html', '<!doctype html><script type="module" src="/page.js"></script>')
    if (path === '/page.js') return serve('text/javascript', readFileSync(join(packageDir, 'test/support/page.js')))
    if (!path.startsWith('/client/')) return response.writeHead(204).end()
    return serve('text/javascript', readFileSync(join(installed.dist, path.slice('/client/'.length))))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  browser = await launchBrowser()
  page = await browser.newPage()
  page.on('pageerror', (error) => problems.push(error.message))
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await page.waitForFunction('globalThis.programReady === true')
  close = async () => {
    await browser.close()
    server.closeAllConnections()
    server.close()
  }
})

afterAll(() => close?.())

/** Runs a part of page.js in the page. */
function inPage(name: string, url = broker.url): Promise<unknown> {
  return page.evaluate(`globalThis.program.${name}(${JSON.stringify(url)})`)
}

test('push, pop, renew, ack, trace, close', async () => {
  expect(await inPage('pushPopAck')).toMatchObject({
    counts: { queued: 2 },
    data: [{ name: 'Ünï 漢字 😀' }, 2],
    renewed: [true],
    acked: true,
    late: 'INVALID_LEASE',
    traced: true,
    report: { unsent: 0, timedOut: false },
    node: 'undefined',
  })
})

test('buffered pushes and a consumer, stopped while its polls wait', async () => {
  const { seen, summary, millis } = (await inPage('consume')) as { seen: number[]; summary: object; millis: number }
  expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  for (const p of [0, 1]) expect(seen.filter((n) => n % 2 === p)).toEqual([0, 2, 4, 6, 8].map((n) => n + p))
  expect(summary).toEqual({ processed: 10, failed: 0, reason: 'aborted' })
  expect(millis).toBeLessThan(10_000)
})

test('an abort rejects with its reason; for await ends at its limit', async () => {
  expect(await inPage('abortPop')).toBe('enough')
  expect(await inPage('iterate')).toEqual([1, 2, 3])
})

test('an error is the broker’s own, with the time to come back', async () => {
  const queen = new Queen({ url: broker.url, handleSignals: false })
  await queen.admin.setMaintenanceMode(true)
  expect(await inPage('refusedInMaintenance')).toEqual({
    known: true,
    code: 'MAINTENANCE',
    status: 503,
    retryable: true,
    retryAfterMillis: expect.any(Number),
  })
  await queen.admin.setMaintenanceMode(false)
  await queen.close()
})

test('a broker that does not know the page’s origin is like one that cannot be reached', async () => {
  expect(await inPage('foreign', strict.url)).toEqual({ name: 'QueenConnectionError', code: 'CONNECTION_FAILED' })
})

test('nothing was thrown that nobody caught', () => {
  expect(problems).toEqual([])
})
