/**
 * Pictures of views in both themes and three widths, to be looked at.
 *
 *   node packages/dashboard/test/support/screenshots.ts <broker url> <folder> [path …]
 *
 * takes them of any running broker; tests use `takeScreenshots`.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { launchChromium } from './chromium.ts'
import { settled } from './open-page.ts'

export const THEMES = ['light', 'dark'] as const
export const WIDTHS = [380, 1280, 2560] as const
const HEIGHTS: Readonly<Record<number, number>> = { 380: 800, 1280: 860, 2560: 1300 }
/** Charts come after the page. */
const CHART_MS = 600

export interface Shot {
  /** Name of the file, without theme and width. */
  readonly name: string
  readonly path: string
  /** Brings the page into the state to show, e.g. opens a dialog. */
  readonly prepare?: (page: Page) => Promise<void>
}

export interface ShotOptions {
  readonly themes?: readonly ('light' | 'dark')[]
  readonly widths?: readonly number[]
  readonly fullPage?: boolean
}

export async function takeScreenshots(
  browser: Browser,
  url: string,
  folder: string,
  shots: readonly Shot[],
  { themes = THEMES, widths = WIDTHS, fullPage = true }: ShotOptions = {},
): Promise<string[]> {
  mkdirSync(folder, { recursive: true })
  const files: string[] = []
  for (const theme of themes) {
    for (const width of widths) {
      const viewport = { width, height: HEIGHTS[width] ?? 900 }
      const context = await browser.newContext({ viewport, colorScheme: theme, reducedMotion: 'reduce' })
      const page = await context.newPage()
      for (const { name, path, prepare } of shots) {
        await page.goto(url + path)
        await settled(page)
        await prepare?.(page)
        // The whole page by a window that is as high: the browser's own way paints canvases at a wrong size.
        if (fullPage) await page.setViewportSize({ width, height: await wholeHeight(page, viewport.height) })
        await page.waitForTimeout(CHART_MS)
        const file = join(folder, `${name}-${theme}-${width}.png`)
        await page.screenshot({ path: file })
        await page.setViewportSize(viewport)
        files.push(file)
      }
      await context.close()
    }
  }
  return files
}

async function wholeHeight(page: Page, least: number): Promise<number> {
  const height = (await page.evaluate('document.documentElement.scrollHeight')) as number
  return Math.max(least, height)
}

if (import.meta.main) {
  const [url, folder, ...paths] = process.argv.slice(2)
  if (url === undefined || folder === undefined) {
    process.stderr.write('usage: node screenshots.ts <broker url> <folder> [path …]\n')
    process.exit(2)
  }
  const browser = await launchChromium()
  const shots = (paths.length > 0 ? paths : ['/']).map((path) => ({
    name: path === '/' ? 'dashboard' : path.slice(1).replaceAll(/[^\w-]+/g, '_'),
    path,
  }))
  for (const file of await takeScreenshots(browser, url, folder, shots)) process.stdout.write(`${file}\n`)
  await browser.close()
}
