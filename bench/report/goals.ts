/**
 * What the broker has set itself, as ratios inside one run: absolute figures say more about the machine than about the
 * broker. A goal whose rows did not run has no value.
 */
import { figure, type Results, ratio } from './results.ts'

export interface Goal {
  readonly name: string
  readonly value: number
  readonly min?: number
  readonly max?: number
}

const MB = 1_000_000
const RATE = 'messagesPerSecond'

export function goals(results: Results): Goal[] {
  const rates = (above: string, below: string): number => ratio(results, [above, RATE], [below, RATE])
  const within = (row: string, above: string, below: string): number => ratio(results, [row, above], [row, below])
  return [
    { name: 'push 1 / ceiling', value: rates('push-1', 'ceiling-1'), min: 0.45 },
    { name: 'push 10 / ceiling', value: rates('push-10', 'ceiling-10'), min: 0.5 },
    { name: 'push 100 / ceiling', value: rates('push-100', 'ceiling-100'), min: 0.65 },
    { name: 'pop 100, autoAck / push 100', value: rates('pop-100-auto-ack', 'push-100'), min: 1 },
    { name: 'pop 100 + ack / push 100', value: rates('pop-100-ack', 'push-100'), min: 0.75 },
    { name: 'pop 10, autoAck / push 10', value: rates('pop-10-auto-ack', 'push-10'), min: 0.9 },
    { name: 'pop 10 + ack / push 10', value: rates('pop-10-ack', 'push-10'), min: 0.9 },
    { name: 'client push 1, buffered / push 1', value: rates('client-push-buffered-1', 'push-1'), min: 0.8 },
    { name: 'client push 100, buffered / push 100', value: rates('client-push-buffered-100', 'push-100'), min: 0.8 },
    { name: 'client consume / pop 100 + ack', value: rates('client-consume', 'pop-100-ack'), min: 0.8 },
    // Beside the two above, not instead of them: without what any program pays that has its messages as objects.
    {
      name: 'client push 100, buffered / push 100 of objects',
      value: rates('client-push-buffered-100', 'push-100-objects'),
      min: 0.8,
    },
    {
      name: 'client consume / pop 100 + ack of objects',
      value: rates('client-consume', 'pop-100-ack-objects'),
      min: 0.8,
    },
    {
      name: 'memory growth of a producer that outruns the broker, MB',
      value: figure(results, 'client-outrun', 'rssGrowthBytes') / MB,
      max: 200,
    },
    { name: 'buffered 1 / push 1', value: rates('buffered-1', 'push-1'), min: 1 },
    { name: 'buffered 100 / push 100', value: rates('buffered-100', 'push-100'), min: 1 },
    { name: 'drain / push 100', value: rates('drain', 'push-100'), min: 1 },
    { name: 'memory peak of the drain, MB', value: figure(results, 'drain', 'rssPeakBytes') / MB, max: 400 },
    {
      name: 'cluster window: until it is safe, s',
      value: figure(results, 'cluster-window', 'enablingMs') / 1000,
      max: 1,
    },
    { name: 'cluster window: drain, s', value: figure(results, 'cluster-window', 'drainMs') / 1000, max: 10 },
    { name: 'cluster window: slowest push, s', value: figure(results, 'cluster-window', 'slowestMs') / 1000, max: 1 },
    { name: 'latency p50 / commit', value: within('latency-ack', 'p50Ms', 'commitMs'), max: 3 },
    { name: 'latency p99 / commit', value: within('latency-ack', 'p99Ms', 'commitMs'), max: 10 },
    ...['beside-10000-messages', 'beside-1-mb-message', 'beside-10000-partitions', 'beside-100-queues'].map((row) => ({
      name: `small push ${row.replaceAll('-', ' ')} / alone, p50`,
      value: within(row, 'p50Ms', 'aloneP50Ms'),
      max: 2,
    })),
    { name: 'push 100 with a dashboard / without', value: figure(results, 'push-100-dashboard', 'ratio'), min: 0.97 },
    ...[1, 100].map((batch) => ({
      name: `push ${batch} / without maintenance`,
      value: figure(results, `push-${batch}-maintenance`, 'ratio'),
      min: 0.97,
    })),
    ...(['Push', 'Pop'] as const).map((verb) => ({
      name: `${verb.toLowerCase()} statement, never analysed / analysed`,
      value: within('statistics', `never${verb}Micros`, `fresh${verb}Micros`),
      min: 0.9,
      max: 1.1,
    })),
  ].filter(({ value }) => !Number.isNaN(value))
}

export function isMet({ value, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }: Goal): boolean {
  return value >= min && value <= max
}
