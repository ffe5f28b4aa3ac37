/** What is wrong with the text as JSON, in the browser's words; null when nothing is. */
export function jsonProblem(text: string): string | null {
  if (text.trim() === '') return 'A payload is needed; write null for none'
  try {
    JSON.parse(text)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
