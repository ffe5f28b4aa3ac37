/**
 * JSON as it was written: a tree of places in the text. Numbers beyond what a double holds, repeated keys and the order
 * of keys stay what they are, because nothing is turned into JavaScript values.
 *
 * Reads text that the broker has checked already; on anything else it throws a SyntaxError. It nests at most DEPTH_MAX
 * deep, so that hostile text cannot overflow the stack.
 */
export interface JsonNode {
  readonly kind: 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'
  readonly start: number
  readonly end: number
  /** Raw text of the key, quotes included; null for the root and in arrays. */
  readonly key: string | null
  readonly children: readonly JsonNode[]
}

// JSON.parse of the browsers gives up between a few thousand and never; nobody reads by eye what lies deeper.
const DEPTH_MAX = 1_000
const SPACE = /[ \t\n\r]*/y
const STRING = /"(?:[^"\\]|\\.)*"/y
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const WORD = /true|false|null/y

export function jsonTree(text: string): JsonNode {
  let at = 0
  const match = (pattern: RegExp): string | null => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found === null) return null
    at = pattern.lastIndex
    return found[0]
  }
  const fail = (): never => {
    throw new SyntaxError(`No JSON at character ${at}`)
  }
  const expect = (character: string): void => {
    match(SPACE)
    if (text[at] !== character) fail()
    at++
  }
  const next = (): string | undefined => {
    match(SPACE)
    return text[at]
  }
  const value = (key: string | null, depth: number): JsonNode => {
    if (depth > DEPTH_MAX) fail()
    const first = next()
    const start = at
    if (first === '{' || first === '[') return container(first, key, depth, start)
    const leaf = (kind: JsonNode['kind']): JsonNode => ({ kind, start, end: at, key, children: [] })
    if (first === '"') return match(STRING) === null ? fail() : leaf('string')
    const word = match(WORD)
    if (word !== null) return leaf(word === 'null' ? 'null' : 'boolean')
    return match(NUMBER) === null ? fail() : leaf('number')
  }
  const container = (open: '{' | '[', key: string | null, depth: number, start: number): JsonNode => {
    const close = open === '{' ? '}' : ']'
    const children: JsonNode[] = []
    at++
    if (next() === close) at++
    else
      for (;;) {
        let name: string | null = null
        if (open === '{') {
          match(SPACE)
          name = match(STRING) ?? fail()
          expect(':')
        }
        children.push(value(name, depth + 1))
        if (next() === ',') at++
        else {
          expect(close)
          break
        }
      }
    return { kind: open === '{' ? 'object' : 'array', start, end: at, key, children }
  }
  const root = value(null, 0)
  match(SPACE)
  if (at !== text.length) fail()
  return root
}

/** With line breaks and indentation; every name and value as it is in the text. */
export function indented(text: string, node: JsonNode = jsonTree(text), depth = 0): string {
  if (node.children.length === 0) return text.slice(node.start, node.end)
  const [open, close] = node.kind === 'object' ? '{}' : '[]'
  const inner = '  '.repeat(depth + 1)
  const lines = node.children.map((child) => {
    const key = child.key === null ? '' : `${child.key}: `
    return `${inner}${key}${indented(text, child, depth + 1)}`
  })
  return `${open}\n${lines.join(',\n')}\n${'  '.repeat(depth)}${close}`
}
