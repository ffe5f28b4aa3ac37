/**
 * JSON string literals for answers that are joined from strings.
 *
 * Each character of a literal is one byte of its UTF-8, so that the whole answer is sent as latin1: the engine need not
 * look at each character again on its way out.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const NOT_AS_IT_IS = /["\\\u0000-\u001f\u0080-\uffff]/

export function jsonString(text: string): string {
  return NOT_AS_IT_IS.test(text) ? Buffer.from(JSON.stringify(text)).latin1Slice() : `"${text}"`
}
