/**
 * Splits a request target into its path segments and its query. The raw path is split first and each segment is decoded
 * exactly once, so `%2F` is a slash inside a name. A segment that is not valid percent-encoded UTF-8 is taken as it
 * stands: older clients put names into pop paths without escaping them.
 */

/** Path and query of a request target, which may be in absolute form (`GET http://host/path`). */
export function splitTarget(target: string): { path: string; search: string } {
  let start = 0
  if (target.charCodeAt(0) !== 0x2f) {
    const scheme = target.indexOf('://')
    if (scheme > 0) {
      start = target.indexOf('/', scheme + 3)
      if (start === -1) return { path: '/', search: '' }
    }
  }
  const question = target.indexOf('?', start)
  if (question === -1) return { path: start === 0 ? target : target.slice(start), search: '' }
  return { path: target.slice(start, question), search: target.slice(question + 1) }
}

export function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
