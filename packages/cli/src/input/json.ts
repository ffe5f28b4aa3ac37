/**
 * JSON that keeps numbers as they were written: the broker keeps a payload's bytes, and a tool that shows or copies
 * messages must not turn 9007199254740993 into its neighbour.
 */

// Newer than the compiler's library; there since V8 11.4.
const lossless = JSON as unknown as {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
  rawJSON(text: string): object
  isRawJSON(value: unknown): boolean
}

/** Only such digits can be spelled in a way that a double does not give back; all other texts take the fast way. */
const MAY_LOSE = /\d{16}|\d[.eE]/

export const losslessJson = {
  parse(text: string): unknown {
    if (!MAY_LOSE.test(text)) return JSON.parse(text)
    return lossless.parse(text, (_key, value, context) => {
      if (typeof value !== 'number' || context.source === undefined || String(value) === context.source) return value
      return lossless.rawJSON(context.source)
    })
  },
  stringify(value: unknown): string {
    return JSON.stringify(value)
  },
}

/** A number that was kept as text, as that text; any other string, number or boolean as text; else null. */
export function scalarText(value: unknown): string | null {
  if (lossless.isRawJSON(value)) return JSON.stringify(value)
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : null
}
