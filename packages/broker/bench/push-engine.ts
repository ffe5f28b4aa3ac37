/**
 * Push throughput of the engine alone: no HTTP, real PostgreSQL, 50 concurrent requests over 10 partitions, ids made by
 * the client. `node packages/broker/bench/push-engine.ts [seconds]`.
 */
import { startTestPostgres } from '@queen/embedded-postgres/testing'
import { openDatabase } from '../src/store/pool/pool.ts'
import { migrate } from '../src/store/schema/migrator.ts'
import { item, PushStack } from '../test/push/push-stack.ts'
import { silent } from '../test/store/test-database.ts'

const secondsEach = Number(process.argv[2] ?? 4)
const CONCURRENCY = 50
const PARTITIONS = 10
const payload = JSON.stringify({ order: 1, text: 'x'.repeat(80) })

const server = await startTestPostgres({ settings: { max_connections: '50' } })
const database = openDatabase({
  url: server.url,
  poolSize: 10,
  lockTimeoutMs: 1_000,
  statementTimeoutMs: 2_000,
  connectTimeoutMs: 2_000,
  log: silent,
})
try {
  await migrate(database)
  // What a clock and a counter make of a UUID of version 7, made cheaply so that the client's part does not count.
  let counter = 0
  const id = (): string => {
    const time = Date.now().toString(16).padStart(12, '0')
    return `${time.slice(0, 8)}-${time.slice(8)}-7abc-8def-${(counter++).toString(16).padStart(12, '0')}`
  }
  for (const batch of [1, 10, 100]) {
    const stack = new PushStack(database, { dedupBytesMax: 256 * 1024 * 1024 })
    let messages = 0
    const latencies: number[] = []
    const until = performance.now() + secondsEach * 1000
    const cpuBefore = process.cpuUsage()
    const startedAt = performance.now()
    await Promise.all(
      Array.from({ length: CONCURRENCY }, async (_, worker) => {
        for (let round = 0; performance.now() < until; round++) {
          const partition = `p${(worker + round) % PARTITIONS}`
          const items = Array.from({ length: batch }, () => item('bench', partition, id(), payload))
          const sentAt = performance.now()
          await stack.send(...items)
          latencies.push(performance.now() - sentAt)
          for (const { status } of items) if (status !== 'queued') throw new Error(`${status} ${stack.unavailable[0]}`)
          messages += batch
        }
      }),
    )
    const seconds = (performance.now() - startedAt) / 1000
    const cpu = process.cpuUsage(cpuBefore)
    latencies.sort((a, b) => a - b)
    const at = (share: number) => latencies[Math.floor(latencies.length * share)]!.toFixed(1)
    console.log(
      `batch ${batch}: ${Math.round(messages / seconds)} msg/s, ${Math.round(messages / batch / seconds)} requests/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, own CPU ${((cpu.user + cpu.system) / messages).toFixed(2)} us a message, RSS ${Math.round(process.memoryUsage.rss() / 1e6)} MB`,
    )
  }
} finally {
  await database.close()
  await server.remove()
}
