/** A failure the person at the terminal can act on: its message is one clear sentence, without a stack to read. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError'
}
