/** When leases get time back, and how much of it: a clock and statements that do as they are told. */
import { expect, it } from 'vitest'
import { LeaseCredit } from '../../src/engine/settle/lease-credit.ts'
import { StoreError, type StoreFailure } from '../../src/ports/store-error.ts'

function scene() {
  let nowMs = 10_000
  const credited: number[] = []
  const credit = new LeaseCredit(
    async (ms) => credited.push(ms),
    () => nowMs,
  )
  return {
    credit,
    credited,
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
