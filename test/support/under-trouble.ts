/**
 * One instance under everyday load while its database is in trouble, and everything that the contract promises for that
 * time: every push answered within 3 s, pops empty or waiting, acks that tell the truth, nothing that grows without bound;
 * and afterwards: all by itself within 5 s, every message once and in order.
 *
 * The trouble itself is the caller's. One rig goes through several troubles in turn.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { expect } from 'vitest'
import type { Answer, Delivered } from './api.ts'
import { ALL_IS_WELL, verdict } from './checker.ts'
import { Consumer } from './consumer.ts'
import { type Instance, startInstance } from './instance.ts'
import { atEnd } from './leftovers.ts'
import { type Producer, startProducers, stopAll } from './producer.ts'
import { Recorder } from './recorder.ts'
import { openTables } from './tables.ts'
import { until } from './until.ts'

/** What docs/reference/http.md promises of answers, and "resumes by itself within 5 s". */
const PUSH_MS_MAX = 3_000
const POP_MS_MAX = 3_000
const ACK_MS_MAX = 10_000
const RESUME_MS_MAX = 5_000
/** A small pool, so that what is opened beyond it shows. */
const POOL_SIZE = 6
/** Administration 3, state 2, notifications, one dedicated, one probe. */
const OTHER_CONNECTIONS = 8
/** Far above what the load needs, far below what an unbounded queue of it takes within seconds. */
const GROWTH_BYTES_MAX = 256 * 1024 * 1024
const POLL_MS = 20_000
/** Shorter than the troubles that are to outlive it, longer than a busy machine takes to begin one. */
const SHORT_LEASE_SECONDS = 4

export interface Findings {
  /** How many pushes were answered so during the trouble. */
  readonly queued: number
  readonly buffered: number
  readonly slowestPushMs: number
  readonly resumedAfterMs: number
  readonly connectionsMax: number
}

export interface TroubleOptions {
  /** PostgreSQL keeps what it had: no lease is forgotten. */
  readonly leasesSurvive: boolean
  /** Acks go on as always: then a lease that runs out does so because nobody acked. */
  readonly acksWork?: boolean
  /** Backends of connections that were given up may be left on the server for a while. */
  readonly connectionsMax?: number
}

export class UnderTrouble {
  readonly instance: Instance
  readonly recorder = new Recorder()
  readonly #adminUrl: string
  readonly #producers: Producer[]
  readonly #consumer: Consumer
  #turn = 0

  private constructor(instance: Instance, adminUrl: string) {
    this.instance = instance
    this.#adminUrl = adminUrl
    this.#producers = startProducers(3, { queue: 'orders', instances: [instance], recorder: this.recorder })
    this.#consumer = new Consumer({ instance, queue: 'orders', group: 'workers' }).start()
  }

  /** @param adminUrl past any proxy, for counting the instance's connections */
  static async start(databaseUrl: string, adminUrl = databaseUrl): Promise<UnderTrouble> {
    const instance = await startInstance({ databaseUrl, env: { DB_POOL_SIZE: String(POOL_SIZE) } })
    const rig = new UnderTrouble(instance, adminUrl)
    await rig.recorder.more(100, 'queued')
    return rig
  }

