/** When leases get time back, and how much of it: a clock and statements that do as they are told. */
import { expect, it } from 'vitest'
import { LeaseCredit } from '../../src/engine/settle/lease-credit.ts'
import { StoreError, type StoreFailure } from '../../src/ports/store-error.ts'

function scene() {
  let nowMs = 10_000
  const credited: number[] = []
  const endedAgo: number[] = []
  /** What asks whether cursors can be written; unless told otherwise they cannot. */
  const probe = { answer: (): Promise<void> => Promise.reject(new StoreError('locked', 'no')) }
  const credit = new LeaseCredit({
    async credit(outageMs, endedMsAgo) {
      credited.push(outageMs)
      endedAgo.push(endedMsAgo)
    },
    probe: () => probe.answer(),
    nowMs: () => nowMs,
  })
  return {
    credit,
    credited,
    endedAgo,
    probe,
    pass: (ms: number) => {
      nowMs += ms
    },
    works: () => credit.around(async () => {}),
    fails: (failure: StoreFailure) =>
      credit.around(() => Promise.reject(new StoreError(failure, 'no'))).catch(() => {}),
  }
}

it.each(['unavailable', 'locked', 'read_only'] as const)(
  'after some seconds of %s, before the next statement',
  async (failure) => {
    const { credited, fails, pass, works } = scene()
    await fails(failure)
    pass(3_000)
    await works()
    expect(credited).toEqual([3_000])
    await works()
    expect(credited).toEqual([3_000])
  },
)

it('not after a conflict, a refusal or a moment', async () => {
  const { credited, fails, pass, works } = scene()
  for (const failure of ['conflict', 'rejected', 'defect'] as const) {
    await fails(failure)
    pass(5_000)
    await works()
  }
  await fails('unavailable')
  pass(1_000)
  await works()
  expect(credited).toEqual([])
})

it('for the whole time of a database that comes and goes, and not for a lock beside which others work', async () => {
  const { credited, fails, pass, works } = scene()
  for (let i = 0; i < 3; i++) {
    await fails('unavailable')
    pass(1_000)
    await works()
    pass(500)
  }
  await fails('unavailable')
  pass(100)
  await works()
  expect(credited).toEqual([2_500, 1_600])
  for (let i = 0; i < 10; i++) {
    await fails('locked')
    pass(1_000)
    await works()
    pass(100)
  }
  expect(credited).toEqual([2_500, 1_600])
})

it.each(['unavailable', 'locked', 'read_only'] as const)(
  'not for the time after %s in which nobody asked',
  async (failure) => {
    const { credited, endedAgo, fails, pass, works } = scene()
    await fails(failure)
    pass(1_000)
    await fails(failure)
    pass(60_000)
    await works()
    expect([credited, endedAgo]).toEqual([[4_000], [57_000]])
    // Nor for what lies between two of them.
    await fails(failure)
    pass(60_000)
    await fails(failure)
    pass(2_000)
    await works()
    expect(credited).toEqual([4_000, 3_000, 2_000])
  },
)

it('for the whole time in which PostgreSQL was known to be away, as soon as it is back', async () => {
  const { credit, credited, endedAgo, fails, pass, works } = scene()
  credit.setAvailable(false)
  // An answer that was on its way.
  credit.databaseAnswered()
  pass(600_000)
  await fails('unavailable')
  pass(600_000)
  credit.setAvailable(true)
  expect([credited, endedAgo]).toEqual([[1_202_000], [0]])
  pass(60_000)
  await works()
  expect(credited).toHaveLength(1)
})

it('until the first answer of the database, whoever asked', async () => {
  const { credit, credited, endedAgo, fails, pass, works } = scene()
  await fails('unavailable')
  await fails('unavailable')
  pass(2_000)
  credit.databaseAnswered()
  pass(60_000)
  await works()
  expect([credited, endedAgo]).toEqual([[2_000], [0]])
  // Reads go on beside a lock.
  await fails('locked')
  await fails('locked')
  credit.databaseAnswered()
  pass(3_000)
  await works()
  expect(credited).toEqual([2_000, 3_000])
})

it.each(['unavailable', 'locked'] as const)(
  'not when cursors can be written: that statement was too heavy, met a locked row or lost its connection (%s)',
  async (failure) => {
    const { credited, fails, pass, probe, works } = scene()
    probe.answer = async () => {}
    for (let i = 0; i < 3; i++) {
      await fails(failure)
      pass(5_000)
      await works()
    }
    expect(credited).toEqual([])
  },
)

it('until what the probe had to wait for is over', async () => {
  const { credited, endedAgo, fails, pass, probe } = scene()
  const { promise, resolve } = Promise.withResolvers<void>()
  probe.answer = () => promise
  await fails('locked')
  // Comes after the probe was given up.
  await fails('locked')
  pass(4_000)
  resolve()
  await promise
  expect([credited, endedAgo]).toEqual([[4_000], [0]])
})

it('again and again until it is written, and no statement goes before it', async () => {
  let nowMs = 0
  let down = true
  const asked: string[] = []
  const credit = new LeaseCredit({
    async credit(outageMs, endedMsAgo) {
      if (down) throw new StoreError('locked', 'no')
      asked.push(`credit of ${outageMs} until ${nowMs - endedMsAgo}`)
    },
    probe: () => Promise.reject(new StoreError('locked', 'no')),
    nowMs: () => nowMs,
  })
  const statement = (): Promise<void> =>
    credit
      .around(async () => {
        if (down) throw new StoreError('locked', 'no')
        asked.push('statement')
      })
      .catch(() => {})
  for (; nowMs < 10_000; nowMs += 1_000) await statement()
  down = false
  await statement()
  const credited = asked.filter((each) => each !== 'statement')
  expect(asked.at(-1)).toBe('statement')
  expect(asked.filter((each) => each === 'statement')).toHaveLength(1)
  expect(credited.map((each) => Number(each.split(' ')[2])).reduce((sum, each) => sum + each)).toBe(10_000)
})
