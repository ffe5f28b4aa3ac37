/**
 * Request targets. The contract routes on the raw path and decodes each parameter segment exactly once, so `%2F` is a
 * slash inside a name; a segment that is not valid percent-encoded UTF-8 is taken as it stands: older clients put names
 * into pop paths without escaping them. Fastify's router decodes paths by itself and refuses what it cannot decode, so it
 * gets the path with every `%` escaped once more: what it decodes is the raw path again, and never invalid.
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

/** The target as the router must see it to match the raw path. Different targets stay different. */
export function routableTarget(target: string): string {
  if (target.charCodeAt(0) === 0x2f && !target.includes('%') && !target.includes('#')) return target
  const { path, search } = splitTarget(target)
  // The router would end the path at a number sign; a segment decodes to the same whether it is escaped or not.
  const escaped = path.replaceAll('%', '%25').replaceAll('#', '%23')
  // Only `OPTIONS *` has no slash of its own.
  const rooted = escaped.charCodeAt(0) === 0x2f ? escaped : `/${escaped}`
  return search === '' ? rooted : `${rooted}?${search}`
}

/** Of a raw segment. */
export function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
