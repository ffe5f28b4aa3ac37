/** Copying short stretches of bytes, which is most of what framing a message and delivering it does. */

// Below it a loop is faster than the call into the engine's copy.
const LOOP_BYTES_MAX = 48

/** Copies [start, end) of `source` to `at` and returns the end in `target`; the caller has made room. */
export function copyBytes(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  if (end - start > LOOP_BYTES_MAX) {
    source.copy(target, at, start, end)
    return at + end - start
  }
  for (let i = start; i < end; i++) target[at++] = source[i]!
  return at
}
