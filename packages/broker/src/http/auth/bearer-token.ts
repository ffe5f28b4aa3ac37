/** Where the token stands in a request. */
import type { IncomingMessage } from 'node:http'

/** Three parts in base64url with dots between them: nothing else is worth a signature check. */
const BARE = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** undefined = the request has none. The scheme may be missing: some older clients send the token alone. */
export function bearerToken(request: IncomingMessage): string | undefined {
  const header = request.headers.authorization?.trim() ?? ''
  const scheme = /^bearer +(.+)$/i.exec(header)
  if (scheme !== null) return scheme[1]
  return BARE.test(header) ? header : undefined
}
