/** The maintenance status as lines of text. Pure. */
import type { MaintenanceInstance, MaintenanceStatus } from '@queen/client'
import type { Style } from '../output/style.ts'
import { type Column, renderTable } from '../output/table.ts'
import { safeText } from '../output/text.ts'
import { age, bytes, count, quantity, sinceMs } from '../output/values.ts'
import { progressLine } from '../progress/progress.ts'
import { blockerTexts, clockTime, deadText, deadWithRecords, fullIn, headline, meaning } from './words.ts'

export interface ViewOptions {
  readonly style: Style
  readonly wide: boolean
  readonly headers: boolean
  readonly nowMs: number
}

export function maintenanceLines(status: MaintenanceStatus, options: ViewOptions): string[] {
  const { style, nowMs } = options
  const { text, tone } = headline(status)
  const paint = { good: style.green, wait: style.yellow, bad: style.red }[tone]
  const since =
    status.since === null ? '' : `      since ${clockTime(status.since)} (${age(sinceMs(status.since, nowMs))})`
  const by = status.by === null ? '' : `   by ${safeText(status.by)}`
  const reason = status.reason === null ? '' : `   "${safeText(status.reason)}"`
  const oldest = age(sinceMs(status.oldestBufferedAt, nowMs))
  const buffered = `${quantity(status.bufferedMessages, 'message')}  ${bytes(status.bufferedBytes)}`
  const lines = [
    `Maintenance  ${paint(style.bold(text))}${since}${by}${reason}`,
    `Buffered     ${buffered}   oldest ${oldest}   quarantined ${count(status.quarantinedMessages)}`,
  ]
  const drain = drainLine(status)
  if (drain !== null) lines.push(drain)
  if (status.popMaintenanceMode)
    lines.push(style.yellow('Pops         ON HOLD (maintenance off --pop lets them go on)'))
  lines.push(style.dim(meaning(status)))
  if (status.stale) lines.push(style.yellow('The database cannot be read: this is the last known state.'))
  if (status.bufferHealthy === false) lines.push(style.red('A buffer is full or does not accept writes.'))
  for (const blocker of blockerTexts(status, nowMs)) lines.push(style.yellow(safeText(blocker)))
  for (const instance of deadWithRecords(status)) lines.push(style.red(safeText(deadText(instance, nowMs))))
  return [...lines, ...renderTable(instanceColumns(nowMs), status.instances, options)]
}

export function drainLine(status: MaintenanceStatus): string | null {
  const { drain } = status
  if (drain === null || drain === undefined) return null
  const state = {
    done: drain.drained,
    total: drain.total,
    ratePerSecond: drain.ratePerSecond,
    secondsLeft: drain.etaSeconds,
  }
  return progressLine({ label: 'Draining', unit: 'messages' }, state, 0)
}

export function instanceColumns(nowMs: number): Column<MaintenanceInstance>[] {
  return [
    { title: 'instance', value: (each) => each.hostname || each.id },
    {
      title: 'alive',
      value: (each) =>
        each.live ? age(sinceMs(each.lastSeenAt, nowMs)) : `no, ${age(sinceMs(each.lastSeenAt, nowMs))}`,
    },
    { title: 'phase', value: (each) => each.phase },
    { title: 'buffered', value: (each) => count(each.bufferedMessages), right: true },
    { title: 'bytes', value: (each) => bytes(each.bufferedBytes), right: true },
    { title: 'oldest', value: (each) => age(sinceMs(each.oldestBufferedAt, nowMs)), right: true },
    { title: 'disk free', value: (each) => bytes(each.diskFreeBytes), right: true },
    { title: 'full in', value: (each) => fullIn(each.timeToFullSeconds), right: true },
    { title: 'quarantined', value: (each) => count(each.quarantinedMessages), right: true, wide: true },
    { title: 'cap', value: (each) => bytes(each.capacityBytes), right: true, wide: true },
    { title: 'started', value: (each) => each.startedAt, wide: true },
    { title: 'id', value: (each) => each.id, wide: true },
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
