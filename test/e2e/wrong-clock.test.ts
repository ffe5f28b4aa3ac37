/** Brokers whose wall clock is wrong, or put right while they run: a drain ends all the same. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { type Instance, startInstance } from '../support/instance.ts'
import { endLeftovers, temporaryDatabase } from '../support/leftovers.ts'
import { until } from '../support/until.ts'

afterEach(endLeftovers)

const SHIFTED = new URL('../support/shifted-clock.mjs', import.meta.url).href
const ENDS_MS_MAX = 20_000
const TWO_MINUTES_MS = 120_000
const BUFFERED_MIN = 50
/** A steady load, not a queue of requests. */
const LOAD_PAUSE_MS = 20

/** A clock that is ahead until it is set right. */
async function shifted(aheadMs: number) {
  const directory = await mkdtemp(join(tmpdir(), 'queen-clock-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const file = join(directory, 'shifted')
  await writeFile(file, '')
  return {
    env: { NODE_OPTIONS: `--import=${SHIFTED}`, SHIFT_AHEAD_MS: String(aheadMs), SHIFT_WHILE: file },
    setRight: () => rm(file),
  }
}

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
    const clock = await shifted(TWO_MINUTES_MS)
    const instance = await startInstance({ databaseUrl: await temporaryDatabase(), env: clock.env })
    await instance.api.maintenance(true)
    expect(await push(instance, 'before')).toBe('buffered')
    await instance.kill9()
    await clock.setRight()
    await instance.start()
    expect(await push(instance, 'after')).toBe('buffered')
    await instance.api.maintenance(false)
    await drained(instance)
    expect(await delivered(instance)).toEqual(['before', 'after'])
  })

  test('that is set back while the broker runs', async () => {
    const clock = await shifted(TWO_MINUTES_MS)
    const instance = await startInstance({ databaseUrl: await temporaryDatabase(), env: clock.env })
    await instance.api.maintenance(true)
    expect(await push(instance, 'before')).toBe('buffered')
    await clock.setRight()
    expect(await push(instance, 'after')).toBe('buffered')
    await instance.api.maintenance(false)
    await drained(instance)
    expect(await delivered(instance)).toEqual(['before', 'after'])
  })

  test('that is far from the others, under a steady load', async () => {
    const databaseUrl = await temporaryDatabase()
    const clock = await shifted(TWO_MINUTES_MS)
    const instances = [
      await startInstance({ databaseUrl, env: { ...clock.env, INSTANCE_ID: 'ahead' } }),
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
        await pause(LOAD_PAUSE_MS)
      }
    })
    for (const instance of instances)
      await until('each has buffered', async () => (await instance.buffered()) >= BUFFERED_MIN)
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

  test('that is ahead does not make a short window forget an instance that died in it', async () => {
    const databaseUrl = await temporaryDatabase()
    const clock = await shifted(TWO_MINUTES_MS)
    const ahead = await startInstance({ databaseUrl, env: { ...clock.env, INSTANCE_ID: 'ahead' } })
    const right = await startInstance({ databaseUrl, env: { INSTANCE_ID: 'right' } })
    await until('both are known', async () => {
      const { body } = await ahead.api.maintenance()
      return body.instances.filter((each: { live: boolean }) => each.live).length === 2
    })
    await ahead.api.maintenance(true)
    expect(await push(right, 'first')).toBe('buffered')
    await right.kill9()
    expect(await push(ahead, 'second')).toBe('buffered')
    await ahead.api.maintenance(false)
    // Its own record has left its buffer: it was stored, or it waits for the dead one's.
    await until('its own buffer is empty', async () => (await ahead.buffered()) === 0)
    expect(await push(ahead, 'third')).toBe('buffered')
    await right.start()
    await drained(ahead)
    expect(await delivered(ahead)).toEqual(['first', 'second', 'third'])
  })
})
