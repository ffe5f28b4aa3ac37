/**
 * The database and this build do not go together, and trying again changes nothing: the process says the sentence and
 * ends with exit code 2.
 */
export class SchemaError extends Error {
  readonly reason: 'newer' | 'changed' | 'server'

  constructor(reason: SchemaError['reason'], message: string) {
    super(message)
    this.name = 'SchemaError'
    this.reason = reason
  }
}
