/**
 * Consistent hashing: a key stays on its URL while the set of URLs stays, and only the keys of a URL that goes move.
 *
 * FNV-1a, 32 bit, over UTF-8; `<url>#vnode<i>` are a URL's points; a key belongs to the first point at or above it.
 */
export interface HashRing {
  /** All URLs, each once, in the order the ring offers them for this key. */
  order(key: string): string[]
}

const OFFSET_BASIS = 0x811c9dc5
const PRIME = 0x01000193

export function fnv1a(text: string): number {
  let hash = OFFSET_BASIS
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, PRIME)
  return hash >>> 0
}

export function createHashRing(urls: readonly string[], pointsPerUrl: number): HashRing {
  const points: { hash: number; url: string }[] = []
  for (const url of urls) {
    for (let i = 0; i < pointsPerUrl; i++) points.push({ hash: fnv1a(`${url}#vnode${i}`), url })
  }
  // Equal hashes are ordered by URL, so that every client builds the same ring whatever the order of its URLs.
  points.sort((a, b) => a.hash - b.hash || (a.url < b.url ? -1 : 1))
  return {
    order(key) {
      const start = firstAtOrAbove(points, fnv1a(key))
      const found = new Set<string>()
      for (let i = 0; i < points.length && found.size < urls.length; i++) {
        found.add(points[(start + i) % points.length]!.url)
      }
      return [...found]
    },
  }
}

function firstAtOrAbove(points: readonly { hash: number }[], hash: number): number {
  let low = 0
  let high = points.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (points[middle]!.hash < hash) low = middle + 1
    else high = middle
  }
  return low === points.length ? 0 : low
}
