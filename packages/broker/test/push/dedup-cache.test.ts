import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KEY_BYTES } from '../../src/engine/format/transaction-key.ts'
import { DedupCache, type PartitionKeys } from '../../src/engine/push/dedup-cache.ts'
import { learn } from '../../src/engine/push/learn-keys.ts'

function keyNumber(number: number, time = 0): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  key.writeUIntBE(time, 0, 6)
  key.writeUInt32BE(number, 12)
  return key
}

const keysOf = (numbers: readonly number[], time = 0) => Buffer.concat(numbers.map((number) => keyNumber(number, time)))

/** Keys that mixing would give one mark if it began where it does not: the last word takes back what the others did. */
function madeToMeet(number: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES)
  key.writeUInt32LE(number, 8)
  let mixed = 0x9e3779b9
  for (let at = 0; at < 12; at += 4) {
    mixed = Math.imul(mixed ^ key.readInt32LE(at), 0x85ebca6b)
    mixed ^= mixed >>> 15
  }
  key.writeInt32LE(mixed, 12)
  return key
}

/** Says whether the memory knows, or admits not to know, that `key` lies at `offset`. */
function covers(known: PartitionKeys, key: Buffer, offset: number): boolean {
  return offset >= known.to || offset < known.blindUpTo(key, 0) || known.find(key, 0, []).includes(offset)
}

