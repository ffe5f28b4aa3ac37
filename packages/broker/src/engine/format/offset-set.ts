/**
 * A set of offsets as PostgreSQL's int8multirange has it: ascending, disjoint ranges [from, to), flat in one array
 * (from0, to0, from1, to1, …). Offsets stay below 2^53, where numbers count exactly.
 */
export type OffsetSet = readonly number[]

export const NO_OFFSETS: OffsetSet = []

/** From PostgreSQL's text, e.g. `{[0,3),[4,10)}`. */
export function parseOffsets(text: string): OffsetSet {
  if (text.length <= 2) return NO_OFFSETS
  const numbers = text.match(/\d+/g)
  return numbers === null ? NO_OFFSETS : numbers.map(Number)
}

export function formatOffsets(set: OffsetSet): string {
  let text = '{'
  for (let i = 0; i < set.length; i += 2) text += `${i === 0 ? '' : ','}[${set[i]},${set[i + 1]})`
  return `${text}}`
}

export function hasOffset(set: OffsetSet, offset: number): boolean {
  let low = 0
  let high = set.length >> 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (set[2 * middle + 1]! <= offset) low = middle + 1
    else high = middle
  }
  return 2 * low < set.length && set[2 * low]! <= offset
}

export function countOffsets(set: OffsetSet): number {
  let count = 0
  for (let i = 0; i < set.length; i += 2) count += set[i + 1]! - set[i]!
  return count
}

/** From offsets in any order, repeats allowed. Sorts `offsets` in place when they are not ascending. */
export function offsetSetOf(offsets: number[]): OffsetSet {
  for (let i = 1; i < offsets.length; i++) {
    if (offsets[i]! <= offsets[i - 1]!) {
      offsets.sort((a, b) => a - b)
      break
    }
  }
  const set: number[] = []
  for (const offset of offsets) {
    const end = set.length - 1
    if (end > 0 && offset < set[end]!) continue
    if (end > 0 && offset === set[end]!) set[end] = offset + 1
    else set.push(offset, offset + 1)
  }
  return set
}
