/**
 * G8: a queue is deleted while buffers hold messages for it. They can never be stored; they have to be set aside, each
 * once, listed and counted, and hold up nothing behind them.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Instance } from '../support/instance.ts'
import { ask } from './ask.ts'
import type { History } from './history.ts'
import { plainly, type Violation } from './judge.ts'
import type { Stage } from './stage.ts'
import { inWindow } from './switching.ts'

const PUSHES = 4
const BATCH = 3
/** Locks and outages hold the operator's calls up; then there is nothing to expect. */
const PATIENCE_MS = 15_000
const RETRY_MS = 200
const CLOSED = 'closed'
const WINDOW_SINCE = `SELECT CASE WHEN (value ->> 'enabled')::boolean THEN value ->> 'since' ELSE '${CLOSED}' END AS answer
  FROM queen.system_state WHERE key = 'maintenance_mode'`
const PAGE = 500

interface Listed {
  readonly queue: string | null
  readonly transactionId: string | null
  readonly reason: string
}

export async function deleteInWindow(stage: Stage): Promise<void> {
  const { history, random, traffic } = stage
  const queue = `doomed-${history.operations.get('queue deleted') ?? 0}-${random.whole(0, 1_000_000)}`
  if (!(await insist(stage, (instance) => instance.api.post('/api/v1/configure', { queue })))) return
  await inWindow(stage, async () => {
    const before = await windowNow(stage)
    const sent: { id: string; promised: boolean }[] = []
    for (let push = 0; push < PUSHES; push++) {
      const index = traffic.pick(random)
      if (index === null) continue
      const ids = Array.from({ length: BATCH }, (_, at) => `${queue}-${push}-${at}`)
      const items = ids.map((id) => ({ queue, partition: `p${push % 2}`, transactionId: id, payload: { id } }))
      const answer = await traffic.through(index, () => stage.instances[index]!.api.push(items).catch(() => null))
      const promised = ids.map((_, at) => answer?.status === 201 && answer.body[at].status === 'buffered')
      sent.push(...ids.map((id, at) => ({ id, promised: promised[at]! })))
    }
    const path = `/api/v1/resources/queues/${queue}`
    const deleted = await insist(stage, (instance) => instance.api.call('DELETE', path))
    history.did('queue deleted')
    // Without an answer it may be deleted or not; and when somebody else ended the window meanwhile they may have been
    // stored, and then went with the queue. In both cases they may be set aside, and need not.
    const certain = deleted && before !== null && (await windowNow(stage)) === before
    if (certain) history.did('queue deleted in its window')
    for (const { id, promised } of sent) history.doomed.set(id, certain && promised)
  })
}

/** Since when the window is open that is open now; null = none, or nobody could be asked in time. */
async function windowNow({ databaseUrl }: Stage): Promise<string | null> {
  for (const endsAt = performance.now() + PATIENCE_MS; performance.now() < endsAt; await pause(RETRY_MS)) {
    const answer = await ask(databaseUrl, WINDOW_SINCE)
    if (answer !== null) return answer === CLOSED ? null : answer
  }
  return null
}

/** Repeats a call until it is answered 200; false when it never was. */
async function insist(stage: Stage, call: (instance: Instance) => Promise<{ status: number }>): Promise<boolean> {
  const { instances, random, traffic } = stage
  for (const endsAt = performance.now() + PATIENCE_MS; performance.now() < endsAt; await pause(RETRY_MS)) {
    const index = traffic.running(random)
    const answer = index === null ? null : await call(instances[index]!).catch(() => null)
    if (answer?.status === 200) return true
  }
  return false
}

/** When everything is drained: what is set aside is what was doomed, and nothing else. */
export async function judgeQuarantine(history: History, { api }: Pick<Instance, 'api'>): Promise<Violation[]> {
  const listed: Listed[] = []
  for (let total = 1; listed.length < total; ) {
    const { body, status } = await api.get(`/api/v1/system/buffers/quarantine?limit=${PAGE}&offset=${listed.length}`)
    if (status !== 200 || body.records.length === 0) {
      if (status === 200 && body.total === listed.length) break
      return [plainly('G8', `the quarantine was answered ${status} ${JSON.stringify(body).slice(0, 200)}`)]
    }
    listed.push(...(body.records as Listed[]))
    total = body.total
  }
  const violations: Violation[] = []
  const seen = new Set<string>()
  for (const { queue, reason, transactionId } of listed) {
    const id = transactionId ?? '?'
    if (!history.doomed.has(id)) violations.push(plainly('G8', `${id} of ${queue} was set aside: ${reason}`))
    if (seen.has(id)) violations.push(plainly('G8', `${id} of ${queue} is set aside twice`))
    seen.add(id)
  }
  for (const [id, certain] of history.doomed) {
    if (certain && !seen.has(id))
      violations.push(plainly('G8', `${id} was promised to a deleted queue and is not set aside`))
  }
  const { quarantinedMessages } = (await api.maintenance()).body
  if (quarantinedMessages !== listed.length)
    violations.push(plainly('G10', `${quarantinedMessages} are said to be set aside, ${listed.length} are listed`))
  return violations.slice(0, 10)
}
