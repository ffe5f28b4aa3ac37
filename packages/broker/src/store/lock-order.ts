/**
 * The order in which statements lock what several of them may want at once. Wherever JavaScript decides it, it is that of
 * the functions: ids as they are, names by COLLATE "C", which are the bytes of UTF-8.
 */

export interface CursorKey {
  readonly partitionId: string
  readonly group: string
}

export function compareCursors(a: CursorKey, b: CursorKey): number {
  if (a.partitionId !== b.partitionId) return a.partitionId < b.partitionId ? -1 : 1
  return compareNames(a.group, b.group)
}

/** As bytes. Plain `<` compares UTF-16, which puts what is above U+FFFF before U+E000 to U+FFFF. */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const unit = a.charCodeAt(i)
    const other = b.charCodeAt(i)
    if (unit !== other) return isSurrogate(unit) === isSurrogate(other) ? unit - other : isSurrogate(unit) ? 1 : -1
  }
  return a.length - b.length
}

const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit < 0xe000
