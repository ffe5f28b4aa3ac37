/** How loudly the log says what the file buffer tells. */
import { expect, test } from 'vitest'
import { logBufferEvents } from '../../src/services/buffer-events.ts'

test('refusals of the file buffer are a warning once a minute, lost records an error each, the rest is for debugging', () => {
  let nowMs = 0
  const lines: string[] = []
  const sentences: string[] = []
  const line = (level: string) => (fields: object, sentence?: string) => {
    lines.push(`${level} ${(fields as { type: string }).type}`)
    sentences.push(sentence!)
  }
  const tell = logBufferEvents({ debug: line('debug'), warn: line('warn'), error: line('error') }, () => nowMs)
  const said = (type: string) => {
    lines.length = 0
    tell({ type })
    return lines
  }
  expect(said('full')).toEqual(['warn full'])
  expect(said('full')).toEqual(['debug full'])
  expect(said('write-failed')).toEqual(['warn write-failed'])
  nowMs = 59_999
  expect(said('full')).toEqual(['debug full'])
  nowMs = 60_000
  expect(said('full')).toEqual(['warn full'])
  for (const _ of [1, 2]) expect(said('damaged')).toEqual(['error damaged'])
  for (const type of ['missing', 'file-aside', 'older-copy', 'lock-lost']) expect(said(type)).toEqual([`error ${type}`])
  // Each says by itself what has happened, or what to do.
  expect(new Set(sentences.slice(-5)).size).toBe(5)
  expect(sentences.at(-4)).toContain('a file is gone, or its end is. Stop this instance and put it back')
  expect(said('recovered')).toEqual(['debug recovered'])
})
