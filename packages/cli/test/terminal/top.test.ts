/** `queenctl top` in a terminal: what it shows, what its keys do, and that the screen is restored on every way out. */
import { beforeAll, describe, expect, test } from 'vitest'
import { BEFORE, KEY, type Left, terminals } from '../support/pty.ts'
import { realBroker } from '../support/real-broker.ts'

const broker = realBroker()
const open = terminals(() => broker.url)
const TOP = ['top', '--interval', '300ms'] as const

const push = async (queue: string, count: number) => {
  const items = Array.from({ length: count }, (_, n) => ({ queue, payload: n }))
  const answer = await fetch(`${broker.url}/api/v1/push`, { method: 'POST', body: JSON.stringify({ items }) })
  expect(answer.ok).toBe(true)
}

beforeAll(async () => {
  await push('orders', 3)
  await push('payments.eu-west-1.settlements.of-a-long-name', 5)
  await push('audit', 1)
})

const restored = (exit: number, left: Left) => {
  expect(left).toMatchObject({ exit, isAlternate: false, cursorShown: true, isCooked: true })
  expect(left.screen).toContain(BEFORE)
  expect(left.screen).not.toContain('PENDING')
}

test('shows queues; keys sort, filter, open the panel, pause; q leaves', async () => {
  const top = open(TOP, { columns: 120, rows: 20 })
  // Most pending first, once all of them are counted.
  const first = await top.until(/QUEUE +PENDING[\s\S]*payments[\s\S]*orders[\s\S]*audit/)
  expect(top.isAlternate()).toBe(true)
  expect(first).toContain('Maintenance OFF, normal   instances 1/1   database connected')
  expect(first).toContain('sorted by pending')
  expect(top.lines().at(-1)).toBe('q quit   s sort   / filter   p pause   m maintenance   ↑↓ scroll')
  // Live: what is pushed now is there in a moment.
  await push('orders', 4_000)
  await top.until((screen) => screen.indexOf('orders') < screen.indexOf('payments') && screen.includes('4,003'))
  top.press('s')
  await top.until('sorted by name')
  top.press('/ord')
  await top.until((screen) => screen.includes('filter /ord_') && !screen.includes('payments'))
  top.press(KEY.enter)
  await top.until(/filter \/ord$/m)
  // Several keys at once, as a slow line delivers them.
  top.press('pm')
  await top.until(/\[paused\][\s\S]*INSTANCE +ALIVE +PHASE/)
  top.press('m/')
  await top.until(/filter \/_/)
  top.press(KEY.escape)
  top.press(KEY.down + KEY.down + KEY.down + KEY.down)
  await top.until((screen) => screen.includes('payments') && !screen.includes('orders'))
  top.press(KEY.up)
  await top.until((screen) => screen.includes('orders') && screen.includes('payments'))
  top.press('q')
  restored(0, await top.ended)
})

describe('the screen is restored', () => {
  test('after Ctrl-C', async () => {
    const top = open(TOP)
    await top.until('orders')
    top.press(KEY.ctrlC)
    restored(130, await top.ended)
  })

  test('after SIGTERM', async () => {
    const top = open(TOP)
    await top.until('orders')
    await top.kill('SIGTERM')
    restored(130, await top.ended)
  })

  test('when the broker has gone: the old figures are marked, and it goes on when it is back', async () => {
    const top = open(TOP)
    await top.until('orders')
    await broker.stop()
    await top.until(/\[STALE, no broker answers since /)
    expect(top.screen()).toContain('orders')
    await broker.start()
    await top.until((screen) => screen.includes('orders') && !screen.includes('STALE'))
    await broker.stop()
    await top.until('STALE')
    top.press('q')
    restored(0, await top.ended)
    await broker.start()
  })

  test('when it was never there', async () => {
    await broker.stop()
    const top = open(TOP)
    await top.until('no broker answers')
    top.press('q')
    restored(0, await top.ended)
    await broker.start()
  })
})

test.each([
  { columns: 40, shown: 'PENDING', hidden: 'PUSH/S' },
  { columns: 200, shown: 'GROUPS BEHIND', hidden: '…' },
])('reads well in $columns columns', async ({ columns, shown, hidden }) => {
  const top = open(TOP, { columns, rows: 24 })
  const screen = await top.until('payments')
  expect(screen).toContain(shown)
  expect(screen).not.toContain(hidden)
  // A line that was too wide would have broken, and pushed the keys out of their place.
  expect(top.lines()).toHaveLength(24)
  expect(top.lines().at(-1)).toMatch(/^q quit {3}s sort/)
  expect(top.lines().filter((line) => /^(orders|audit|payments)/.test(line))).toHaveLength(3)
  top.press('m')
  await top.until('INSTANCE')
  expect(top.lines()).toHaveLength(24)
  top.resize({ columns: columns === 40 ? 200 : 40, rows: 24 })
  await top.until((each) => each.includes('DISK FREE') === (columns === 40))
  expect(top.lines().at(-1)).toMatch(/^q quit/)
  top.press('q')
  restored(0, await top.ended)
})
