/** Brokers whose wall clock is wrong, or put right while they run: a drain ends all the same. */
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

const SHIFTED = new URL('../support/shifted-clock.mjs', import.meta.url).href
const ENDS_MS_MAX = 20_000
const TWO_MINUTES_MS = 120_000

const shifted = (aheadMs: number, forMs = Number.POSITIVE_INFINITY) => ({
  NODE_OPTIONS: `--import=${SHIFTED}`,
  SHIFT_AHEAD_MS: String(aheadMs),
  SHIFT_FOR_MS: String(forMs),
})

async function push(to: Instance, transactionId: string): Promise<string> {
  const { body } = await to.api.push([{ queue: 'orders', transactionId }])
  return body[0].status
}

const drained = (instance: Instance) =>
  until('the drain has ended', async () => (await instance.phase()) === 'normal', ENDS_MS_MAX)

async function delivered(instance: Instance): Promise<string[]> {
  const { body } = await instance.api.pop('orders', { batch: 1_000 })
  return body.messages.map((message: { transactionId: string }) => message.transactionId)
}

describe('G2 G4 a wall clock', () => {
  test('that was ahead, and is right after a crash', async () => {
    const instance = await startInstance({ databaseUrl: await temporaryDatabase(), env: shifted(TWO_MINUTES_MS) })
    await instance.api.maintenance(true)
    expect(await push(instance, 'before')).toBe('buffered')
    await instance.kill9()
    await instance.start({ SHIFT_AHEAD_MS: '0' })
    expect(await push(instance, 'after')).toBe('buffered')
    await instance.api.maintenance(false)
    await drained(instance)
    expect(await delivered(instance)).toEqual(['before', 'after'])
  })

  test('that is set back while the broker runs', async () => {
    const FOR_MS = 5_000
    const env = shifted(TWO_MINUTES_MS, FOR_MS)
    const instance = await startInstance({ databaseUrl: await temporaryDatabase(), env })
    await instance.api.maintenance(true)
    expect(await push(instance, 'before')).toBe('buffered')
    await pause(FOR_MS)
    expect(await push(instance, 'after')).toBe('buffered')
    await instance.api.maintenance(false)
    await drained(instance)
    expect(await delivered(instance)).toEqual(['before', 'after'])
  })

  test('that is far from the others, under a steady load', async () => {
    const databaseUrl = await temporaryDatabase()
    const instances = [
      await startInstance({ databaseUrl, env: { ...shifted(TWO_MINUTES_MS), INSTANCE_ID: 'ahead' } }),
      await startInstance({ databaseUrl, env: { INSTANCE_ID: 'right' } }),
    ] as const
    // An instance learns of PostgreSQL's clock with its first heartbeat.
    await until('all are known', async () => {
      const { body } = await instances[1].api.maintenance()
      return body.instances.filter((each: { live: boolean }) => each.live).length === 2
    })
    await instances[1].api.maintenance(true)
    let on = true
    let count = 0
    const loads = instances.map(async (instance) => {
      while (on) {
        await push(instance, `n${count++}`)
        await pause(20)
      }
    })
    await pause(2_000)
    await instances[1].api.maintenance(false)
    const end = await drained(instances[1]).then(
      () => 'normal',
      (error: unknown) => String(error),
    )
    on = false
    await Promise.all(loads)
    expect(end).toBe('normal')
    expect(new Set(await delivered(instances[1])).size).toBe(count)
  })
})