  /** `begin` makes the trouble and resolves with what ends it; it lasts `seconds`. */
  async through(
    seconds: number,
    begin: () => Promise<() => Promise<void>>,
    options: TroubleOptions = { leasesSurvive: true },
  ): Promise<Findings> {
    const { api } = this.instance
    const turn = this.#turn++
    const shortQueue = `short-${turn}`
    const ackedQueue = `acked-${turn}`
    await api.post('/api/v1/configure', { queue: shortQueue, options: { leaseTime: SHORT_LEASE_SECONDS } })
    await api.push([
      { queue: ackedQueue, transactionId: 'a' },
      ...['b', 'c'].map((id) => ({ queue: ackedQueue, transactionId: id })),
    ])
    await api.push([{ queue: shortQueue, transactionId: 'kept' }])
    const leased = (await api.pop(ackedQueue, { batch: 3 })).body.messages as Delivered[]
    const before = rssOf(this.instance.pid)
    const attemptsBefore = this.recorder.attempts.length
    const acknowledgedBefore = this.recorder.acknowledged.size
    // Last, so that little of its lease is gone when the trouble begins.
    const kept = (await api.pop(shortQueue)).body.messages as Delivered[]
    const end = await begin()
    const watch = this.#watch(leased)
    const patient = patiently(api, `patient-${turn}`)
    await pause(seconds * 1000)
    await watch.stop()
    await end()
    const endedAtMs = Date.now()
    // Its lease was over before the trouble was; but nobody could have acked in it.
    const keptAck = acked(api, kept)

    const during = [...this.recorder.acknowledged.values()].slice(acknowledgedBefore)
    const resumed = await until('pushes are stored again', () =>
      [...this.recorder.acknowledged.values()].find((each) => each.status === 'queued' && each.sentAtMs > endedAtMs),
    )
    const completed = this.#consumer.completed
    await until('consumers get what is new', () => completed.has(resumed.transactionId))
    const resumedAfterMs = Date.now() - endedAtMs
    expect(resumedAfterMs).toBeLessThan(RESUME_MS_MAX)
    expect((await patient).status).toBe(200)

    // An ack that was answered with success is true; the others are due.
    const due = leased.filter(({ transactionId }) => !watch.acked.has(transactionId))
    for (const message of due) {
      const result = await acked(api, [message])
      if (options.leasesSurvive && !watch.doubted.has(message.transactionId))
        expect(result).toMatchObject({ success: true })
      else if (!result.success) expect(result.code).toBe('INVALID_LEASE')
      if (result.success) watch.acked.add(message.transactionId)
    }
    const again = await api.pop(ackedQueue, { batch: 3 })
    const redelivered =
      again.status === 200 ? (again.body.messages as Delivered[]).map((each) => each.transactionId) : []
    expect(redelivered.filter((id) => watch.acked.has(id))).toEqual([])
    if (options.leasesSurvive) {
      expect(redelivered).toEqual([])
    }

    const keptResult = await keptAck
    if (options.leasesSurvive && options.acksWork !== true) expect(keptResult).toMatchObject({ success: true })

    const attempts = this.recorder.attempts.slice(attemptsBefore)
    const slowestPushMs = Math.max(...attempts.map(({ tookMs }) => tookMs))
    expect(attempts.filter(({ status }) => status !== 201)).toEqual([])
    expect(slowestPushMs).toBeLessThan(PUSH_MS_MAX)
    expect(watch.wrong).toEqual([])
    expect(watch.connectionsMax).toBeLessThanOrEqual(options.connectionsMax ?? POOL_SIZE + OTHER_CONNECTIONS)
    expect(rssOf(this.instance.pid) - before).toBeLessThan(GROWTH_BYTES_MAX)
    return {
      queued: during.filter(({ status }) => status === 'queued').length,
      buffered: during.filter(({ status }) => status === 'buffered').length,
      slowestPushMs: Math.round(slowestPushMs),
      resumedAfterMs,
      connectionsMax: watch.connectionsMax,
    }
  }

