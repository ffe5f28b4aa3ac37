/** The word somebody probably meant. Pure. */

/** More edits than a third of the word make another word. */
const EDITS_SHARE_MAX = 3

export function nearest(word: string, words: readonly string[]): string | undefined {
  let best: string | undefined
  let bestEdits = Math.floor(Math.max(word.length, EDITS_SHARE_MAX) / EDITS_SHARE_MAX) + 1
  for (const each of words) {
    const edits = editDistance(word, each)
    if (edits < bestEdits) {
      best = each
      bestEdits = edits
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
