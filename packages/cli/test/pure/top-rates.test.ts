/** The rates of `top`: those of the newest whole minute that was measured, and unknown where nothing was measured lately. */
import type { Queen } from '@queen/client'
import { expect, test } from 'vitest'
import { collect } from '../../src/top/collect.ts'

const at = (time: string): number => Date.parse(`2026-11-23T${time}Z`)

/** @param minutes rate by minute of queue `orders` */
function queenWith(minutes: Readonly<Record<string, number>>): Queen {
  const series = Object.entries(minutes).map(([minute, pushPerSecond]) => ({
    bucket: `2026-11-23T${minute}:00Z`,
    queueName: 'orders',
    pushPerSecond,
    ackFailed: 0,
  }))
  return {
    admin: {
      getMaintenanceMode: async () => null,
      getQueueStats: async () => ({ queues: [{ name: 'orders', messages: {}, lagSeconds: null }] }),
      getQueueOps: async () => ({ series }),
      listConsumerGroups: async () => [],
    },
  } as unknown as Queen
}

async function pushRate(minutes: Readonly<Record<string, number>>, now: string): Promise<number | null> {
  const { totals } = await collect(queenWith(minutes), new AbortController().signal, at(now))
  return totals.pushPerSecond
}

test('the last whole minute counts, and the one before until that is stored', async () => {
  expect(await pushRate({ '12:00': 5, '12:01': 7 }, '12:02:30')).toBe(7)
  expect(await pushRate({ '12:00': 5 }, '12:02:01')).toBe(5)
})

test('the minute that is being filled is no rate yet', async () => {
  expect(await pushRate({ '12:01': 7, '12:02': 1 }, '12:02:10')).toBe(7)
  expect(await pushRate({ '12:02': 1 }, '12:02:10')).toBeNull()
})

test('what a queue did minutes ago says nothing about now', async () => {
  expect(await pushRate({ '12:00': 5 }, '12:03:00')).toBeNull()
})
