import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { JsonScanner, JsonSyntaxError } from '../../src/http/wire/json-scanner.ts'

function scannerAccepts(text: Buffer): boolean {
  try {
    const scanner = new JsonScanner(text)
    scanner.skipValue()
    scanner.expectEnd()
    return true
  } catch (error) {
    if (error instanceof JsonSyntaxError) return false
    throw error
  }
}

function parserAccepts(text: Buffer): boolean {
  try {
    // What is no UTF-8 is refused before it is parsed.
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text))
    return true
  } catch {
    return false
  }
}

const white = fc.constantFrom('', ' ', '\n', '\r\n\t', '  ')
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('"', '\\', '\u0000', '\ud800', 'é', '💥', '\u007f'),
)
/** JSON text as people write it and as nobody does. */
const json: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(
      'true',
      'false',
      'null',
      '0',
      '-0',
      '1e5',
      '-1.5E-10',
      '123456789012345678901234567890',
      '0.1',
      '1E+2',
      '""',
      '[]',
      '{}',
    ),
    fc.double({ noDefaultInfinity: true, noNaN: true }).map(String),
    anyText.map((text) => JSON.stringify(text)),
    fc
      .string()
      .map((text) => `"${[...text].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`),
    fc
      .tuple(fc.array(tie('value'), { maxLength: 4 }), white)
      .map(([values, space]) => `[${space}${values.join(`${space},${space}`)}${space}]`),
    fc
      .tuple(fc.array(fc.tuple(anyText, tie('value')), { maxLength: 4 }), white)
      .map(
        ([members, space]) =>
          `{${space}${members.map(([key, value]) => `${JSON.stringify(key)}${space}:${space}${value}`).join(`,${space}`)}${space}}`,
      ),
  ),
})).value

const mutation = fc.record({
  at: fc.nat(),
  how: fc.constantFrom('delete', 'insert', 'replace', 'cut', 'double'),
  byte: fc.oneof(fc.constantFrom(...Buffer.from('{}[]",:\\ u0e.-+tfn\t\u0000')), fc.integer({ min: 0, max: 255 })),
})

function mutate(text: Buffer, changes: readonly { at: number; how: string; byte: number }[]): Buffer {
  let result = text
  for (const { at, how, byte } of changes) {
    const position = result.length === 0 ? 0 : at % result.length
    const before = result.subarray(0, position)
    const after = result.subarray(position)
    if (how === 'delete') result = Buffer.concat([before, after.subarray(1)])
    else if (how === 'insert') result = Buffer.concat([before, Buffer.of(byte), after])
    else if (how === 'replace') result = Buffer.concat([before, Buffer.of(byte), after.subarray(1)])
    else if (how === 'cut') result = Buffer.from(before)
    else result = Buffer.concat([before, before, after])
  }
  return result
}

describe('JsonScanner', () => {
  test('accepts exactly what JSON.parse accepts', () => {
    fc.assert(
      fc.property(json, fc.array(mutation, { maxLength: 3 }), (text, changes) => {
        const bytes = mutate(Buffer.from(text), changes)
        expect(scannerAccepts(bytes)).toBe(parserAccepts(bytes))
      }),
      { numRuns: 6_000 },
    )
  })

  test('accepts every single-byte and refuses every cut of a text with all constructs', () => {
    const text = Buffer.from('{"a":[1,-2.5e+3,true,false,null,"\\u00e9\\n\\"",{"é":[]}],"b":{}}')
    expect(scannerAccepts(text)).toBe(true)
    for (let end = 0; end < text.length; end++) expect(scannerAccepts(text.subarray(0, end))).toBe(false)
    for (let at = 0; at < text.length; at++) {
      for (const byte of [0, 0x0a, 0x20, 0x22, 0x2c, 0x30, 0x5c, 0x5d, 0x7d, 0x7f, 0x80, 0xc3, 0xff]) {
        const changed = Buffer.from(text)
        changed[at] = byte
        expect(scannerAccepts(changed), changed.toString()).toBe(parserAccepts(changed))
      }
    }
  })

  test('decodes strings as JSON.parse does', () => {
    fc.assert(
      fc.property(anyText, fc.boolean(), (text, beside) => {
        const literal = JSON.stringify(text)
        const bytes = Buffer.from(beside ? `["é",${literal}]` : `["e",${literal}]`)
        const scanner = new JsonScanner(bytes)
        scanner.enterArray()
        scanner.skipString()
        scanner.nextElement()
        scanner.skipString()
        expect(scanner.stringValue()).toBe(JSON.parse(literal))
        expect(scanner.stringIs('"')).toBe(text === '"')
      }),
      { numRuns: 2_000 },
    )
  })

  test('reads numbers of any size as JSON.parse does', () => {
    for (const text of [
      '0',
      '-0',
      '1e400',
      '-1e-400',
      '9007199254740993',
      `${'9'.repeat(100_000)}`,
      `0.${'1'.repeat(100_000)}`,
    ]) {
      expect(new JsonScanner(Buffer.from(` ${text} `)).readNumber()).toBe(JSON.parse(text))
    }
  })

  test('G9 nests a hundred thousand levels deep without recursion', () => {
    const depth = 100_000
    const text = `${'[{"a":'.repeat(depth)}1${'}]'.repeat(depth)}`
    expect(scannerAccepts(Buffer.from(text))).toBe(true)
    expect(scannerAccepts(Buffer.from(text.slice(0, -1)))).toBe(false)
    expect(scannerAccepts(Buffer.from('['.repeat(1_000_000)))).toBe(false)
  })

  test('refuses what is not UTF-8, surrogates and over-long forms included', () => {
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc3, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
      [0x22, 0xc0, 0x80, 0x22],
      [0xef, 0xbb, 0xbf, 0x31],
    ]) {
      expect(scannerAccepts(Buffer.from(bytes))).toBe(false)
    }
  })

  test('tells the escape \\u0000, in any spelling of its surroundings, from what only looks like it', () => {
    const saw = (text: string) => {
      const scanner = new JsonScanner(Buffer.from(text))
      scanner.skipValue()
      return scanner.sawNulEscape
    }
    expect(['"\\u0000"', '{"\\u0000":1}', '["\\\\\\u0000"]', '"a\\u0000b"'].map(saw)).toEqual([true, true, true, true])
    expect(['"\\\\u0000"', '"\\u0001"', '"u0000"', '"\\u0100"'].map(saw)).toEqual([false, false, false, false])
  })

  test('reads the beginning of a string like the whole of it', () => {
    const escaped = (text: string) =>
      `"${Array.from(text, (char, at) => (at % 2 === 0 ? JSON.stringify(char).slice(1, -1) : units(char))).join('')}"`
    const units = (char: string) =>
      char
        .split('')
        .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
        .join('')
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 8 }), fc.nat(12), fc.boolean(), (pieces, unitsMax, withUnits) => {
        const text = pieces.join('')
        const scanner = new JsonScanner(Buffer.from(withUnits ? escaped(text) : JSON.stringify(text)))
        scanner.skipString()
        expect(scanner.stringBeginning(unitsMax)).toBe(text.slice(0, unitsMax))
      }),
    )
  })
})
