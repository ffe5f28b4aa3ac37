/** Whose a name is, by what is heard under it. */
import { expect, test } from 'vitest'
import type { Log } from '../../src/ports/log.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { type Holder, NameTaken, OwnName } from '../../src/services/own-name.ts'

const holder = (lastSeenAt: string, isCopy = false): Holder => ({
  isCopy,
  id: 'q',
  hostname: 'there',
  pid: 7,
  startedAt: '',
  lastSeenAt,
  silentMs: 0,
  quarantined: 0,
  report: {},
})

/** Each heartbeat finds the next of these; the last one for good. */
function named(...found: (Holder | StoreError | null)[]) {
  const errors: string[] = []
  const log: Log = { debug() {}, info() {}, warn() {}, error: (_, text) => errors.push(text) }
  let nowMs = 0
  const heartbeat = async () => {
    const next = found.length > 1 ? found.shift()! : found[0]!
    if (next instanceof StoreError) throw next
    return next
  }
  const name = new OwnName({ heartbeat, nowMs: () => nowMs, log })
  return { name, errors, later: (ms: number) => (nowMs += ms) }
}

test('it is taken when its holder is heard again', async () => {
  const { name } = named(holder('1'), holder('1'), holder('2'))
  const refusal = await name.claim().catch((error) => error)
  expect(refusal).toBeInstanceOf(NameTaken)
  expect(refusal).toMatchObject({ exitCode: 2, message: expect.stringContaining('process 7 on there') })
  expect(name.held).toBe(false)
})

test('it is free when nobody holds it, or its holder falls silent', async () => {
  for (const found of [[null], [holder('1'), holder('1'), null]]) {
    const { name } = named(...found)
    await name.claim()
    expect(name.held).toBe(true)
  }
})

test('without PostgreSQL nobody is refused; who came second says so later, not with each heartbeat', async () => {
  const { name, errors, later } = named(new StoreError('unavailable', 'gone'), holder('1'))
  await name.claim()
  expect(name.held).toBe(false)
  await name.beat()
  later(59_000)
  await name.beat()
  expect(errors).toEqual([expect.stringContaining('another instance goes by the INSTANCE_ID q')])
  later(2_000)
  await name.beat()
  expect(errors).toHaveLength(2)
})

test('a process on a copy of the directory is told of, and takes no name away', async () => {
  const { name, errors, later } = named(holder('1', true))
  await name.claim()
  expect(name.held).toBe(true)
  for (let minutes = 0; minutes < 2; minutes++) {
    await name.beat()
    await name.beat()
    later(61_000)
  }
  expect(errors).toEqual(Array(2).fill(expect.stringContaining('two brokers must not run on copies of one directory')))
})

test('it is reported at once when there is something to tell, and else after the pause', async () => {
  const { name } = named(null)
  let told = Promise.withResolvers<void>()
  const { beat } = name
  name.beat = async () => {
    await beat.call(name)
    told.resolve()
  }
  const heartbeat = name.periodically(3_600_000, () => {})
  heartbeat.start()
  await told.promise
  told = Promise.withResolvers<void>()
  heartbeat.nudge()
  await told.promise
  await heartbeat.stop()
})
