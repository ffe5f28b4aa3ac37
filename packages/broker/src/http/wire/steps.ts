/**
 * Bodies that take longer to read than others should wait are read in steps: a reader is a generator that stops at the end
 * of each slice of its text, wherever that is, in the middle of a value too.
 */
import { nextTurn } from '../next-turn.ts'
import type { JsonScanner } from './json-scanner.ts'

export type Steps<T> = Generator<void, T>

/** Of nothing but brackets and commas they take about a millisecond; a body of this size is worth reading in slices. */
export const SLICE_BYTES = 256 * 1024

export function inOneGo<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** The same with pauses in which other requests are served. */
export async function inSlices<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    await nextTurn()
  }
}

/** Lets others have their turn; the value that the scanner has stopped in, if any, is behind it afterwards. */
export function* pause(scanner: JsonScanner, sliceBytes = SLICE_BYTES): Steps<void> {
  do {
    yield
    scanner.pauseAt = scanner.position + sliceBytes
  } while (!scanner.skipRest())
}
