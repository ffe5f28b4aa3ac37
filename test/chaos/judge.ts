/** Holds a history against the guarantees. Pure: it reads the history and what a fresh consumer group was delivered. */
import type { Delivered } from '../support/api.ts'
import type { History, Message } from './history.ts'
import type { Interval } from './outages.ts'

export interface Violation {
  readonly guarantee: string
  readonly what: string
  /** Where to look: history time and partition. */
  readonly aroundMs: number | null
  readonly partition: string | null
}

/** More of one kind is one finding. */
const SHOWN_MAX = 5
// An append may have begun just before the log line that tells of it.
const LOG_SLACK_MS = 250
// The database's clock begins a lease; the request was sent before.
const LEASE_SLACK_MS = 100

export function judgeStored(
  history: History,
  delivered: readonly Delivered[],
  outages: readonly (readonly Interval[])[],
): Violation[] {
  const violations: Violation[] = []
  const seen = new Set<string>()
  const partitions = new Map<string, Message[]>()
  const say = (guarantee: string, what: string, message?: Message): void => {
    const aroundMs = message?.sentAtMs ?? null
    violations.push({ guarantee, what, aroundMs, partition: message?.partition ?? null })
  }
  for (const { transactionId } of delivered) {
    const message = history.messages.get(transactionId)
    if (message === undefined) {
      say('G3', `${transactionId} was delivered and never sent`)
      continue
    }
    if (seen.has(transactionId)) say('G3', `${transactionId} is stored twice`, message)
    seen.add(transactionId)
    const place = `${message.queue} ${message.partition}`
    const list = partitions.get(place)
    if (list === undefined) partitions.set(place, [message])
    else list.push(message)
  }
  for (const message of history.messages.values()) {
    if (message.answeredAtMs !== null && !seen.has(message.id))
      say('G2', `${message.id} was answered ${message.status} by instance ${message.instance} and is lost`, message)
  }
  for (const list of partitions.values()) {
    judgeOrder(list, (overtaken) => alone(overtaken, outages), say)
    // On its own or not, an instance keeps the order of what it accepted itself.
    for (const instance of new Set(list.map((message) => message.instance))) {
      if (instance === null) continue
      judgeOrder(
        list.filter((message) => message.instance === instance && message.attempts === 1),
        () => false,
        say,
      )
    }
  }
  return shortened(violations)
}

/** In order of delivery: a message is overtaken when one that was sent after its promise came before it. */
function judgeOrder(
  list: readonly Message[],
  excused: (overtaken: Message) => boolean,
  say: (guarantee: string, what: string, message: Message) => void,
): void {
  let latest: Message | null = null
  for (const message of list) {
    if (latest !== null && message.answeredAtMs !== null && message.answeredAtMs < latest.sentAtMs) {
      if (!excused(message)) {
        const answered = `${message.status} by ${message.instance} at ${message.answeredAtMs.toFixed(1)}`
        const other = `sent at ${latest.sentAtMs.toFixed(1)}, ${latest.status} by ${latest.instance}`
        say('G4', `${message.id} (${answered}) comes after ${latest.id} (${other})`, message)
      }
    }
    if (latest === null || message.sentAtMs > latest.sentAtMs) latest = message
  }
}

/** Whether the instance that promised it was on its own then. */
function alone(message: Message, outages: readonly (readonly Interval[])[]): boolean {
  if (message.status !== 'buffered' || message.instance === null) return false
  return outages[message.instance]!.some(
    ({ fromMs, toMs }) => fromMs - LOG_SLACK_MS <= message.answeredAtMs! && toMs + LOG_SLACK_MS >= message.sentAtMs,
  )
}

/**
 * G2 and G6: what each group was delivered while the run went on. From its arrival until it is acked (or its time is
 * over, counted from the request) a message is leased for certain: nobody else may receive it in between.
 */
export function judgeDeliveries(history: History, groups: readonly string[]): Violation[] {
  const violations: Violation[] = []
  for (const group of groups) {
    const held = new Map<string, number>()
    const own = history.deliveries.filter((delivery) => delivery.group === group).sort((a, b) => a.atMs - b.atMs)
    for (const { atMs, id, releasedAtMs, sentAtMs } of own) {
      const until = held.get(id)
      if (until !== undefined && atMs < until - LEASE_SLACK_MS) {
        const what = `${id} was delivered to ${group} at ${atMs.toFixed(1)}, leased to another until ${until.toFixed(1)}`
        violations.push({ guarantee: 'G6', what, aroundMs: sentAtMs, partition: null })
      }
      held.set(id, Math.max(until ?? 0, releasedAtMs))
    }
    for (const message of history.messages.values()) {
      if (message.answeredAtMs === null || held.has(message.id)) continue
      const what = `${message.id} was never delivered to ${group}`
      violations.push({ guarantee: 'G2', what, aroundMs: message.sentAtMs, partition: message.partition })
    }
  }
  return shortened(violations)
}

/** G9: a push is refused only when there is no place for it. */
export function judgeRefusals(history: History): Violation[] {
  const violations: Violation[] = []
  for (const { atMs, code, instance, sentAtMs, status } of history.refusals) {
    const known = code === 'SHUTTING_DOWN' || code === 'BUFFER_UNAVAILABLE' || code === 'BUFFER_FULL'
    const cause = history.faults.some(
      (fault) =>
        ['sync-fails', 'full', 'restart'].includes(fault.kind) &&
        fault.detail === `instance ${instance}` &&
        fault.fromMs <= atMs &&
        // The buffer asks its disk again a little later.
        (fault.toMs ?? Number.POSITIVE_INFINITY) + 2_000 >= sentAtMs,
    )
    if (known && cause) continue
    violations.push({
      guarantee: 'G9',
      what: `a push was refused by instance ${instance}: ${status} ${code}`,
      aroundMs: sentAtMs,
      partition: null,
    })
  }
  return shortened(violations)
}

function shortened(violations: readonly Violation[]): Violation[] {
  const counts = new Map<string, number>()
  const shown: Violation[] = []
  for (const violation of violations) {
    const count = (counts.get(violation.guarantee) ?? 0) + 1
    counts.set(violation.guarantee, count)
    if (count <= SHOWN_MAX) shown.push(violation)
  }
  for (const [guarantee, count] of counts) {
    if (count > SHOWN_MAX) shown.push({ guarantee, what: `${count} in all`, aroundMs: null, partition: null })
  }
  return shown
}
