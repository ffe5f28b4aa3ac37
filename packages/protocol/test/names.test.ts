import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isName, isUuid } from '../src/index.ts'

/** The rule as the contract words it, character by character. */
function obeysTheRule(text: string): boolean {
  const points = [...text].map((char) => char.codePointAt(0)!)
  const forbidden = points.some(
    (point) => point < 0x20 || (point >= 0x7f && point <= 0x9f) || (point >= 0xd800 && point <= 0xdfff),
  )
  return points.length >= 1 && points.length <= 255 && !forbidden
}

describe('names', () => {
  test('are 1 to 255 code points without control characters and lone surrogates', () => {
    const char = fc.oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 2 }),
      fc.constantFrom(
        '\u0000',
        '\u001f',
        ' ',
        '\u007e',
        '\u007f',
        '\u0080',
        '\u009f',
        '\u00a0',
        '\ud800',
        '\udc00',
        '💥',
      ),
    )
    fc.assert(
      fc.property(fc.array(char, { maxLength: 12 }), fc.constantFrom(1, 20, 40), (chars, times) => {
        const text = chars.join('').repeat(times)
        expect(isName(text)).toBe(obeysTheRule(text))
      }),
      { numRuns: 2_000 },
    )
    expect(['x'.repeat(255), '💥'.repeat(255)].map(isName)).toEqual([true, true])
    expect(['', 'x'.repeat(256), '💥'.repeat(256), `${'💥'.repeat(255)}x`, 'x'.repeat(1_000_000)].map(isName)).toEqual(
      Array(5).fill(false),
    )
  })

  test('UUIDs are accepted in any version and case, and nothing else is', () => {
    expect(
      [
        '01a20857-5575-7000-b149-144250048d64',
        '00000000-0000-0000-0000-000000000000',
        'A25F33E1-BD26-4ADB-81EF-0503B3D0D215',
      ].map(isUuid),
    ).toEqual([true, true, true])
    expect(
      [
        '',
        '01a2085755757000b149144250048d64',
        '{01a20857-5575-7000-b149-144250048d64}',
        '01a20857-5575-7000-b149-144250048d6g',
        '01a20857-5575-7000-b149-144250048d64\n',
      ].map(isUuid),
    ).toEqual(Array(5).fill(false))
  })
})
