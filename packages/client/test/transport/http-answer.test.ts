/** Answers as bytes: complete however they are cut, and refused when they are no HTTP. */
import { describe, expect, test } from 'vitest'
import { HttpAnswer } from '../../src/transport/http-answer.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const bodyOf = (answer: HttpAnswer): string => Buffer.concat(answer.chunks).toString('latin1')

/** Which pieces an answer arrives in must not matter: whole, byte by byte, and cut once at every place. */
function everyCut(text: string): string[][] {
  const cuts = Array.from({ length: text.length - 1 }, (_, at) => [text.slice(0, at + 1), text.slice(at + 1)])
  return [[text], [...text], ...cuts]
}

function readAll(pieces: readonly string[]): { answer: HttpAnswer; complete: boolean } {
  const answer = new HttpAnswer()
  let complete = false
  for (const piece of pieces) complete = answer.read(bytes(piece))
  return { answer, complete }
}

const COMPLETE: [string, string, { status: number; body: string; reusable: boolean }][] = [
  ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', { status: 200, body: 'hello', reusable: true }],
  ['no body', 'HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n', { status: 204, body: '', reusable: true }],
  ['an empty body', 'HTTP/1.1 500 \r\ncontent-length: 0\r\n\r\n', { status: 500, body: '', reusable: true }],
  ['no reason', 'HTTP/1.1 201\r\ncontent-length: 1\r\n\r\nx', { status: 201, body: 'x', reusable: true }],
  [
    'chunks, with an extension and a trailer',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n, world\r\n!\r\n0\r\nx: y\r\n\r\n',
    { status: 200, body: 'hello, world\r\n!', reusable: true },
  ],
  [
    'a word before it',
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    { status: 200, body: 'ok', reusable: true },
  ],
  [
    'a connection that closes',
    'HTTP/1.1 200 OK\r\nConnection: x, Close\r\ncontent-length: 1\r\n\r\nx',
    { status: 200, body: 'x', reusable: false },
  ],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx', { status: 200, body: 'x', reusable: false }],
]

describe('an answer', () => {
  test.each(COMPLETE)('with %s', (_name, text, expected) => {
    for (const pieces of everyCut(text)) {
      const { answer, complete } = readAll(pieces)
      const { status, reusable } = answer
      expect([complete, { status, body: bodyOf(answer), reusable }], JSON.stringify(pieces)).toEqual([true, expected])
    }
  })

  test('that ends with its connection', () => {
    const text = 'HTTP/1.1 200 OK\r\n\r\nall of it'
    for (const pieces of everyCut(text)) {
      const { answer, complete } = readAll(pieces)
      expect([complete, answer.end(), bodyOf(answer), answer.reusable]).toEqual([false, true, 'all of it', false])
    }
  })

  test('cut off is not complete', () => {
    for (const [, text] of COMPLETE)
      for (let at = 0; at < text.length; at++) {
        const { answer, complete } = readAll([text.slice(0, at)])
        expect([complete, answer.end(), text.slice(0, at)]).toEqual([false, false, text.slice(0, at)])
      }
  })

  test('with bytes behind it costs the connection', () => {
    const { answer, complete } = readAll(['HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n'])
    expect([complete, bodyOf(answer), answer.reusable]).toEqual([true, 'x', false])
  })

  test('has headers by name, in any case, joined where they repeat', () => {
    const { answer } = readAll(['HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:\t2 \r\n__proto__: p\r\ncontent-length: 0\r\n\r\n'])
    expect({ ...answer.headers }).toEqual({ 'x-a': '1, 2', ['__proto__']: 'p', 'content-length': '0' })
  })

  test.each([
    ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
    ['a folded header', 'HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['an encoding nobody asked for', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a chunk without a size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n'],
    ['a chunk longer than its size', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(20_000)}`],
    ['a chunk size without end', `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${'0'.repeat(5_000)}`],
  ])('that has %s is refused', (_name, text) => {
    expect(() => readAll([text])).toThrow(/answer/)
    // What is not complete is read anew with every piece: a long text in as many small ones would take very long.
    const pieces = text.match(text.length < 10_000 ? /[\s\S]{1,7}/g : /[\s\S]{1,701}/g)!
    expect(() => readAll([...pieces])).toThrow(/answer/)
  })
})
