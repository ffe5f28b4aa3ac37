/**
 * A process for the crash and lock tests: opens the buffer in argv[2] and appends until it is killed, printing the
 * last acknowledged number after every acknowledgement. With argv[3] = "hold" it only holds the lock.
 */
import { writeSync } from 'node:fs'
import { openFileBuffer } from '../src/index.ts'
import { sourceOf } from './bodies.ts'

try {
  const buffer = await openFileBuffer({
    directory: process.argv[2]!,
    bufferBytesMax: 2 ** 30,
    diskFreeBytesMin: 0,
    fileBytesMax: 100_000,
  })
  writeSync(1, 'open\n')
  if (process.argv[3] === 'hold') setInterval(() => {}, 1_000)
  else {
    await Promise.all(
      Array.from({ length: 4 }, async (_, appender) => {
        for (let i = 0; ; i++) {
          const bodies = Array.from({ length: 5 }, (_, index) => `${appender}-${i}-${index}`)
          const { first, last } = await buffer.append(sourceOf(bodies))
          writeSync(1, `${first} ${last} ${appender}-${i}\n`)
        }
      }),
    )
  }
} catch (error) {
  writeSync(1, `refused ${(error as Error).message}\n`)
  process.exit(3)
}
