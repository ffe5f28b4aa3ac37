/** Holds a history against the guarantees. Pure: it reads the history and what a fresh consumer group was delivered. */
import type { Delivered } from '../support/api.ts'
import type { Delivery, History, Message } from './history.ts'
import type { Interval } from './outages.ts'

export interface Violation {
  readonly guarantee: string
  readonly what: string
  /** Where to look: history time and messages; with a group, its deliveries of them. */
  readonly aroundMs: number | null
  readonly ids: readonly string[]
  readonly group?: string
}

type Say = (guarantee: string, what: string, messages: readonly Message[]) => void

/** More of one kind is one finding. */
const SHOWN_MAX = 5
// An append may have begun just before the log line that tells of it.
const LOG_SLACK_MS = 250
// leaseExpiresAt is the earliest of an answer's leases, rounded to milliseconds; clocks are read one after the other.
const LEASE_SLACK_MS = 100
// A claim is not worth a flush to PostgreSQL's disk: a crash forgets those of the last moments (documented).
const CLAIMS_FORGOTTEN_MS = 1_000
// The buffer asks its disk again a little later.
const DISK_SLACK_MS = 2_000

/** G2, G3, G4: one queue's messages as a group of its own was delivered them. */
export function judgeStored(
  history: History,
  queue: string,
  delivered: readonly Delivered[],
  outages: readonly (readonly Interval[])[],
): Violation[] {
  const violations: Violation[] = []
  const seen = new Set<string>()
  const partitions = new Map<string, Message[]>()
  const say: Say = (guarantee, what, messages) => {
    violations.push({ guarantee, what, aroundMs: messages[0]?.sentAtMs ?? null, ids: messages.map(({ id }) => id) })
  }
  for (const { partition, transactionId } of delivered) {
    const message = history.messages.get(transactionId)
    if (message === undefined || message.queue !== queue || message.partition !== partition) {
      say('G3', `${transactionId} was delivered from ${queue} ${partition} and never sent there`, [])
      continue
    }
    if (seen.has(transactionId)) say('G3', `${transactionId} is stored twice`, [message])
    seen.add(transactionId)
    const list = partitions.get(partition)
    if (list === undefined) partitions.set(partition, [message])
    else list.push(message)
  }
  for (const message of history.messages.values()) {
    if (message.queue !== queue || message.answeredAtMs === null || seen.has(message.id)) continue
    say('G2', `${message.id} was answered ${message.status} by instance ${message.instance} and is lost`, [message])
  }
  for (const list of partitions.values()) {
    judgeOrder(list, (overtaken) => alone(overtaken, outages), say)
    // On its own or not, an instance keeps the order of what it accepted itself.
    for (const instance of new Set(list.map((message) => message.instance))) {
      if (instance === null) continue
      judgeOrder(
        list.filter((message) => message.instance === instance && message.tries.length === 1),
        () => false,
        say,
      )
    }
  }
  return shortened(violations)
}

