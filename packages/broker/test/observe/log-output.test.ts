import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LogOutput } from '../../src/observe/log-output.ts'

/** Takes so many bytes and then none, until there is room again. */
class Reader {
  text = ''
  room = Number.POSITIVE_INFINITY
  fault: string | null = null

  readonly write = (bytes: Uint8Array): number => {
    const taken = Math.min(bytes.length, this.room)
    this.text += Buffer.from(bytes.subarray(0, taken)).toString()
    this.room -= taken
    if (taken > 0) return taken
    throw Object.assign(new Error(), { code: this.fault ?? 'EAGAIN' })
  }
}

const KIB = 'x'.repeat(1023)
let reader: Reader
let output: LogOutput

beforeEach(() => {
  vi.useFakeTimers()
  reader = new Reader()
  output = new LogOutput(reader.write)
  output.lostLine = (lines) => `${lines} lost\n`
})
afterEach(() => {
  vi.useRealTimers()
})

function makeRoom(bytes = Number.POSITIVE_INFINITY): void {
  reader.room = bytes
  vi.advanceTimersByTime(1_000)
}

describe('the output of the log', () => {
  test('a line leaves at once, and after a pause of its reader in its order', () => {
    output.write('a\n')
    expect(reader.text).toBe('a\n')
    reader.room = 3
    for (const line of ['bcd\n', 'e\n', 'f\n']) output.write(line)
    expect(reader.text).toBe('a\nbcd')
    makeRoom(2)
    expect(reader.text).toBe('a\nbcd\ne')
    output.write('g\n')
    makeRoom()
    output.write('h\n')
    expect(reader.text).toBe('a\nbcd\ne\nf\ng\nh\n')
  })

  test('G9 G10 what a reader that sleeps has to take is bounded, and it is told what it missed', () => {
    reader.room = 0
    for (let n = 0; n < 1_500; n++) output.write(`${KIB}\n`)
    makeRoom()
    expect(reader.text).toBe(`${`${KIB}\n`.repeat(1_024)}476 lost\n`)
    reader.text = ''
    reader.room = 0
    for (let n = 0; n < 1_025; n++) output.write(`${KIB}\n`)
    makeRoom(2 * 1_024)
    output.write('late\n')
    makeRoom()
    expect(reader.text).toBe(`${`${KIB}\n`.repeat(1_024)}1 lost\nlate\n`)
  })

  test('a disk that was full gets whole lines again, and what it missed', () => {
    output.write('a\n')
    reader.room = 2
    reader.fault = 'ENOSPC'
    output.write('broken\n')
    output.write('lost\n')
    reader.room = Number.POSITIVE_INFINITY
    output.write('b\n')
    expect(reader.text).toBe('a\nbr\n2 lost\nb\n')
  })

  test('its end waits for what is left, but not for ever', () => {
    vi.useRealTimers()
    reader.room = 0
    output.write('a\n')
    const wait = vi.spyOn(Atomics, 'wait').mockImplementation(() => {
      reader.room = Number.POSITIVE_INFINITY
      return 'timed-out'
    })
    output.end()
    expect([reader.text, wait.mock.calls.length]).toEqual(['a\n', 1])
    reader.room = 0
    output.write('b\n')
    wait.mockRestore()
    output.end()
    expect(reader.text).toBe('a\n')
  })
})
