/**
 * Measures the buffer alone on the real disk: appends by concurrent callers, then a full read.
 *   node bench/append-and-read.ts [records] [bodyBytes] [batch] [appenders]
 * Prints one line a phase; the directory is removed afterwards.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFileBuffer } from '../src/index.ts'

const [records = 2_000_000, bodyBytes = 150, batch = 100, appenders = 50] = process.argv.slice(2).map(Number)
const directory = mkdtempSync(join(tmpdir(), 'queen-file-buffer-bench-'))
const options = { directory, bufferBytesMax: 64 * 2 ** 30, diskFreeBytesMin: 2 ** 30 }
const body = Buffer.alloc(bodyBytes, 'x')
const source = {
  count: batch,
  bytesMax: batch * bodyBytes,
  write: (_index: number, target: Buffer, at: number) => at + body.copy(target, at),
  flags: () => 0,
}

const seconds = async (run: () => Promise<unknown>): Promise<number> => {
  const startedAt = performance.now()
  await run()
  return (performance.now() - startedAt) / 1000
}
const print = (what: string, count: number, time: number): void =>
  console.log(`${what.padEnd(44)} ${Math.round(count / time).toLocaleString('en')} records/s, ${time.toFixed(2)} s`)

try {
  const buffer = await openFileBuffer(options)
  let left = records
  const appendTime = await seconds(() =>
    Promise.all(
      Array.from({ length: appenders }, async () => {
        while (left > 0) {
          left -= batch
          await buffer.append(source)
        }
      }),
    ),
  )
  const total = buffer.stats.pendingRecords
  print(`append, ${appenders} callers, ${batch} x ${bodyBytes} bytes`, total, appendTime)
  const { count, sumSeconds } = buffer.stats.fsync
  console.log(
    `  ${count} fdatasyncs, ${((sumSeconds / count) * 1000).toFixed(3)} ms each, cpu ${JSON.stringify(process.cpuUsage())}`,
  )
  const single = { ...source, count: 1, bytesMax: bodyBytes }
  const times: number[] = []
  for (let i = 0; i < 2_000; i++) times.push(await seconds(() => buffer.append(single)))
  times.sort((a, b) => a - b)
  const micros = (share: number): string => (times[Math.floor(times.length * share)]! * 1e6).toFixed(0)
  console.log(`single appends, one caller: p50 ${micros(0.5)} µs, p99 ${micros(0.99)} µs`)
  const singlesTime = await seconds(() =>
    Promise.all(
      Array.from({ length: 50 }, async () => {
        for (let i = 0; i < 4_000; i++) await buffer.append(single)
      }),
    ),
  )
  print('append, 50 callers, one record each', 200_000, singlesTime)
  await buffer.close()

  const reopened = { buffer: await openFileBuffer(options) }
  await reopened.buffer.close()
  const openTime = await seconds(async () => {
    reopened.buffer = await openFileBuffer(options)
  })
  const { buffer: again } = reopened
  const pending = again.stats.pendingRecords
  print('start-up scan', pending, openTime)
  const read = async (): Promise<void> => {
    for (;;) {
      const got = await again.read({ records: 10_000, bytes: 4 * 2 ** 20 })
      if (got.empty) return
    }
  }
  print('read', pending, await seconds(read))
  again.rewind()
  const drain = async (): Promise<void> => {
    for (;;) {
      const got = await again.read({ records: 10_000, bytes: 4 * 2 ** 20 })
      if (got.empty) return
      await again.drained(got.through)
    }
  }
  print('read and mark drained', pending, await seconds(drain))
  console.log(`left ${again.stats.pendingRecords}, rss ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`)
  await again.close()
} finally {
  rmSync(directory, { recursive: true })
}
