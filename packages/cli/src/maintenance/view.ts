/** The maintenance status as lines of text. Pure. */
import type { MaintenanceInstance, MaintenanceStatus } from '@queen/client'
import { flow, wrap } from '../output/flow.ts'
import type { Style } from '../output/style.ts'
import { type Column, renderTable } from '../output/table.ts'
import { fit, safeText, widthOf } from '../output/text.ts'
import { age, bytes, count, quantity, sinceMs } from '../output/values.ts'
import { progressLine } from '../progress/progress.ts'
import { blockerTexts, clockTime, deadText, deadWithRecords, fullIn, headline, meaning } from './words.ts'

export interface ViewOptions {
  readonly style: Style
  readonly wide: boolean
  readonly headers: boolean
  readonly nowMs: number
  /** The widest a line may be; without it lines are as long as they are. */
  readonly columns?: number
}

/** As wide as the labels: what goes on below a label stands under its value. */
const INDENT = ' '.repeat(13)

export function maintenanceLines(status: MaintenanceStatus, options: ViewOptions): string[] {
  const { style, nowMs, columns = Number.POSITIVE_INFINITY } = options
  const { text, tone } = headline(status)
  const paint = { good: style.green, wait: style.yellow, bad: style.red }[tone]
  const since = status.since === null ? [] : [`since ${clockTime(status.since)} (${age(sinceMs(status.since, nowMs))})`]
  const by = status.by === null ? [] : [`by ${safeText(status.by)}`]
  const reason = status.reason === null ? [] : [`"${safeText(status.reason)}"`]
  const told = [...since, ...by, ...reason]
  const head = `Maintenance  ${paint(style.bold(text))}`
  const oldest = age(sinceMs(status.oldestBufferedAt, nowMs))
  const buffered = `${quantity(status.bufferedMessages, 'message')}  ${bytes(status.bufferedBytes)}`
  const sentences = (tint: (text: string) => string, ...texts: string[]): string[] =>
    texts.flatMap((each) => wrap(safeText(each), columns)).map(tint)
  const drain = drainLine(status, columns)
  return [
    ...oneOrFlow([`${head}${told.length === 0 ? '' : '   '}`, ...told], [head, ...told], columns),
    ...flow(
      [`Buffered     ${buffered}`, `oldest ${oldest}`, `quarantined ${count(status.quarantinedMessages)}`],
      '   ',
      columns,
      INDENT,
    ),
    ...(drain === null ? [] : [drain]),
    ...(status.popMaintenanceMode
      ? sentences(style.yellow, 'Pops         ON HOLD (maintenance off --pop lets them go on)')
      : []),
    ...sentences(style.dim, meaning(status)),
    ...(status.stale ? sentences(style.yellow, 'The database cannot be read: this is the last known state.') : []),
    ...(status.bufferHealthy === false ? sentences(style.red, 'A buffer is full or does not accept writes.') : []),
    ...sentences(style.yellow, ...blockerTexts(status, nowMs)),
    ...sentences(style.red, ...deadWithRecords(status).map((instance) => deadText(instance, nowMs))),
    ...renderTable(instanceColumns(nowMs), status.instances, options),
  ]
}

/** In one line where that fits, with the state set apart; else as many as it takes. The first part has colours. */
function oneOrFlow(apart: readonly string[], parts: readonly string[], columns: number): string[] {
  const line = apart.join('   ')
  if (widthOf(line) <= columns) return [line]
  const [first = '', ...rest] = flow(parts, '   ', columns, INDENT)
  return [first, ...rest.map((each) => fit(each, columns))]
}

export function drainLine(status: MaintenanceStatus, columns?: number): string | null {
  const { drain } = status
  if (drain === null || drain === undefined) return null
  const state = {
    done: drain.drained,
    total: drain.total,
    ratePerSecond: drain.ratePerSecond,
    secondsLeft: drain.etaSeconds,
  }
  return progressLine({ label: 'Draining', unit: 'messages' }, state, 0, columns)
}

export function instanceColumns(nowMs: number): Column<MaintenanceInstance>[] {
  return [
    { title: 'instance', value: (each) => each.hostname || each.id, cut: true },
    {
      title: 'alive',
      value: (each) =>
        each.live ? age(sinceMs(each.lastSeenAt, nowMs)) : `no, ${age(sinceMs(each.lastSeenAt, nowMs))}`,
      drop: 1,
    },
    { title: 'phase', value: (each) => each.phase, drop: 2 },
    { title: 'buffered', value: (each) => count(each.bufferedMessages), right: true },
    { title: 'bytes', value: (each) => bytes(each.bufferedBytes), right: true, drop: 5 },
    { title: 'oldest', value: (each) => age(sinceMs(each.oldestBufferedAt, nowMs)), right: true, drop: 4 },
    { title: 'disk free', value: (each) => bytes(each.diskFreeBytes), right: true, drop: 6 },
    { title: 'full in', value: (each) => fullIn(each.timeToFullSeconds), right: true, drop: 3 },
    { title: 'quarantined', value: (each) => count(each.quarantinedMessages), right: true, wide: true, drop: 7 },
    { title: 'cap', value: (each) => bytes(each.capacityBytes), right: true, wide: true, drop: 8 },
    { title: 'started', value: (each) => each.startedAt, wide: true, drop: 9 },
    { title: 'id', value: (each) => each.id, wide: true, drop: 10 },
  ]
}

/** What a watcher without a terminal gets a line for: not every count, but everything that changes the meaning. */
export function changeKey(status: MaintenanceStatus): string {
  const { drain } = status
  return JSON.stringify([
    headline(status).text,
    status.since,
    status.stale,
    status.popMaintenanceMode,
    status.quarantinedMessages,
    status.blockers.map((blocker) => [blocker.instanceId, blocker.reason]),
    status.instances.map((instance) => [instance.id, instance.live, instance.phase]),
    drain === null ? null : Math.floor((10 * drain.drained) / Math.max(1, drain.total)),
  ])
}

export function changeLine(status: MaintenanceStatus, nowMs: number): string {
  const parts = [
    `${new Date(nowMs).toISOString()}  ${headline(status).text}`,
    `${quantity(status.bufferedMessages, 'message')} buffered`,
    ...(status.stale ? ['last known state'] : []),
    ...(drainLine(status) === null ? [] : [drainLine(status)!]),
    ...blockerTexts(status, nowMs),
    ...deadWithRecords(status).map((instance) => deadText(instance, nowMs)),
  ]
  return safeText(parts.join('  '))
}
