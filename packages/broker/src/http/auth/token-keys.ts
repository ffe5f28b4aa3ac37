/**
 * The key that a token's signature is checked with. The algorithm in its header chooses among the configured keys and
 * never what kind of key one of them is.
 *
 * A key set that cannot be read leaves the last one in force: an identity provider that is down for a night must not
 * take the queue with it. Without any, callers are asked to try again instead of being told that their token is bad.
 */
import type { KeyObject } from 'node:crypto'
import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey } from 'jose'
import type { Logger } from 'pino'
import type { AuthenticationConfig } from '../../config/config.ts'
import { Refusal } from '../../engine/refusal.ts'

/** Well under the 3 s in which a push is answered. */
const KEY_SET_TIME_MS = 2_000
/** After this a key that the provider withdrew is not accepted any more, if the provider can be asked. */
const KEY_SET_AGE_MS = 600_000
const WARNING_PAUSE_MS = 60_000

export function tokenKeys({ secret, publicKey, keySetUrl }: AuthenticationConfig, log: Logger): JWTVerifyGetKey {
  const keySet = keySetUrl === null ? null : readKeySet(keySetUrl, log)
  return async (header, token) => {
    if (header.alg === 'HS256' && secret !== null) return secret
    if (header.alg !== 'HS256') {
      if (publicKey !== null && fits(publicKey, header.alg)) return publicKey
      if (keySet !== null) return keySet(header, token)
    }
    throw new errors.JOSEAlgNotAllowed('there is no key for this algorithm')
  }
}

function fits(key: KeyObject, algorithm: string): boolean {
  return key.asymmetricKeyType === (algorithm === 'RS256' ? 'rsa' : 'ed25519')
}

function readKeySet(url: string, log: Logger): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(new URL(url), { timeoutDuration: KEY_SET_TIME_MS, cacheMaxAge: KEY_SET_AGE_MS })
  let warnedAtMs = Number.NEGATIVE_INFINITY
  return async (header, token) => {
    try {
      return await remote(header, token)
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) throw error
      const known = remote.jwks()
      if (performance.now() - warnedAtMs > WARNING_PAUSE_MS) {
        warnedAtMs = performance.now()
        log.warn({ err: error, keptLast: known !== undefined }, 'the key set at JWT_JWKS_URL cannot be read')
      }
      if (known !== undefined) return createLocalJWKSet(known)(header, token)
      throw new Refusal('NOT_READY', 'Tokens cannot be checked now: the key set of their issuer cannot be read')
    }
  }
}
