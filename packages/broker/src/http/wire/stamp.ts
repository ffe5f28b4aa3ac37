/** For lists whose elements differ in numbers and ids only: one element is written, copied, and the differences put in. */

const ZERO = 0x30

/** Writes `text` so many times, from `at` on. */
export function stamp(target: Buffer, at: number, text: string, times: number): void {
  const size = target.latin1Write(text, at)
  repeat(target, at, size, times)
}

/** Repeats the `size` bytes at `at` behind them, so that they stand there so many times. */
export function repeat(target: Buffer, at: number, size: number, times: number): void {
  for (let done = 1; done < times; done *= 2) {
    target.copyWithin(at + done * size, at, at + Math.min(done, times - done) * size)
  }
}

/** How many digits the numbers from 0 to below `count` have together. */
export function digitsBelow(count: number): number {
  let digits = count
  for (let from = 10; from < count; from *= 10) digits += count - from
  return digits
}

/** Writes a number's digits up to `end`, where zeros stand. */
export function writeNumber(target: Buffer, end: number, number: number): void {
  for (let rest = number, place = end; rest > 0; rest = (rest / 10) | 0) target[--place] = ZERO + (rest % 10)
}
