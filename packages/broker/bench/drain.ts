/**
 * Drain rate: one million buffered messages of 100 bytes over 10 partitions, into an own PostgreSQL.
 * `node packages/broker/bench/drain.ts [records]`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startTestPostgres } from '@queen/embedded-postgres/testing'
import { openFileBuffer } from '@queen/file-buffer'
import { Drain } from '../src/engine/drain/drain.ts'
import { StepSize } from '../src/engine/drain/step-size.ts'
import { openDatabase } from '../src/store/pool/pool.ts'
import { migrate } from '../src/store/schema/migrator.ts'
import { item, PushStack, storeOn } from '../test/push/push-stack.ts'
import { silent } from '../test/store/test-database.ts'

const total = Number(process.argv[2] ?? 1_000_000)
const BATCH = 1_000
const payload = JSON.stringify({ order: 1, text: 'x'.repeat(80) })

const server = await startTestPostgres()
const database = openDatabase({
  url: server.url,
  poolSize: 10,
  lockTimeoutMs: 1_000,
  statementTimeoutMs: 2_000,
  connectTimeoutMs: 2_000,
  log: silent,
})
const directory = await mkdtemp(join(tmpdir(), 'queen-bench-'))
const buffer = await openFileBuffer({ directory, bufferBytesMax: 4e9, diskFreeBytesMin: 0 })
try {
  await migrate(database)
  const stack = new PushStack(database, { log: buffer, dedupBytesMax: 256 * 1024 * 1024 })
  let counter = 0
  const id = (): string => `01a20857-5575-7abc-8def-${(counter++).toString(16).padStart(12, '0')}`
  let startedAt = performance.now()
  for (let sent = 0; sent < total; sent += 8 * BATCH) {
    await Promise.all(
      Array.from({ length: 8 }, (_, k) =>
        stack.push.buffer(
          Array.from({ length: BATCH }, (_, i) => item('bench', `p${(k + i) % 10}`, id(), payload)),
          null,
        ),
      ),
    )
  }
  const records = buffer.stats.pendingRecords
  console.log(`buffered ${records} at ${Math.round((records / (performance.now() - startedAt)) * 1000)} records/s`)
  let rssMax = 0
  const watch = setInterval(() => {
    rssMax = Math.max(rssMax, process.memoryUsage.rss())
  }, 20)
  const drain = new Drain({
    store: storeOn(database),
    log: buffer,
    catalog: {
      queues: (names) => stack.catalog.queues(names),
      ensurePartitions: (names) => stack.catalog.ensurePartitions(names),
      forget: (queue) => stack.catalog.forget(queue),
      deletedAtMicros: async () => new Map(),
    },
    dedup: stack.dedup,
    ids: stack.ids,
    stepSize: new StepSize(),
    cipher: null,
    key: { isWrong: false },
    nowMs: Date.now,
    endLostFlushes: async () => {},
    onStored: () => {},
    onProgress: () => {},
    onSetAside: ({ error }) => console.log(error),
  })
  const cpuBefore = process.cpuUsage()
  startedAt = performance.now()
  const end = await drain.run(() => true)
  const ms = performance.now() - startedAt
  clearInterval(watch)
  const cpu = process.cpuUsage(cpuBefore)
  console.log(
    `${end}: drained ${records} at ${Math.round((records / ms) * 1000)} records/s, own CPU ${((cpu.user + cpu.system) / records).toFixed(2)} us a record, RSS at most ${Math.round(rssMax / 1e6)} MB`,
  )
} finally {
  await buffer.close()
  await database.close()
  await server.remove()
  await rm(directory, { recursive: true })
}
