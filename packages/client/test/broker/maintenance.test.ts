/** A maintenance window as a producer and a consumer of the client see it. */
import { expect, test } from 'vitest'
import { rejection, testClient } from '../support/client.ts'
import { realBroker } from './real-broker.ts'

const broker = realBroker()

test('G2, G4: pushes are buffered, nothing is lost or reordered, transactions with pushes say so', async () => {
  // One attempt: the broker asks to come back after seconds, and this test wants to see the refusal itself.
  const { queen } = testClient(broker.url, { retryAttempts: 1 })
  const queue = queen.queue('jobs')
  await queue.push([0, 1, 2])
  const on = await queen.admin.setMaintenanceMode(true, { reason: 'add a column' })
  expect(on).toMatchObject({ maintenanceMode: true, safeToMigrate: true, reason: 'add a column' })
  await queen.admin.waitForMaintenance('maintenance')

  const results = await queue.push([3, 4])
  expect(results.counts).toMatchObject({ buffered: 2 })
  expect(await queen.admin.getMaintenanceMode()).toMatchObject({ phase: 'maintenance', bufferedMessages: 2 })
  const [first] = await queue.wait(false).pop()
  const transaction = queen.transaction().ack(first!).queue('next').push('x')
  expect(await rejection(transaction.commit())).toMatchObject({
    name: 'QueenUnavailableError',
    code: 'MAINTENANCE',
    retryable: true,
  })
  expect(await queen.ack(first!, 'retry')).toMatchObject({ success: true })

  expect(await queen.admin.setMaintenanceMode(false)).toMatchObject({ maintenanceMode: false })
  await queue.push([5])
  const normal = await queen.admin.waitForMaintenance('normal', { intervalMillis: 20 })
  expect(normal).toMatchObject({ phase: 'normal', bufferedMessages: 0 })
  const seen: unknown[] = []
  await queen
    .queue('jobs')
    .limit(6)
    .batch(10)
    .consume((messages) => void seen.push(...messages.map(({ data }) => data)))
  expect(seen).toEqual([0, 1, 2, 3, 4, 5])
})

test('what operators ask', async () => {
  const { admin } = testClient(broker.url).queen
  expect(await admin.health()).toMatchObject({ status: 'healthy', database: 'connected', version: expect.any(String) })
  expect(await admin.metrics()).toHaveProperty('uptime')
  expect(await admin.prometheusMetrics()).toContain('queen_uptime_seconds')
  expect(await admin.getBuffers()).toMatchObject({ pending: 0, failed: 0 })
  expect(await admin.listQuarantine()).toMatchObject({ records: [], total: 0 })
  expect(await admin.retryQuarantine({ all: true })).toEqual({ matched: 0, done: 0, failed: [] })
  expect(await admin.setPopMaintenanceMode(true)).toMatchObject({ popMaintenanceMode: true })
  expect(await admin.setPopMaintenanceMode(false)).toMatchObject({ popMaintenanceMode: false })
})
