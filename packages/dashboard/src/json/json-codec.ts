/**
 * Reads answers like JSON.parse, except that payloads stay text: under these names a value arrives as JsonText with
 * exactly the characters the broker sent.
 */
import { type JsonNode, jsonTree } from './json-tree.ts'

export class JsonText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Where the broker's answers carry what producers and consumers wrote. */
const OPAQUE: ReadonlySet<string> = new Set(['"payload"', '"data"', '"message_payload"'])

export const jsonCodec = {
  parse(text: string): unknown {
    return readNode(text, jsonTree(text))
  },
  stringify(value: unknown): string {
    return JSON.stringify(value)
  },
}

function readNode(text: string, node: JsonNode): unknown {
  const raw = (): string => text.slice(node.start, node.end)
  if (node.key !== null && OPAQUE.has(node.key) && node.kind !== 'null') return new JsonText(raw())
  if (node.kind === 'array') return node.children.map((child) => readNode(text, child))
  if (node.kind !== 'object') return JSON.parse(raw())
  return Object.fromEntries(node.children.map((child) => [JSON.parse(child.key!), readNode(text, child)]))
}

/** The text to show for a value of either kind; null when there is none. */
export function textOf(value: unknown): string | null {
  if (value instanceof JsonText) return value.text
  return JSON.stringify(value) ?? null
}
