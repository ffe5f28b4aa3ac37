import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { crc32, crc32Table } from '../src/crc32.ts'

it('both ways of computing a checksum agree with zlib for any range and seed', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400, size: 'max' }),
      fc.nat(40),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      (array, skip, seed) => {
        const bytes = Buffer.from(array)
        const start = Math.min(skip, bytes.length)
        const expected = zlibCrc32(bytes.subarray(start), seed)
        expect(crc32(bytes, start, bytes.length, seed)).toBe(expected)
        expect(crc32Table(bytes, start, bytes.length, seed)).toBe(expected)
      },
    ),
  )
})
