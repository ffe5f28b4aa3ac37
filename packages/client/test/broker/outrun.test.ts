/** A producer that is faster than its broker: bounded memory, nothing lost. `npm run bench` has a minute of it. */
import { afterEach, expect, test, vi } from 'vitest'
import { runOutrun } from '../../../../bench/load/outrun.ts'
import { startInstance } from '../../../../test/support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../../../../test/support/leftovers.ts'
import { testClient } from '../support/client.ts'

afterEach(endLeftovers)
// What was buffered has to be stored by a broker that is frozen half of the time.
vi.setConfig({ testTimeout: 120_000 })

const SECONDS = 4
const BUFFER_BYTES_MAX = 64 * 1024 * 1024
const GROWTH_BYTES_MAX = 200 * 1024 * 1024

test('G9: it waits for room, grows by less than 200 MB, and every message it pushed is stored', async () => {
  const instance = await startInstance({ databaseUrl: await temporaryDatabase() })
  const outcome = await runOutrun(instance, 'outrun', SECONDS)
  expect(outcome).toMatchObject({ unsent: 0, rejected: 0 })
  expect(outcome.waits).toBeGreaterThan(0)
  expect(outcome.bufferedBytesMax).toBeLessThanOrEqual(BUFFER_BYTES_MAX)
  expect(outcome.rssGrowthBytes).toBeLessThan(GROWTH_BYTES_MAX)
  const { queen } = testClient(instance.url)
  await queen.admin.refreshConsumerStats()
  const { totals } = await queen.admin.getQueue('outrun')
  expect(totals.total).toBe(outcome.pushed)
})

test('close() says what it could not send, and what it says can be pushed again', async () => {
  const instance = await startInstance({ databaseUrl: await temporaryDatabase() })
  const { queen } = testClient(instance.url)
  const pushes = Array.from({ length: 500 }, (_, n) => queen.queue('q').buffer({ messageCount: 100 }).push({ n }))
  await instance.kill9()
  const accepted = Promise.allSettled(pushes)
  const report = await queen.close({ timeoutMillis: 200 })
  expect(report).toMatchObject({ timedOut: true, rejected: 0 })
  const buffered = (await accepted).filter(({ status }) => status === 'fulfilled').length
  expect(report.unsent).toBeGreaterThan(0)
  expect(report.unsentItems).toHaveLength(report.unsent)

  await instance.start()
  const next = testClient(instance.url).queen
  const byPartition = report.unsentItems.map(({ payload, transactionId }) => ({ data: payload, transactionId }))
  await next.queue('q').push(byPartition)
  await next.admin.refreshConsumerStats()
  // What was in the buffer is stored now, whether it was sent before the broker died or handed back by close().
  expect((await next.admin.getQueue('q')).totals.total).toBe(buffered)
})