  /** Everything once and in order, over all troubles. */
  async finish(): Promise<void> {
    await stopAll(this.#producers)
    await until('the consumer has it all', () => this.#consumer.completed.size === this.recorder.count())
    await this.#consumer.stop()
    expect(this.#consumer.unordered).toEqual([])
    expect(this.recorder.refusals).toEqual({})
    const tables = await openTables(this.#adminUrl)
    expect(await verdict(this.recorder, this.instance, 'orders', tables)).toEqual(ALL_IS_WELL)
    expect(await this.instance.buffered()).toBe(0)
  }

  #watch(leased: readonly Delivered[]) {
    const { api } = this.instance
    const acked = new Set<string>()
    const doubted = new Set<string>()
    const wrong: string[] = []
    const state = { acked, doubted, wrong, connectionsMax: 0, stop: async () => {} }
    let going = true
    const bounded = (what: string, tookMs: number, max: number): void => {
      if (tookMs >= max) wrong.push(`${what} took ${Math.round(tookMs)} ms`)
    }
    const loop = async (work: () => Promise<void>): Promise<void> => {
      while (going) {
        await work()
        await pause(100)
      }
    }
    const hasty = loop(async () => {
      const answer = await api.pop('orders', { consumerGroup: 'hasty', autoAck: true })
      bounded('a pop', answer.tookMs, POP_MS_MAX)
      if (answer.status !== 200 && answer.status !== 204) wrong.push(`a pop was answered ${answer.status}`)
    })
    const shown = loop(async () => {
      const [live, status] = await Promise.all([api.get('/health/live'), api.maintenance()])
      bounded('/health/live', live.tookMs, 2_000)
      bounded('the status', status.tookMs, ACK_MS_MAX)
      if (live.status !== 200 || status.status !== 200) wrong.push(`status: ${live.status} ${status.status}`)
    })
    const counting = this.#countConnections(
      () => going,
      (count) => {
        state.connectionsMax = Math.max(state.connectionsMax, count)
      },
    )
    const acking = (async () => {
      for (const message of leased) {
        if (!going) return
        const answer = await api.ack([message])
        bounded('an ack', answer.tookMs, ACK_MS_MAX)
        if (answer.status === 200 && answer.body[0].success) acked.add(message.transactionId)
        else if (answer.status !== 503)
          wrong.push(`an ack was answered ${answer.status} ${JSON.stringify(answer.body)}`)
        else if (answer.body.details?.outcome === 'unknown') doubted.add(message.transactionId)
      }
    })()
    state.stop = async () => {
      going = false
      await Promise.all([hasty, shown])
      // An ack under way may have to wait for the end of the trouble; it is judged when it is answered.
      atEnd(() => acking)
      await Promise.race([acking, pause(ACK_MS_MAX)])
      await counting
    }
    return state
  }

  async #countConnections(going: () => boolean, heard: (count: number) => void): Promise<void> {
    while (going()) {
      const client = new pg.Client({
        connectionString: this.#adminUrl,
        connectionTimeoutMillis: 1_000,
        query_timeout: 1_000,
      })
      client.on('error', () => {})
      try {
        await client.connect()
        while (going()) {
          const { rows } = await client.query(
            `SELECT count(*)::int AS count FROM pg_stat_activity WHERE application_name LIKE 'queen %' AND datname = current_database()`,
          )
          heard(rows[0].count)
          await pause(200)
        }
      } catch {
        // The server itself is in trouble; then nobody counts.
        await pause(200)
      } finally {
        void client.end().catch(() => {})
      }
    }
  }
}

/** A consumer that waits, and asks again each time it has waited in vain. */
async function patiently(api: Instance['api'], consumerGroup: string): Promise<Answer> {
  for (;;) {
    const answer = await api.pop('orders', { consumerGroup, wait: true, timeout: POLL_MS })
    if (answer.status !== 204) return answer
    // An empty answer that comes early would make consumers spin.
    expect(answer.tookMs).toBeGreaterThan(POLL_MS * 0.9)
  }
}

/** The result of the ack, sent again for as long as it is answered 503. */
async function acked(api: Instance['api'], messages: readonly Delivered[]) {
  const [result] = await until('the ack is answered', async () => {
    const answer = await api.ack(messages)
    return answer.status === 200 ? answer.body : null
  })
  return result
}

function rssOf(pid: number): number {
  const [, kibibytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!
  return Number(kibibytes) * 1024
}
