import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Arrival, Arrivals, nextArrival } from '../src/engine/arrivals.ts'

const came = (count: number): Arrival[] => Array.from({ length: count }, () => ({ arrival: nextArrival() }))

describe('arrivals', () => {
  test('behave like a set that is kept in the order of arrival', () => {
    const commands = fc.array(fc.record({ add: fc.boolean(), which: fc.nat(15) }), { maxLength: 200 })
    fc.assert(
      fc.property(commands, (list) => {
        const all = came(16)
        const model = new Set<Arrival>()
        const arrivals = new Arrivals<Arrival>()
        for (const { add, which } of list) {
          const item = all[which]!
          if (add) {
            arrivals.add(item)
            model.add(item)
          } else expect(arrivals.delete(item)).toBe(model.delete(item))
          const expected = all.filter((each) => model.has(each))
          expect([...arrivals]).toEqual(expected)
          expect([arrivals.size, arrivals.first, arrivals.last]).toEqual([
            expected.length,
            expected[0],
            expected.at(-1),
          ])
        }
        arrivals.clear()
        expect([arrivals.size, [...arrivals]]).toEqual([0, []])
      }),
    )
  })

  test('whoever leaves while they are gone through is passed over, whoever comes is met', () => {
    const [a, b, c, d, e, f] = came(6) as [Arrival, Arrival, Arrival, Arrival, Arrival, Arrival]
    const arrivals = new Arrivals<Arrival>()
    for (const item of [a, b, c, d, e]) arrivals.add(item)
    const met: Arrival[] = []
    for (const item of arrivals) {
      met.push(item)
      if (item === b) for (const gone of [a, b, c]) arrivals.delete(gone)
      if (item === e) arrivals.add(f)
    }
    expect(met).toEqual([a, b, d, e, f])
  })
})
