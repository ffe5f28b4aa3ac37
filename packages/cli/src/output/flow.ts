/** Text in as many columns as there are. Pure. */
import { widthOf } from './text.ts'

/** Parts side by side, on further lines where they do not fit beside each other. A part is never cut. */
export function flow(parts: readonly string[], gap: string, columns: number, indent = ''): string[] {
  const lines: string[] = []
  for (const part of parts) {
    const last = lines.at(-1)
    const joined = last === undefined ? part : last + gap + part
    if (last !== undefined && widthOf(joined) <= columns) lines[lines.length - 1] = joined
    else lines.push(last === undefined ? part : indent + part)
  }
  return lines
}

/** A sentence, broken between words. */
export function wrap(text: string, columns: number): string[] {
  return flow(text.split(' '), ' ', columns)
}