/** In order of delivery: a message is overtaken when one that was sent after its promise came before it. */
function judgeOrder(list: readonly Message[], excused: (overtaken: Message) => boolean, say: Say): void {
  let latest: Message | null = null
  for (const message of list) {
    if (latest !== null && message.answeredAtMs !== null && message.answeredAtMs < latest.sentAtMs) {
      if (!excused(message)) {
        const answered = `${message.status} by ${message.instance} at ${message.answeredAtMs.toFixed(1)}`
        const other = `sent at ${latest.sentAtMs.toFixed(1)}, ${latest.status} by ${latest.instance}`
        say('G4', `${message.id} (${answered}) comes after ${latest.id} (${other})`, [message, latest])
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

/** G2, G6, G7: what the groups of each queue were delivered while the run went on. */
export function judgeDeliveries(history: History, groups: ReadonlyMap<string, readonly string[]>): Violation[] {
  const violations: Violation[] = []
  const places = new Map<string, Delivery[]>()
  for (const delivery of history.deliveries) {
    const place = `${delivery.group} ${delivery.queue} ${delivery.id}`
    const list = places.get(place)
    if (list === undefined) places.set(place, [delivery])
    else list.push(delivery)
  }
  const crashes = history.faults.filter(({ kind }) => kind === 'postgres-crash' || kind === 'postgres-kill')
  for (const list of places.values()) {
    if (list.length === 1) continue
    list.sort((a, b) => a.claimedAtMs - b.claimedAtMs)
    judgeLeases(list, crashes, violations)
    judgeAcks(list, violations)
  }
  for (const message of history.messages.values()) {
    if (message.answeredAtMs === null) continue
    for (const group of groups.get(message.queue) ?? []) {
      if (history.wasDelivered(message, group)) continue
      const what = `${message.id} was never delivered to ${group}`
      violations.push({ guarantee: 'G2', what, aroundMs: message.sentAtMs, ids: [message.id], group })
    }
  }
  return shortened(violations)
}

/** G6: from its claim until it is acked, or its time is over, a message is leased; nobody else may claim it meanwhile. */
function judgeLeases(
  list: readonly Delivery[],
  crashes: readonly { readonly fromMs: number }[],
  violations: Violation[],
): void {
  for (const [at, later] of list.entries()) {
    const earlier = list.slice(0, at).find(({ claimedAtMs, leaseId, releasedAtMs }) => {
      if (leaseId === later.leaseId || later.claimedByMs >= releasedAtMs - LEASE_SLACK_MS) return false
      return !crashes.some(
        ({ fromMs }) => fromMs > claimedAtMs - LEASE_SLACK_MS && fromMs < claimedAtMs + CLAIMS_FORGOTTEN_MS,
      )
    })
    if (earlier === undefined) continue
    const until = `leased at ${earlier.claimedAtMs.toFixed(1)} until ${earlier.releasedAtMs.toFixed(1)} at least`
    const what = `${later.id} was claimed for ${later.group} at ${later.claimedAtMs.toFixed(1)}, ${until}`
    violations.push({ guarantee: 'G6', what, aroundMs: later.claimedAtMs, ids: [later.id], group: later.group })
  }
}

/** G7: what was acked as completed does not come again. */
function judgeAcks(list: readonly Delivery[], violations: Violation[]): void {
  const done = list.reduce((least, each) => Math.min(least, each.completedAtMs ?? least), Number.POSITIVE_INFINITY)
  const again = list.find((delivery) => delivery.claimedAtMs > done + LEASE_SLACK_MS)
  if (again === undefined) return
  const what = `${again.id} was completed for ${again.group} at ${done.toFixed(1)} and claimed again at ${again.claimedAtMs.toFixed(1)}`
  violations.push({ guarantee: 'G7', what, aroundMs: again.claimedAtMs, ids: [again.id], group: again.group })
}

/** G5: by PostgreSQL's snapshots; where nobody could take them, by its clock. */
export function judgeWindows(history: History, createdInside: readonly number[]): Violation[] {
  return history.windows.flatMap(({ closedAtMs, safeAtMs, writtenInside }, index): Violation[] => {
    const written = Math.max(writtenInside ?? 0, createdInside[index]!)
    if (written === 0) return []
    const what = `${written} segments were written in the window from ${safeAtMs.toFixed(1)} to ${closedAtMs?.toFixed(1)}`
    return [{ guarantee: 'G5', what, aroundMs: safeAtMs, ids: [] }]
  })
}

/** G10: what an instance says it holds is what lies on its disk. */
export function judgeCounts(history: History): Violation[] {
  return shortened(
    history.counts
      .filter(({ onDisk, said }) => onDisk !== said)
      .map(({ after, atMs, instance, onDisk, said }) => ({
        guarantee: 'G10',
        what: `instance ${instance} says ${said} messages are buffered, ${onDisk} are on its disk (after ${after})`,
        aroundMs: atMs,
        ids: [],
      })),
  )
}

/** Faults that leave one instance without a place for pushes, or with its doors closed. */
const REFUSING = ['sync-fails', 'full', 'full-in-window', 'restart']

/** G9: a push is refused only when there is no place for it. */
export function judgeRefusals(history: History): Violation[] {
  const violations: Violation[] = []
  for (const { atMs, code, instance, sentAtMs, status } of history.refusals) {
    const known = code === 'SHUTTING_DOWN' || code === 'BUFFER_UNAVAILABLE' || code === 'BUFFER_FULL'
    const cause = history.faults.some(
      (fault) =>
        REFUSING.includes(fault.kind) &&
        fault.detail === `instance ${instance}` &&
        fault.fromMs <= atMs &&
        (fault.toMs ?? Number.POSITIVE_INFINITY) + DISK_SLACK_MS >= sentAtMs,
    )
    if (known && cause) continue
    const what = `a push was refused by instance ${instance}: ${status} ${code}`
    violations.push({ guarantee: 'G9', what, aroundMs: sentAtMs, ids: [] })
  }
  return shortened(violations)
}

export function plainly(guarantee: string, what: string, aroundMs: number | null = null): Violation {
  return { guarantee, what, aroundMs, ids: [] }
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
    if (count > SHOWN_MAX) shown.push(plainly(guarantee, `${count} in all`))
  }
  return shown
}
