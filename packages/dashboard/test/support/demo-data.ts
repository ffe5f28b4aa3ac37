/**
 * A broker that looks lived in, for pictures: ten queues with messages, consumer groups, failures and dead letters, all
 * through the API, and a past that is the last minute's measurements repeated with the swing of a day.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Api, Delivered } from '../../../../test/support/api.ts'
import type { Tables } from '../../../../test/support/tables.ts'
import { until } from '../../../../test/support/until.ts'

const QUEUES = [
  'orders.created',
  'orders.paid',
  'billing.invoice.render',
  'billing.invoice.send',
  'mail.transactional',
  'search.reindex',
  'warehouse.pick',
  'analytics.events',
  'media.thumbnails',
  'webhooks.out',
]
const GROUPS = ['workers', 'audit']
const ERRORS = ['Downstream answered 502', 'Address could not be resolved', 'Payload has no field "total"']
const HOURS = 24
/** Between two rounds of traffic: about as much as the past shows. */
const PACE_MS = 2_000

export async function pushRound(api: Api, round: number): Promise<void> {
  const items = QUEUES.flatMap((queue, place) =>
    Array.from({ length: Math.ceil(60 / (place + 1)) }, (_, index) => ({
      queue,
      partition: `customer-${(round * 7 + index) % (12 + place)}`,
      payload: {
        order: 40_000 + round * 100 + index,
        customer: { id: `c-${index}`, country: ['AT', 'FI', 'IT', 'PT'][index % 4] },
        total: ((index * 37) % 500) + 0.99,
        lines: [{ sku: `A-${index % 9}`, quantity: (index % 3) + 1 }],
      },
    })),
  )
  await api.push(items)
}

/** Pops and acks; every `failEvery`th message fails. */
async function consumeRound(api: Api, round: number, failEvery: number): Promise<void> {
  let number = round
  for (const [place, queue] of QUEUES.entries()) {
    // The last ones are behind: something has to wait.
    if (place >= 7 && round % 4 !== 0) continue
    for (const group of GROUPS.slice(0, 1 + (place % 2))) {
      const answer = await api.pop(queue, { batch: 200, partitions: 40, consumerGroup: group, subscriptionMode: 'all' })
      if (answer.status !== 200) continue
      const acknowledgments = (answer.body.messages as Delivered[]).map(({ transactionId, partitionId, leaseId }) => {
        const fails = ++number % failEvery === 0
        return {
          transactionId,
          partitionId,
          leaseId,
          status: fails ? 'failed' : 'completed',
          error: ERRORS[number % 3],
        }
      })
      await api.post('/api/v1/ack/batch', { consumerGroup: group, acknowledgments })
    }
  }
}

export async function fillWithDemoData(api: Api, tables: Tables): Promise<void> {
  for (const queue of QUEUES) {
    await api.post('/api/v1/configure', { queue, options: { retryLimit: 0, leaseTime: 60 } })
  }
  for (let round = 0; round < 24; round++) {
    await pushRound(api, round)
    await consumeRound(api, round, 97)
  }
  const { messages } = (await api.get('/api/v1/messages?queue=orders.paid&limit=24')).body
  for (const [index, { transactionId, partitionId }] of (messages as Delivered[]).entries()) {
    for (const eventType of ['received', 'charged', 'booked'].slice(0, 1 + (index % 3))) {
      const traceNames = [`checkout-${4_700 + (index % 6)}`]
      const data = { step: eventType, tookMs: 12 + index }
      await api.post('/api/v1/traces', { transactionId, partitionId, traceNames, eventType, data })
    }
  }
  await api.refreshStats()
  await until('the minute is measured', async () => {
    const [row] = await tables.query<{ pushed: string | null }>(
      `SELECT sum((counts->>'pushMessages')::numeric) AS pushed FROM queen.instance_metrics WHERE step = 1`,
    )
    return Number(row!.pushed ?? 0) > 0
  })
  await repeatIntoThePast(tables)
  await api.refreshStats()
}

/** Traffic until it is told to end. */
export function keepGoing(api: Api): { stop(): Promise<void> } {
  let stopped = false
  const run = async (): Promise<void> => {
    for (let round = 24; !stopped; round++) {
      await pushRound(api, round)
      await consumeRound(api, round, 97)
      await pause(PACE_MS)
    }
  }
  const running = run()
  return {
    stop() {
      stopped = true
      return running
    },
  }
}

async function repeatIntoThePast(tables: Tables): Promise<void> {
  for (const step of [1, 15]) {
    // Two waves and some noise, so that a chart has something to show.
    const past = `SELECT n, 0.55 + 0.3 * sin(n / 9.0) + 0.12 * sin(n / 2.3) + 0.1 * random() AS f
      FROM generate_series(1, ${(HOURS * 60) / step}) n`
    const scaled = (names: string): string =>
      names
        .split(' ')
        .map((name) => `ceil(m.${name} * p.f * ${step})::bigint`)
        .join(', ')
    const counters =
      'push_requests push_messages pop_requests pop_messages pop_empty ack_requests ack_success ack_failed transactions ' +
      'dead_letters lag_ms_sum'
    const rest =
      'lag_ms_max, parked_ms, retention_messages, completed_retention_messages, eviction_messages, removal_events, ' +
      'partitions, partitions_created, partitions_deleted'
    await tables.query(`
      INSERT INTO queen.instance_metrics (step, bucket, instance_id, hostname, pid, port, counts, gauges, samples)
      SELECT DISTINCT ON (m.instance_id, p.n) ${step}, date_bin('${step} minutes', m.bucket, 'epoch') - p.n * interval '${step} minutes',
        m.instance_id, m.hostname, m.pid, m.port,
        (SELECT jsonb_object_agg(key, CASE WHEN key ILIKE '%max%' THEN ceil(value::numeric * p.f)
            ELSE ceil(value::numeric * p.f * ${step}) END) FROM jsonb_each_text(m.counts)),
        (SELECT jsonb_object_agg(key, (SELECT jsonb_agg(round(each::numeric * (0.6 + 0.4 * p.f)::numeric, 2) ORDER BY place)
            FROM jsonb_array_elements_text(value) WITH ORDINALITY AS e(each, place))) FROM jsonb_each(m.gauges)),
        m.samples
      FROM queen.instance_metrics m CROSS JOIN (${past}) p WHERE m.step = 1
      ORDER BY m.instance_id, p.n, (m.counts->>'pushMessages')::numeric DESC NULLS LAST
      ON CONFLICT DO NOTHING`)
    await tables.query(`
      INSERT INTO queen.queue_metrics (step, queue_id, bucket, instance_id, ${counters.replaceAll(' ', ', ')}, ${rest})
      SELECT DISTINCT ON (m.queue_id, m.instance_id, p.n) ${step}, m.queue_id,
        date_bin('${step} minutes', m.bucket, 'epoch') - p.n * interval '${step} minutes', m.instance_id, ${scaled(counters)}, ${rest}
      FROM queen.queue_metrics m CROSS JOIN (${past}) p WHERE m.step = 1
      ORDER BY m.queue_id, m.instance_id, p.n, m.push_messages DESC
      ON CONFLICT DO NOTHING`)
  }
}

/** So much that its drain takes seconds. */
export async function pushMany(api: Api): Promise<void> {
  for (let round = 0; round < 40; round++) {
    const items = Array.from({ length: 5_000 }, (_, index) => ({
      queue: 'analytics.events',
      partition: `customer-${index % 19}`,
      payload: { page: `/product/${index}`, visit: round },
    }))
    await api.push(items)
  }
}
