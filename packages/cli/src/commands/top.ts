/** `top`: everything that moves, live. The terminal is as it was on every way out. */
import { isQueenError } from '@queen/client'
import { EXIT } from '../command/exit-codes.ts'
import { Interrupted } from '../command/failure.ts'
import { choice, duration, toggle } from '../command/flag.ts'
import type { CommandSpec } from '../command/spec.ts'
import { pause } from '../maintenance/switching.ts'
import type { Session } from '../session.ts'
import { CTRL_C, openScreen } from '../terminal/screen.ts'
import { collect, type Snapshot } from '../top/collect.ts'
import { frameLines, SORTS, type Sort, scrollMax, type View } from '../top/frame.ts'
import { pressKey } from '../top/keys.ts'

const INTERVAL_MS_MIN = 250

export const TOP: CommandSpec = {
  name: 'top',
  summary: 'watch queues, rates and groups',
  about:
    'Keys: q quit, s sort, / filter, p pause, m maintenance, arrows scroll. Without a terminal, or with --once, it shows one frame.',
  flags: [
    duration('--interval <duration>', 'between two frames', '2s'),
    choice('--sort <column>', 'sort by', SORTS, 'pending'),
    toggle('--once', 'one frame'),
  ],
  examples: ['top', 'top --once --sort lag'],
  async run(session, call) {
    const view: View = {
      sort: call.text('sort') as Sort,
      filter: '',
      typing: false,
      paused: false,
      panel: false,
      scroll: 0,
      staleSince: null,
    }
    const { kind } = session.out.format
    const asData = kind !== 'table' && kind !== 'wide'
    const isLive = session.terminal.stdoutIsTty && session.terminal.stdinIsTty && !call.on('once')
    const intervalMs = Math.max(INTERVAL_MS_MIN, call.numberOf('interval'))
    if (isLive && !asData) return live(session, view, intervalMs)
    const queen = await session.queen()
    for (;;) {
      const snapshot = await collect(queen, session.signal)
      if (snapshot.queues === null && snapshot.maintenance === null)
        await queen.admin.health({ signal: session.signal })
      if (asData) await session.out.line(JSON.stringify(snapshot))
      else {
        const size = { columns: Number.MAX_SAFE_INTEGER, rows: null }
        await session.out.text(snapshot, frameLines(snapshot, view, size, session.style, Date.now()))
      }
      if (!asData || call.on('once') || !session.terminal.stdoutIsTty) return EXIT.done
      await pause(intervalMs, session.signal)
    }
  },
}

async function live(session: Session, first: View, intervalMs: number): Promise<number> {
  const { terminal, signal, interrupts } = session
  const queen = await session.connect({ retryAttempts: 1 })
  const quit = new AbortController()
  const ended = AbortSignal.any([signal, quit.signal])
  let view = first
  let snapshot: Snapshot | null = null
  const draw = (): void => {
    const size = { columns: terminal.columns, rows: terminal.rows }
    screen.draw(frameLines(snapshot, view, size, session.style, Date.now(), true))
  }
  const screen = openScreen(terminal, {
    onResize: draw,
    onKey(key) {
      // The terminal sends no signal while it sends keys.
      if (key === CTRL_C) return interrupts.abort(new Interrupted())
      const effect = pressKey(view, key)
      view = { ...effect.view, scroll: Math.min(effect.view.scroll, scrollMax(snapshot, effect.view)) }
      if (effect.quit) quit.abort()
      else draw()
    },
  })
  try {
    draw()
    while (!ended.aborted) {
      if (!view.paused) {
        try {
          const next = await collect(queen, ended)
          const isEmpty = next.queues === null && next.maintenance === null
          view = { ...view, staleSince: isEmpty ? (view.staleSince ?? next.at) : null }
          if (!isEmpty || snapshot === null) snapshot = next
        } catch (error) {
          if (!ended.aborted && !isQueenError(error)) throw error
        }
      }
      if (!ended.aborted) draw()
      await pause(intervalMs, ended).catch(() => {})
    }
  } finally {
    screen.close()
  }
  return signal.aborted ? EXIT.interrupted : EXIT.done
}
