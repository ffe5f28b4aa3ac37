/**
 * The JWT_* variables → how bearer tokens are judged. Fails closed: whoever sets one of them and leaves out what makes
 * it work is told at the start, and never gets a broker that lets everybody in.
 */
import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import type { AuthenticationConfig, TokenAlgorithm } from './config.ts'
import { type Environment, isSet, readBoolean, readChoice, readNumber, readText, wrong } from './read-value.ts'
import type { VariableName } from './variables.ts'

/** As long as the hash: a shorter one can be guessed from any one token. */
const SECRET_BYTES_GOOD = 32
const KEYS = ['JWT_SECRET', 'JWT_PUBLIC_KEY', 'JWT_JWKS_URL'] as const
const KEYED: Readonly<Record<TokenAlgorithm, readonly VariableName[]>> = {
  HS256: ['JWT_SECRET'],
  RS256: ['JWT_PUBLIC_KEY', 'JWT_JWKS_URL'],
  EdDSA: ['JWT_PUBLIC_KEY', 'JWT_JWKS_URL'],
}
const CHOICES: Readonly<Record<string, TokenAlgorithm>> = { hs256: 'HS256', rs256: 'RS256', eddsa: 'EdDSA' }

export function readAuthentication(env: Environment, warn: (sentence: string) => void): AuthenticationConfig | null {
  // All are read even when authentication is off: a wrong value is an error at any rate.
  const secret = readSecret(env, warn)
  const publicKey = readPublicKey(env)
  const keySetUrl = readKeySetUrl(env)
  const algorithm = CHOICES[readChoice(env, 'JWT_ALGORITHM')]
  const audience = readText(env, 'JWT_AUDIENCE')
    ?.split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
  const config = {
    algorithms: algorithm === undefined ? usable(secret, publicKey, keySetUrl) : [algorithm],
    secret,
    publicKey,
    keySetUrl,
    issuer: readText(env, 'JWT_ISSUER') ?? null,
    audience: audience === undefined ? null : Object.freeze(audience),
    clockSkewSeconds: readNumber(env, 'JWT_CLOCK_SKEW_SECONDS'),
    roleClaim: readText(env, 'JWT_ROLE_CLAIM')!,
    rolesClaim: readText(env, 'JWT_ROLES_CLAIM')!,
    roles: Object.freeze({
      admin: readText(env, 'JWT_ROLE_ADMIN')!,
      readWrite: readText(env, 'JWT_ROLE_READ_WRITE')!,
      readOnly: readText(env, 'JWT_ROLE_READ_ONLY')!,
    }),
  }
  if (audience?.length === 0) throw wrong(env, 'JWT_AUDIENCE')
  const enabled = isSet(env, 'JWT_ENABLED') ? readBoolean(env, 'JWT_ENABLED') : KEYS.some((name) => isSet(env, name))
  if (!enabled) return null
  if (config.algorithms.length === 0) {
    throw wrong(env, 'JWT_ENABLED', `needs a key to check tokens with: set one of ${KEYS.join(', ')}`)
  }
  if (algorithm !== undefined && !usable(secret, publicKey, keySetUrl).includes(algorithm)) {
    throw wrong(env, 'JWT_ALGORITHM', `needs a key of that kind in ${KEYED[algorithm].join(' or ')}`)
  }
  return Object.freeze(config)
}

/** By the keys there are. A public key never checks an HS256 token: everybody knows it, so everybody could sign one. */
function usable(secret: KeyObject | null, publicKey: KeyObject | null, keySetUrl: string | null): TokenAlgorithm[] {
  const type = publicKey?.asymmetricKeyType
  return [
    ...(secret === null ? [] : (['HS256'] as const)),
    ...(keySetUrl !== null || type === 'rsa' ? (['RS256'] as const) : []),
    ...(keySetUrl !== null || type === 'ed25519' ? (['EdDSA'] as const) : []),
  ]
}

function readSecret(env: Environment, warn: (sentence: string) => void): KeyObject | null {
  const text = readText(env, 'JWT_SECRET')
  if (text === undefined) return null
  const bytes = Buffer.from(text)
  if (bytes.length < SECRET_BYTES_GOOD) {
    warn(`JWT_SECRET has ${bytes.length} bytes; with less than ${SECRET_BYTES_GOOD} it can be guessed from a token.`)
  }
  return createSecretKey(bytes)
}

function readPublicKey(env: Environment): KeyObject | null {
  const text = readText(env, 'JWT_PUBLIC_KEY')
  if (text === undefined) return null
  if (text.includes('PRIVATE KEY')) {
    throw wrong(env, 'JWT_PUBLIC_KEY', 'is a private key; a broker needs, and should know, only the public one')
  }
  let key: KeyObject
  try {
    key = createPublicKey(text.replaceAll('\\n', '\n'))
  } catch {
    throw wrong(env, 'JWT_PUBLIC_KEY')
  }
  if (key.asymmetricKeyType !== 'rsa' && key.asymmetricKeyType !== 'ed25519') throw wrong(env, 'JWT_PUBLIC_KEY')
  return key
}

function readKeySetUrl(env: Environment): string | null {
  const text = readText(env, 'JWT_JWKS_URL')?.trim()
  if (text === undefined) return null
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) throw wrong(env, 'JWT_JWKS_URL')
  return text
}
