/**
 * Tells on stderr how far something is: a bar that redraws itself on a terminal, otherwise a line at the start, every
 * ten seconds and at the end. What is over within a second says nothing.
 */

import { fit, widthOf } from '../output/text.ts'
import { age, bytes, count, rate } from '../output/values.ts'
import type { Terminal } from '../terminal/terminal.ts'

const SILENT_MS = 1_000
const REDRAW_MS = 100
const LINE_MS = 10_000
const BAR_CELLS = 12
const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'

export interface ProgressState {
  readonly done: number
  /** null = not known: a spinner instead of a bar. */
  readonly total: number | null
  /** Of the broker, where it tells one; otherwise from the start on. */
  readonly ratePerSecond?: number
  readonly secondsLeft?: number | null
}

export interface Progress {
  update(state: ProgressState): void
  /** Takes the bar away. */
  end(): void
}

export interface ProgressOptions {
  readonly label: string
  readonly unit: 'bytes' | 'messages' | 'records'
  readonly quiet: boolean
}

export function createProgress(terminal: Terminal, options: ProgressOptions): Progress {
  if (options.quiet) return { update() {}, end() {} }
  const startedAtMs = performance.now()
  let latest: ProgressState = { done: 0, total: null }
  let shownAtMs: number | null = null
  const draw = (): void => {
    const nowMs = performance.now()
    const elapsedMs = nowMs - startedAtMs
    if (terminal.stderrIsTty) {
      const columns = terminal.columns - 1
      terminal.writeError(`\r\u001b[K${fit(progressLine(options, latest, elapsedMs, columns), columns)}`)
    } else terminal.writeError(`${progressLine(options, latest, elapsedMs)}\n`)
    shownAtMs = nowMs
  }
  const everyMs = terminal.stderrIsTty ? REDRAW_MS : LINE_MS
  const tick = (): void => {
    const dueAtMs = shownAtMs === null ? startedAtMs + SILENT_MS : shownAtMs + everyMs
    if (performance.now() >= dueAtMs) draw()
  }
  const timer = setInterval(tick, REDRAW_MS)
  timer.unref()
  return {
    update(state) {
      latest = state
      // A loop that never waits would starve the timer.
      tick()
    },
    end() {
      clearInterval(timer)
      if (shownAtMs === null) return
      if (terminal.stderrIsTty) terminal.writeError('\r\u001b[K')
      else draw()
    },
  }
}

/** On a narrow terminal it says less, and what matters most stays: how far it is. */
export function progressLine(
  options: Pick<ProgressOptions, 'label' | 'unit'>,
  state: ProgressState,
  elapsedMs: number,
  columns = Number.POSITIVE_INFINITY,
): string {
  const { done, total } = state
  const amount = options.unit === 'bytes' ? bytes : count
  const perSecond = state.ratePerSecond ?? (elapsedMs > 0 ? (done * 1_000) / elapsedMs : 0)
  const speed =
    options.unit === 'bytes' ? `${bytes(perSecond)}/s` : `${rate(Math.round(perSecond))} ${shortUnit(options.unit)}/s`
  if (total === null) {
    const turn = SPINNER[Math.floor(elapsedMs / REDRAW_MS) % SPINNER.length]
    return widest(
      [
        [`${options.label} ${turn}`, amount(done), speed, age(elapsedMs)],
        [amount(done), speed],
      ],
      columns,
    )
  }
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const computed = perSecond > 0 ? (total - done) / perSecond : null
  const left = state.secondsLeft === undefined ? computed : state.secondsLeft
  const rest = left === null ? [] : [`${age(Math.ceil(left) * 1_000)} left`]
  const far = `${options.label} ${bar(share)} ${Math.floor(share * 100)} %`
  const amounts = `${amount(done)}/${amount(total)}`
  return widest([[far, amounts, speed, ...rest], [far, amounts, ...rest], [far, ...rest], [far]], columns)
}

/** The first that fits, or the last. */
function widest(variants: readonly (readonly string[])[], columns: number): string {
  const lines = variants.map((parts) => parts.join('  '))
  return lines.find((line) => widthOf(line) <= columns) ?? lines.at(-1)!
}

const shortUnit = (unit: string): string => (unit === 'messages' ? 'msg' : unit)

export function bar(share: number): string {
  const full = Math.round(share * BAR_CELLS)
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full)
}
