/** Payloads are shown as they were stored, character by character. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonText, jsonCodec, textOf } from '../../src/json/json-codec.ts'
import { indented, jsonTree } from '../../src/json/json-tree.ts'

describe('jsonTree', () => {
  it('keeps what JavaScript values would lose', () => {
    const text = '{ "big": 12345678901234567890, "one": 1.0, "a": 1, "a": 2, "2": 0, "1": 0, "u": "\\u00e9" }'
    const root = jsonTree(text)
    expect(root.children.map(({ key, start, end }) => `${key}=${text.slice(start, end)}`)).toEqual([
      '"big"=12345678901234567890',
      '"one"=1.0',
      '"a"=1',
      '"a"=2',
      '"2"=0',
      '"1"=0',
      '"u"="\\u00e9"',
    ])
  })

  it('reads all that JSON.stringify writes, and indents it to the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 1, '\t'), (value, space) => {
        const text = JSON.stringify(value, null, space)
        const node = jsonTree(text)
        expect(text.slice(node.start, node.end)).toBe(text)
        expect(JSON.parse(indented(text))).toEqual(JSON.parse(text))
      }),
      { numRuns: 200 },
    )
  })

  it.each(['', '{', '[1,]', '{"a" 1}', 'nul', '"open', '1 2', '{a: 1}', `${'['.repeat(5_000)}${']'.repeat(5_000)}`])(
    'refuses what is no JSON, or nests beyond its limit: %#',
    (text) => {
      expect(() => jsonTree(text)).toThrow(SyntaxError)
    },
  )
})

describe('jsonCodec', () => {
  it('leaves payloads as text and reads the rest', () => {
    const answer = jsonCodec.parse('{"messages": [{"id": "x", "payload": {"n": 1.00}, "data": null}], "total": 1}') as {
      messages: { id: string; payload: JsonText; data: null }[]
      total: number
    }
    expect([answer.total, answer.messages[0]!.id, answer.messages[0]!.data]).toEqual([1, 'x', null])
    expect(answer.messages[0]!.payload).toBeInstanceOf(JsonText)
    expect(textOf(answer.messages[0]!.payload)).toBe('{"n": 1.00}')
    expect(textOf({ a: 1 })).toBe('{"a":1}')
    expect(textOf(undefined)).toBe(null)
  })

  it('writes like JSON.stringify, but a JsonText as the characters it holds', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        expect(jsonCodec.stringify({ value })).toBe(JSON.stringify({ value }))
      }),
      { numRuns: 200 },
    )
    const item = {
      queue: 'q',
      at: new Date(0),
      none: undefined,
      list: [undefined],
      payload: new JsonText('{"n": 1.00}'),
    }
    expect(jsonCodec.stringify(item)).toBe(
      '{"queue":"q","at":"1970-01-01T00:00:00.000Z","list":[null],"payload":{"n": 1.00}}',
    )
  })

  it('takes a key that means something to JavaScript for a key', () => {
    const value = jsonCodec.parse('{"__proto__": {"polluted": true}, "a": 1}') as Record<string, unknown>
    expect(Object.hasOwn(value, '__proto__')).toBe(true)
    expect(({} as { polluted?: boolean }).polluted).toBe(undefined)
  })
})
