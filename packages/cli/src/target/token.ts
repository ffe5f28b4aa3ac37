/** Where a context's token comes from. A token is never printed. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { CliError } from '../command/failure.ts'

export function readToken(ref: string | undefined, env: Readonly<Record<string, string | undefined>>): string | null {
  if (ref === undefined || ref === '') return null
  if (ref === 'env') return env.QUEEN_TOKEN || null
  if (ref.startsWith('literal:')) return ref.slice('literal:'.length)
  if (ref.startsWith('file://')) {
    try {
      return readFileSync(fileURLToPath(ref), 'utf8').trim() || null
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new CliError(`the token file ${ref} cannot be read: ${why}`, { hint: 'Log in again with: queenctl login' })
    }
  }
  const kind = ref.startsWith('keychain://') ? 'tokens in the keychain are not supported' : `'${ref}' is no token-ref`
  throw new CliError(kind, { code: 'CONFIG_INVALID', hint: 'Log in again with: queenctl login' })
}
