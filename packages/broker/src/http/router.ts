/**
 * Finds the route for a path. Fixed paths are one Map lookup, the others walk a tree of segments in which a literal
 * always beats a parameter. The route table is the only source; nothing is registered later.
 */
import { decodeSegment } from './path.ts'
import type { Method, Route } from './route.ts'

/** All routes of one path. */
export interface Endpoint {
  readonly routes: Partial<Record<Method, Route>>
  /** For the Allow header. */
  readonly allow: string
}

interface Node {
  readonly literals: Map<string, Node>
  parameter: Node | null
  endpoint: Endpoint | null
}

const NO_PARAMETERS: readonly string[] = []

export class Router {
  readonly #fixed = new Map<string, Endpoint>()
  readonly #root: Node = newNode()
  /** Of the path matched last. */
  parameters: readonly string[] = NO_PARAMETERS

  constructor(routes: readonly Route[]) {
    const byPath = Map.groupBy(routes, (route) => route.path)
    for (const [path, group] of byPath) this.#add(path, endpointOf(group))
  }

  /** The endpoint at a raw path; its decoded parameters are in `parameters`. */
  match(path: string): Endpoint | null {
    this.parameters = NO_PARAMETERS
    const fixed = this.#fixed.get(path)
    if (fixed !== undefined) return fixed
    const parameters: string[] = []
    // The path starts with a slash: its first segment is the empty one before it.
    const found = walk(this.#root, path.split('/'), 1, parameters)
    if (found !== null) this.parameters = parameters
    return found
  }

  #add(path: string, endpoint: Endpoint): void {
    if (!path.includes(':')) this.#fixed.set(path, endpoint)
    let node = this.#root
    for (const segment of path.split('/').slice(1)) {
      if (segment.startsWith(':')) {
        node.parameter ??= newNode()
        node = node.parameter
      } else {
        const next = node.literals.get(segment) ?? newNode()
        node.literals.set(segment, next)
        node = next
      }
    }
    node.endpoint = endpoint
  }
}

function walk(node: Node, segments: readonly string[], at: number, parameters: string[]): Endpoint | null {
  if (at === segments.length) return node.endpoint
  const segment = segments[at]!
  const literal = node.literals.get(segment)
  if (literal !== undefined) {
    const found = walk(literal, segments, at + 1, parameters)
    if (found !== null) return found
  }
  if (node.parameter === null) return null
  parameters.push(decodeSegment(segment))
  const found = walk(node.parameter, segments, at + 1, parameters)
  if (found === null) parameters.pop()
  return found
}

function endpointOf(group: readonly Route[]): Endpoint {
  const routes: Partial<Record<Method, Route>> = {}
  const allowed: string[] = []
  for (const route of group) {
    if (routes[route.method] !== undefined) throw new Error(`two routes for ${route.method} ${route.path}`)
    routes[route.method] = route
    allowed.push(route.method)
    if (route.method === 'GET' && route.consumes !== true) allowed.push('HEAD')
  }
  return { routes, allow: [...allowed, 'OPTIONS'].join(', ') }
}

function newNode(): Node {
  return { literals: new Map(), parameter: null, endpoint: null }
}