describe('the memory of keys', () => {
  test('G3 never misses a key inside the window of what it claims to know', () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('store' as const),
          count: fc.integer({ min: 1, max: 40 }),
          time: fc.integer({ min: 0, max: 3 }),
        }),
      },
      // Another instance stored it: told in order, or not at all (a lost answer) and found as a gap later.
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('other' as const),
          count: fc.integer({ min: 1, max: 40 }),
          time: fc.integer({ min: 0, max: 3 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('wait' as const),
          count: fc.integer({ min: 1, max: 30_000 }),
          time: fc.constant(0),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('trim' as const),
          count: fc.integer({ min: 0, max: 3 }),
          time: fc.constant(0),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('blunder' as const),
          count: fc.integer({ min: 1, max: 40 }),
          time: fc.constant(1),
        }),
      },
    )
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), (steps) => {
        let nowMs = 0
        const cache = new DedupCache(Number.MAX_SAFE_INTEGER, () => nowMs)
        const known = cache.partition('p', 60)
        const log: { key: Buffer; offset: number; atMs: number }[] = []
        let unseenFrom = 0
        let serial = 0
        const segments: { first: number; keys: Buffer; atMs: number }[] = []
        const append = (count: number, time: number) => {
          const first = log.length
          const keys = keysOf(
            Array.from({ length: count }, () => serial++),
            time,
          )
          for (let i = 0; i < count; i++)
            log.push({ key: keys.subarray(i * 16, i * 16 + 16), offset: first + i, atMs: nowMs })
          segments.push({ first, keys, atMs: nowMs })
          return { first, keys }
        }
        for (const { do: what, count, time } of steps) {
          if (what === 'wait') nowMs += count
          else if (what === 'trim') for (let i = 0; i < count; i++) known.dropOldest()
          else if (what === 'other') append(count, time)
          else if (what === 'blunder') {
            // Somebody forgets to tell of a gap.
            const { first, keys } = append(count, time)
            known.add(first, keys)
            unseenFrom = segments.length
          } else {
            // As a flush does: what lies between inside the window is told, then its own.
            const { first, keys } = append(count, time)
            for (const segment of segments.slice(unseenFrom, -1)) {
              if (nowMs - segment.atMs <= 60_000) learn(known, segment.first, segment.keys)
            }
            learn(known, first, keys)
            unseenFrom = segments.length
          }
          const missed = log.find(
            ({ key, offset, atMs }) =>
              (nowMs - atMs <= 60_000 || offset >= known.heldFrom) && !covers(known, key, offset),
          )
          expect(missed).toBe(undefined)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('finds a key of each of half a million, and mistakes hardly any other', () => {
    const cache = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0)
    const known = cache.partition('p', 3600)
    const count = 500_000
    for (let first = 0; first < count; first += 5_000) {
      learn(known, first, keysOf(Array.from({ length: 5_000 }, (_, i) => first + i)))
    }
    const found: number[] = []
    let wrong = 0
    for (let number = 0; number < count; number += 7) {
      if (!known.find(keyNumber(number), 0, found).includes(number)) throw new Error(`missed ${number}`)
    }
    for (let number = count; number < 2 * count; number++) wrong += known.find(keyNumber(number), 0, found).length
    // Half a million look-ups among half a million with 45 bits: one in a hundred runs would see one.
    expect(wrong).toBeLessThanOrEqual(2)
    expect(cache.bytes / count).toBeLessThan(24)
  })

  test('G3 finds every key where it lies, however the times at the front of the keys rise, fall, repeat or jump', () => {
    const run = fc.record({
      segments: fc.integer({ min: 1, max: 12 }),
      count: fc.constantFrom(1, 60, 767, 768, 2_000, 9_000),
      // Of one segment to the next; the last two take the ids for such that carry no time.
      step: fc.constantFrom(0, 1, 250, -1, -250, 2 ** 32, -(2 ** 33)),
      // Within a segment.
      spread: fc.constantFrom(1, 3, 40),
    })
    // Of 45 bits, one in a thousand runs would see one.
    let wrong = 0
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 5 }), (runs) => {
        const known = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0).partition('p', 3600)
        const timeOf = new Map<number, number>()
        const found: number[] = []
        let time = 2 ** 47
        let next = 0
        for (const { segments, count, step, spread } of runs) {
          for (let segment = 0; segment < segments; segment++) {
            time += step
            const keys = Array.from({ length: count }, (_, i) => {
              timeOf.set(next + i, time + (i % spread))
              return keyNumber(next + i, time + (i % spread))
            })
            // A flush looks for each before it is stored.
            for (const key of keys.slice(0, 200)) wrong += known.find(key, 0, found).length
            known.add(next, Buffer.concat(keys))
            next += count
          }
        }
        expect(known.to).toBe(next)
        for (let offset = 0; offset < next; offset += 1 + (offset % 3)) {
          const places = known.find(keyNumber(offset, timeOf.get(offset)), 0, found)
          if (!places.includes(offset)) throw new Error(`offset ${offset} of ${next} is found at ${places}`)
          wrong += places.length - 1
        }
      }),
      { numRuns: 60 },
    )
    expect(wrong).toBeLessThanOrEqual(2)
  })

  test('keys that carry their time take few bytes, and no more when their times repeat', () => {
    for (const timeOf of [(i: number) => i, (i: number) => i % 5_000]) {
      const cache = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0)
      const known = cache.partition('p', 3600)
      const found: number[] = []
      for (let first = 0; first < 200_000; first += 500) {
        const keys = Array.from({ length: 500 }, (_, i) => keyNumber(first + i, timeOf(first + i)))
        for (const key of keys) known.find(key, 0, found)
        known.add(first, Buffer.concat(keys))
      }
      expect(cache.bytes / 200_000).toBeLessThan(12.5)
    }
  })

  test('G9 keys that carry their time take no more room behind keys that do not', () => {
    const cache = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0)
    const known = cache.partition('p', 3600)
    const add = (count: number, timeOf: (offset: number) => number) => {
      const first = known.to
      known.add(first, Buffer.concat(Array.from({ length: count }, (_, i) => keyNumber(first + i, timeOf(first + i)))))
    }
    add(196_608, (offset) => (offset % 2) * 2 ** 40)
    const before = cache.bytes
    add(10 * 24_576, (offset) => 2 ** 40 + offset)
    // The first of them begins as large as the one before it.
    expect(cache.bytes - before).toBeLessThan(2.2 * before)
  })

  test('G9 keys of UUIDs made in sequence, of short counters and of ids made to meet spread as well as random ones', () => {
    for (const key of [
      (i: number) => keyNumber(i),
      (i: number) => keyNumber(i & 0xffff, i),
      (i: number) => Buffer.from(`00000000${(i * 16).toString(16).padStart(24, '0')}`, 'hex'),
      madeToMeet,
    ]) {
      const cache = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0)
      const known = cache.partition('p', 3600)
      known.add(0, Buffer.concat(Array.from({ length: 100_000 }, (_, i) => key(i))))
      const found: number[] = []
      const before = process.cpuUsage()
      for (let i = 0; i < 100_000; i++) known.find(key(i), 0, found)
      // Tens of milliseconds; a table whose slots cluster takes many seconds of CPU, however busy the machine is.
      expect(process.cpuUsage(before).user).toBeLessThan(2_000_000)
      expect(found).toEqual([99_999])
    }
  })

  test('G9 keeps under its limit, oldest partitions first, and still knows what time-ordered ids cannot be', () => {
    let nowMs = 0
    const limit = 1024 * 1024
    const cache = new DedupCache(limit, () => nowMs)
    for (let p = 0; p < 40; p++) {
      nowMs += 10
      cache.partition(`p${p}`, 3600).add(
        0,
        keysOf(
          Array.from({ length: 10_000 }, (_, i) => i),
          1_000 + p,
        ),
      )
      cache.trim()
      expect(cache.bytes).toBeLessThanOrEqual(limit)
    }
    const oldest = cache.partition('p0', 3600)
    expect(oldest.find(keyNumber(5, 1_000), 0, [])).toEqual([])
    expect(oldest.blindUpTo(keyNumber(5, 1_000), 0)).toBe(10_000)
    expect(oldest.blindUpTo(keyNumber(5, 999), 0)).toBe(0)
    expect(oldest.blindUpTo(keyNumber(5, 1_001), 0)).toBe(0)
    const newest = cache.partition('p39', 3600)
    expect(newest.find(keyNumber(5, 1_039), 0, [])).toEqual([5])
    expect(newest.blindUpTo(keyNumber(5, 1_039), 0)).toBe(0)
  })

  test('G9 two hundred thousand partitions are remembered at most, the one created first is forgotten', () => {
    const cache = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0)
    const [first, second] = ['0', '1'].map((id) => cache.partition(id, 60))
    for (const known of [first!, second!]) known.add(0, keysOf([1]))
    const bytes = cache.bytes
    for (let id = 2; id <= 200_000; id++) cache.partition(String(id), 60)
    expect(cache.bytes).toBe(bytes / 2)
    expect([first!.find(keyNumber(1), 0, []), second!.find(keyNumber(1), 0, [])]).toEqual([[], [0]])
    expect(cache.partition('1', 60)).toBe(second)
  })

  test('what leaves the window is dropped, and a drain is told that it is not held any more', () => {
    let nowMs = 0
    const cache = new DedupCache(Number.MAX_SAFE_INTEGER, () => nowMs)
    const known = cache.partition('p', 100)
    learn(known, 0, keysOf([1, 2, 3]))
    nowMs = 50_000
    learn(known, 3, keysOf([4, 5]))
    const bytes = cache.bytes
    nowMs = 100_001
    known.expire(nowMs)
    expect(cache.bytes).toBeLessThan(bytes)
    expect([known.find(keyNumber(1), 0, []), known.find(keyNumber(4), 0, [])]).toEqual([[], [3]])
    expect([known.heldFrom, known.blindUpTo(keyNumber(1), 0), known.to]).toEqual([3, 0, 5])
    nowMs = 1_000_000
    known.expire(nowMs)
    expect([cache.bytes, known.heldFrom, known.to]).toEqual([0, 5, 5])
  })

  test('G3 a key is kept until it has left the window, however long the generation it lies in has been open', () => {
    let nowMs = 0
    const known = new DedupCache(Number.MAX_SAFE_INTEGER, () => nowMs).partition('p', 60)
    known.add(0, keysOf([1]))
    nowMs = 14_000
    known.add(1, keysOf([2]))
    nowMs = 61_000
    known.add(2, keysOf([3]))
    expect(known.find(keyNumber(2), 0, [])).toEqual([1])
  })

  test.each([
    ['rise', 1],
    ['fall', -1],
  ])(
    'G3 of keys dropped long ago it admits not to know them, however many were dropped since (their times %s)',
    (_, sign) => {
      const known = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0).partition('p', 3600)
      // So far apart that no two share a generation.
      const offsetOf = (number: number) => number * 600_000
      const timeOf = (number: number) => 1_000 + sign * number
      for (let number = 0; number < 40; number++) {
        known.skipTo(offsetOf(number))
        known.add(offsetOf(number), keysOf([number], timeOf(number)))
      }
      for (let dropped = 0; dropped < 36; dropped++) expect(known.dropOldest()).toBe(true)
      for (let number = 0; number < 40; number++) {
        expect(covers(known, keyNumber(number, timeOf(number)), offsetOf(number)), `key ${number}`).toBe(true)
      }
      expect(known.blindUpTo(keyNumber(0, timeOf(-1)), 0)).toBe(0)
    },
  )

  test('G3 a key is found where it lies, also far behind the one stored before it', () => {
    const known = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0).partition('p', 3600)
    known.add(0, keysOf([1]))
    known.skipTo(600_000)
    known.add(600_000, keysOf([2]))
    expect([1, 2].map((number) => known.find(keyNumber(number), 0, []))).toEqual([[0], [600_000]])
  })

  test('another window, a deleted partition and a restored database forget all of it', () => {
    const cache = new DedupCache(Number.MAX_SAFE_INTEGER, () => 0)
    const first = cache.partition('p', 60)
    first.add(0, keysOf([1]))
    const second = cache.partition('p', 61)
    expect([second.to, cache.bytes]).toEqual([0, 0])
    // An answer that comes late for the old memory is not accounted for.
    first.add(0, keysOf([1, 2]))
    expect(cache.bytes).toBe(0)
    second.add(0, keysOf([1]))
    cache.forget('p')
    expect(cache.bytes).toBe(0)
    const third = cache.partition('p', 61)
    learn(third, 0, keysOf([1, 2]))
    third.reset()
    expect([third.to, third.find(keyNumber(1), 0, []), cache.bytes]).toEqual([0, [], 0])
  })
})
