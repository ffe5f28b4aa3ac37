/** How loudly the log says what the file buffer tells. */
import { expect, test } from 'vitest'
import { logBufferEvents } from '../../src/services/buffer-events.ts'

test('refusals of the file buffer are a warning once a minute, lost records an error each, the rest is for debugging', () => {
  let nowMs = 0
  const lines: string[] = []
  const line = (level: string) => (fields: object) => void lines.push(`${level} ${(fields as { type: string }).type}`)
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
  expect(said('recovered')).toEqual(['debug recovered'])
})
