/**
 * Reads answers like JSON.parse, except that payloads stay text: under these names a value arrives as JsonText with
 * exactly the characters the broker sent. The other way round, a JsonText is written as the characters it holds.
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
    return write(value) ?? 'null'
  },
}

function readNode(text: string, node: JsonNode): unknown {
  const raw = (): string => text.slice(node.start, node.end)
  if (node.key !== null && OPAQUE.has(node.key) && node.kind !== 'null') return new JsonText(raw())
  if (node.kind === 'array') return node.children.map((child) => readNode(text, child))
  if (node.kind !== 'object') return JSON.parse(raw())
  return Object.fromEntries(node.children.map((child) => [JSON.parse(child.key!), readNode(text, child)]))
}

/** Like JSON.stringify; undefined for what JSON has no word for. */
function write(value: unknown): string | undefined {
  if (value instanceof JsonText) return value.text
  if (Array.isArray(value)) return `[${value.map((each) => write(each) ?? 'null').join(',')}]`
  if (value === null || typeof value !== 'object' || value instanceof Date) return JSON.stringify(value)
  const members = Object.entries(value).flatMap(([key, each]) => {
    const text = write(each)
    return text === undefined ? [] : [`${JSON.stringify(key)}:${text}`]
  })
  return `{${members.join(',')}}`
}

/** The text to show for a value of either kind; null when there is none. */
export function textOf(value: unknown): string | null {
  if (value instanceof JsonText) return value.text
  return JSON.stringify(value) ?? null
}
