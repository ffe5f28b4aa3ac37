/**
 * How often a text is in an answer. The results of an answer are mostly of one length, so the next occurrence is looked
 * for at the distance of the last one first; only where it is not there the text is searched.
 *
 * It may pass one by where distances differ, and never counts one that is not there: what must be in every result is in
 * every result when the count says so.
 */
export function occurrences(answer: string, text: string): number {
  let found = 0
  let distance = 0
  let at = answer.indexOf(text)
  while (at >= 0) {
    found++
    if (distance > 0 && answer.startsWith(text, at + distance)) {
      at += distance
      continue
    }
    const next = answer.indexOf(text, at + text.length)
    distance = next - at
    at = next
  }
  return found
}
