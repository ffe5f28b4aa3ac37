/** `bench`: how fast this broker is from here. Cleans up only what it made. */
import { randomBytes } from 'node:crypto'
import { isQueenError, type Queen } from '@queen/client'
import { EXIT } from '../command/exit-codes.ts'
import { CliError } from '../command/failure.ts'
import { count, text, toggle } from '../command/flag.ts'
import type { CommandSpec } from '../command/spec.ts'
import { age, count as grouped, rate } from '../output/values.ts'
import type { Session } from '../session.ts'

interface Leg {
  readonly name: 'push' | 'pop'
  readonly messages: number
  readonly millis: number
  readonly perSecond: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

export const BENCH: CommandSpec = {
  name: 'bench',
  summary: 'push and pop as fast as it goes, and say how fast that was',
  flags: [
    text('--queue <name>', 'queue to use (default: a new one)', { completes: 'queue' }),
    count('--total <n>', 'messages', '100000'),
    count('--batch <n>', 'messages per request', '100', 1, 10_000),
    count('--partitions <n>', 'partitions', '10', 1, 10_000),
    count('--producers <n>', 'pushes at the same time', '10', 1, 1_000),
    count('--consumers <n>', 'pops at the same time', '10', 1, 1_000),
    count('--payload-size <bytes>', 'bytes of a payload', '100', 1, 1_000_000),
    toggle('--skip-pop', 'only push'),
    toggle('--auto-create', 'make the queue first when it is not there'),
    toggle('--auto-delete', 'delete the queue afterwards, if it was made here'),
  ],
  examples: ['bench', 'bench --queue load --total 1000000 --batch 1000 --skip-pop'],
  async run(session, call) {
    const queen = await session.queen()
    const named = call.text('queue')
    const queue = named ?? `queenctl-bench-${randomBytes(4).toString('hex')}`
    const isOurs = await prepare(session, queen, queue, named === undefined || call.on('autoCreate'))
    const plan = {
      queue,
      total: call.numberOf('total'),
      batch: call.numberOf('batch'),
      partitions: call.numberOf('partitions'),
      payload: 'x'.repeat(Math.max(1, call.numberOf('payloadSize') - 2)),
    }
    const legs: Leg[] = []
    try {
      legs.push(await pushLeg(session, queen, plan, call.numberOf('producers')))
      if (!call.on('skipPop')) legs.push(await popLeg(session, queen, plan, call.numberOf('consumers')))
    } finally {
      // Also after Ctrl-C: what was made here goes, what was there stays.
      if (isOurs && (named === undefined || call.on('autoDelete')))
        await queen
          .queue(queue)
          .delete()
          .catch(() => {})
    }
    await session.out.list({
      rows: legs,
      columns: [
        { title: 'leg', value: (leg) => leg.name },
        { title: 'messages', value: (leg) => grouped(leg.messages), right: true },
        { title: 'time', value: (leg) => age(leg.millis), right: true },
        { title: 'msg/s', value: (leg) => rate(Math.round(leg.perSecond)), right: true },
        { title: 'p50 ms', value: (leg) => leg.p50Ms?.toFixed(1), right: true },
        { title: 'p99 ms', value: (leg) => leg.p99Ms?.toFixed(1), right: true },
      ],
    })
    return EXIT.done
  },
}

/** Whether the queue is ours to delete. */
async function prepare(session: Session, queen: Queen, queue: string, create: boolean): Promise<boolean> {
  try {
    await queen.admin.getQueue(queue, { signal: session.signal })
    return false
  } catch (error) {
    if (!isQueenError(error) || error.status !== 404) throw error
  }
  if (!create) throw new CliError(`there is no queue '${queue}'`, { hint: 'Let it be made with --auto-create.' })
  await queen.admin.configureQueue(queue, { options: {} }, { signal: session.signal })
  return true
}

interface Plan {
  readonly queue: string
  readonly total: number
  readonly batch: number
  readonly partitions: number
  readonly payload: string
}

async function pushLeg(session: Session, queen: Queen, plan: Plan, producers: number): Promise<Leg> {
  let next = 0
  return measure(session, 'push', plan.total, producers, async (done) => {
    const first = next
    const size = Math.min(plan.batch, plan.total - first)
    if (size <= 0) return false
    next += size
    const partition = `p${Math.floor(first / plan.batch) % plan.partitions}`
    const items = Array.from({ length: size }, () => plan.payload)
    const results = await queen.queue<string>(plan.queue).partition(partition).push(items, { signal: session.signal })
    done(results.counts.queued + results.counts.buffered)
    return true
  })
}

async function popLeg(session: Session, queen: Queen, plan: Plan, consumers: number): Promise<Leg> {
  let popped = 0
  return measure(session, 'pop', plan.total, consumers, async (done) => {
    if (popped >= plan.total) return false
    const source = queen.queue(plan.queue).batch(plan.batch).partitions(10).autoAck(true).wait(false)
    const messages = await source.pop({ signal: session.signal, throwOnError: true })
    popped += messages.length
    done(messages.length)
    // Empty: others hold the rest, or there is none.
    return messages.length > 0
  })
}

async function measure(
  session: Session,
  name: Leg['name'],
  total: number,
  workers: number,
  once: (done: (messages: number) => void) => Promise<boolean>,
): Promise<Leg> {
  const progress = session.progress({ label: name === 'push' ? 'Pushing' : 'Popping', unit: 'messages' })
  const latenciesMs: number[] = []
  let messages = 0
  const startedAtMs = performance.now()
  const work = async (): Promise<void> => {
    for (;;) {
      const askedAtMs = performance.now()
      const isMore = await once((count) => {
        messages += count
        if (count > 0) latenciesMs.push(performance.now() - askedAtMs)
      })
      progress.update({ done: messages, total })
      if (!isMore) return
    }
  }
  try {
    await Promise.all(Array.from({ length: workers }, work))
  } finally {
    progress.end()
  }
  const millis = performance.now() - startedAtMs
  const sorted = latenciesMs.sort((a, b) => a - b)
  const at = (share: number): number | null =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null
  return { name, messages, millis, perSecond: (messages * 1_000) / millis, p50Ms: at(0.5), p99Ms: at(0.99) }
}
