/**
 * Who is calling, by bearer token, and whether they may. Signatures, claims and key sets are jose's; which keys, which
 * claims and which roles is decided here and in the rooms beside.
 *
 * A request is refused in the order of the contract: no token or a bad one 401, then 403, and only then is anything
 * else of it looked at. What is wrong with a token is said in words, never with parts of it.
 */
import { isName } from '@queen/protocol'
import { errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import type { Logger } from 'pino'
import type { AuthenticationConfig } from '../../config/config.ts'
import { Refusal } from '../../engine/refusal.ts'
import type { Level } from '../route.ts'
import type { Authenticate, Caller } from '../settings.ts'
import { bearerToken } from './bearer-token.ts'
import { includes, REQUIRED, roleOf } from './roles.ts'
import { tokenKeys } from './token-keys.ts'
import { type Verified, VerifiedTokens } from './verified-tokens.ts'

const ANYONE: Caller = { subject: null }

export function createAuthentication(config: AuthenticationConfig, log: Logger): Authenticate {
  const keys = tokenKeys(config, log)
  const known = new VerifiedTokens()
  return (request, level) => {
    if (level === 'P') return ANYONE
    const token = bearerToken(request)
    if (token === undefined) throw new Refusal('AUTH_REQUIRED')
    const nowMs = Date.now()
    const remembered = known.get(token, nowMs)
    if (remembered !== undefined) return admitted(remembered, level, config)
    return check(token, keys, config).then(({ verified, endsMs }) => {
      known.put(token, verified, nowMs, endsMs)
      return admitted(verified, level, config)
    })
  }
}

function admitted({ subject, role }: Verified, level: Exclude<Level, 'P'>, { roles }: AuthenticationConfig): Caller {
  const required = REQUIRED[level]
  if (role !== undefined && includes(role, required)) return { subject }
  const message =
    role === undefined
      ? 'This token has none of the roles that Queen knows'
      : `This request needs the role '${roles[required]}', and the token has '${roles[role]}'`
  throw new Refusal('FORBIDDEN', message, { details: { required: roles[required] } })
}

async function check(
  token: string,
  keys: JWTVerifyGetKey,
  config: AuthenticationConfig,
): Promise<{ verified: Verified; endsMs: number }> {
  const { issuer, audience, clockSkewSeconds } = config
  let payload: JWTPayload
  try {
    const verified = await jwtVerify(token, keys, {
      // The newer name of the same signature.
      algorithms: config.algorithms.flatMap((name) => (name === 'EdDSA' ? ['EdDSA', 'Ed25519'] : [name])),
      clockTolerance: clockSkewSeconds,
      ...(issuer === null ? {} : { issuer }),
      ...(audience === null ? {} : { audience: [...audience] }),
    })
    payload = verified.payload
  } catch (error) {
    throw refusalOf(error)
  }
  // It is stamped on messages, where a name has its place and nothing else does.
  const { sub } = payload
  if (sub !== undefined && !(typeof sub === 'string' && isName(sub))) {
    throw new Refusal('INVALID_TOKEN', 'The bearer token is not valid: its sub is not a name of 1 to 255 characters')
  }
  return {
    verified: { subject: sub ?? null, role: roleOf(payload, config) },
    endsMs: payload.exp === undefined ? Number.POSITIVE_INFINITY : (payload.exp + clockSkewSeconds) * 1_000,
  }
}

function refusalOf(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return new Refusal('TOKEN_EXPIRED')
  if (error instanceof errors.JOSEError) {
    return new Refusal('INVALID_TOKEN', `The bearer token is not valid: ${error.message}`)
  }
  // Keys of a set that this Node or this algorithm cannot use; the token chose them.
  if (error instanceof TypeError) return new Refusal('INVALID_TOKEN')
  return error
}
