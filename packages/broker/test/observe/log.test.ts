import { describe, expect, test } from 'vitest'
import { textLine } from '../../src/observe/log.ts'

const TIME = Date.UTC(2026, 0, 2, 3, 4, 5, 6)

describe('the log for people', () => {
  test('time, level, message and fields on one line', () => {
    const line = textLine(JSON.stringify({ level: 40, time: TIME, msg: 'slow', queue: 'a', rate: 5 }))
    expect(line).toBe('03:04:05.006 WARN  slow {queue=a rate=5}\n')
  })

  test('an error shows its stack', () => {
    const line = textLine(
      JSON.stringify({ level: 50, time: TIME, msg: 'broke', err: { message: 'x', stack: 'Error: x\n    at y' } }),
    )
    expect(line).toBe('03:04:05.006 ERROR broke Error: x\n    at y\n')
  })

  test('a hostile name forges no line and drives no terminal', () => {
    const line = textLine(JSON.stringify({ level: 30, time: TIME, msg: 'a\nb', queue: '\u001b[2Jx\u009b' }))
    expect(line).toBe('03:04:05.006 INFO  a\\x0ab {queue=\\x1b[2Jx\\x9b}\n')
  })
})
