/**
 * How fast the consume side is without HTTP: claims and acks straight at the engine, from a backlog, with consumers in
 * a closed loop. Needs QUEEN_TEST_DATABASE_URL (a throw-away server).
 *
 * On a shared machine the rates say little; the CPU time a pop costs here and in PostgreSQL (Linux, same host) says more.
 *
 *   node bench/consume-store.ts [seconds per case] [pattern of case names]
 */
import { readFileSync } from 'node:fs'
import { acksOf, delivered, names, never, openFixture, popRequest } from '../packages/broker/test/consume/fixture.ts'

const SECONDS = Number(process.argv[2] ?? 3)
const PARTITIONS = 10
const CONSUMERS = 10
const PAYLOAD = JSON.stringify({ text: 'x'.repeat(85) })

interface Case {
  readonly name: string
  readonly batch: number
  readonly autoAck: boolean
  readonly segment: number
  readonly groups?: number
}

const CASES: readonly Case[] = [
  { name: 'autoAck, batch 100', batch: 100, autoAck: true, segment: 500 },
  { name: 'autoAck, batch 10', batch: 10, autoAck: true, segment: 50 },
  { name: 'pop + ack, batch 100', batch: 100, autoAck: false, segment: 500 },
  { name: 'pop + ack, batch 10', batch: 10, autoAck: false, segment: 50 },
  { name: 'pop + ack, batch 1', batch: 1, autoAck: false, segment: 20 },
  { name: 'pop + ack, batch 100, 5 groups', batch: 100, autoAck: false, segment: 500, groups: 5 },
]

await using fixture = await openFixture()

/** CPU time of the sessions of this database so far, in microseconds; NaN where it cannot be read. */
async function postgresMicros(): Promise<number> {
  const sessions = await fixture.sql<{ pid: number }>(
    'SELECT pid FROM pg_stat_activity WHERE datname = current_database()',
  )
  try {
    return sessions.reduce(
      (sum, { pid }) => sum + Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[0]) / 1000,
      0,
    )
  } catch {
    return Number.NaN
  }
}

for (const each of CASES.filter(({ name }) => new RegExp(process.argv[3] ?? '').test(name))) {
  const queueId = await fixture.createQueue(each.name)
  const messages = each.batch === 1 ? 200_000 : each.batch === 10 ? 600_000 : 2_000_000
  for (let p = 0; p < PARTITIONS; p++) {
    const partition = await fixture.createPartition(queueId, `p${p}`)
    await fixture.append(partition, names('00000000-transaction-', each.segment, 10_000_000), PAYLOAD)
    const count = Math.ceil(messages / PARTITIONS / each.segment)
    await fixture.sql(
      `INSERT INTO queen.segments SELECT partition_id, first_offset + g * $2::int, last_offset + g * $2::int, created_at, id_base, body, keys
         FROM queen.segments CROSS JOIN generate_series(1, $3::int) g WHERE partition_id = $1::uuid`,
      [partition, each.segment, count],
    )
    await fixture.sql('UPDATE queen.partitions SET next_offset = next_offset + $2::int * $3::int WHERE id = $1::uuid', [
      partition,
      each.segment,
      count,
    ])
  }
  const consumer = fixture.consumer({ settings: { segmentCacheBytesMax: 64 << 20, waitingPopsMax: 1000 } })
  let received = 0
  let pops = 0
  const endsAt = performance.now() + SECONDS * 1000
  const begun = performance.now()
  const cpu = process.cpuUsage()
  const postgres = await postgresMicros()
  const loop = async (group: string): Promise<void> => {
    const request = popRequest({
      queue: each.name,
      batch: each.batch,
      autoAck: each.autoAck,
      wait: true,
      timeoutMs: 1000,
      consumerGroup: group,
    })
    while (performance.now() < endsAt) {
      const answer = await consumer.popMessages(request, never)
      pops++
      for (const run of answer.runs) received += run.indices.length
      if (answer.runs.length > 0 && !each.autoAck) {
        const results = await consumer.ackMessages(acksOf(answer))
        if (!results.every(({ success }) => success))
          throw new Error(`${delivered(answer)[0]} refused: ${JSON.stringify(results[0])}`)
      }
    }
  }
  const groups = each.groups ?? 1
  await Promise.all(
    Array.from({ length: CONSUMERS * groups }, (_, index) =>
      loop(groups === 1 ? '__QUEUE_MODE__' : `g${index % groups}`),
    ),
  )
  const seconds = (performance.now() - begun) / 1000
  const used = process.cpuUsage(cpu)
  const postgresUsed = (await postgresMicros()) - postgres
  const { claimStatements, ackStatements, knownClaims, finishedLeases, readAheadStatements } = consumer.stats()
  const rate = (count: number): string => Math.round(count / seconds).toLocaleString()
  console.log(
    [
      each.name.padEnd(30),
      `${rate(received).padStart(8)} msg/s ${rate(pops).padStart(7)} pops/s`,
      `cpu a pop: ${((used.user + used.system) / pops).toFixed(0).padStart(4)} us here ${(postgresUsed / pops).toFixed(0).padStart(4)} us PostgreSQL`,
      `${(pops / claimStatements).toFixed(1).padStart(5)} pops a claim, ${ackStatements === 0 ? '-' : (pops / ackStatements).toFixed(1)} an ack`,
      `${((100 * knownClaims) / pops).toFixed(0)} % known, ${((100 * finishedLeases) / pops).toFixed(0)} % finished whole, ${readAheadStatements} reads ahead`,
    ].join('  '),
  )
  await consumer.stop()
}
