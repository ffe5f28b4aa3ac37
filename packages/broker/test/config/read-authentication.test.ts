import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { read } from './surroundings.ts'

const SECRET = 'x'.repeat(32)
const pem = (type: 'rsa' | 'ed25519'): string =>
  (type === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ed25519')).publicKey
    .export({ format: 'pem', type: 'spki' })
    .toString()

describe('JWT_* variables', () => {
  test('without a key everything is open', () => {
    expect(read({}).config.authentication).toBeNull()
    expect(read({ JWT_ISSUER: 'me', JWT_ROLE_ADMIN: 'root' }).config.authentication).toBeNull()
  })

  test('a key switches it on, and says which signatures are accepted', () => {
    const of = (env: Record<string, string>) => read(env).config.authentication?.algorithms
    expect(of({ JWT_SECRET: SECRET })).toEqual(['HS256'])
    expect(of({ JWT_PUBLIC_KEY: pem('rsa') })).toEqual(['RS256'])
    expect(of({ JWT_PUBLIC_KEY: pem('ed25519').replaceAll('\n', '\\n') })).toEqual(['EdDSA'])
    expect(of({ JWT_JWKS_URL: 'https://id.example/keys' })).toEqual(['RS256', 'EdDSA'])
    expect(of({ JWT_SECRET: SECRET, JWT_PUBLIC_KEY: pem('rsa') })).toEqual(['HS256', 'RS256'])
    expect(of({ JWT_SECRET: SECRET, JWT_PUBLIC_KEY: pem('rsa'), JWT_ALGORITHM: 'RS256' })).toEqual(['RS256'])
  })

  test('JWT_ENABLED=false opens it, JWT_ENABLED=true without a key stops the start', () => {
    expect(read({ JWT_SECRET: SECRET, JWT_ENABLED: 'false' }).config.authentication).toBeNull()
    expect(() => read({ JWT_ENABLED: 'true' })).toThrow(/JWT_ENABLED.*JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL/)
  })

  test.each([
    [{ JWT_PUBLIC_KEY: 'not a key' }, /JWT_PUBLIC_KEY/],
    [{ JWT_JWKS_URL: 'file:///etc/passwd' }, /JWT_JWKS_URL/],
    [{ JWT_SECRET: SECRET, JWT_ALGORITHM: 'none' }, /JWT_ALGORITHM.*one of auto, hs256, rs256, eddsa/],
    [{ JWT_SECRET: SECRET, JWT_ALGORITHM: 'rs256' }, /JWT_ALGORITHM.*JWT_PUBLIC_KEY or JWT_JWKS_URL/],
    [{ JWT_PUBLIC_KEY: pem('ed25519'), JWT_ALGORITHM: 'rs256' }, /JWT_ALGORITHM/],
    [{ JWT_SECRET: SECRET, JWT_AUDIENCE: ' , ' }, /JWT_AUDIENCE/],
    [{ JWT_CLOCK_SKEW_SECONDS: '-1' }, /JWT_CLOCK_SKEW_SECONDS/],
    [{ JWT_ENABLED: 'maybe' }, /JWT_ENABLED/],
  ])('%j stops the start', (env, message) => {
    expect(() => read(env as Record<string, string>)).toThrow(message)
  })

  test('a private key is refused, and not shown', () => {
    const key = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    expect(() => read({ JWT_PUBLIC_KEY: key })).toThrow(/private key/)
    expect(() => read({ JWT_PUBLIC_KEY: key })).not.toThrow(key.split('\n')[1]!)
  })

  test('a short secret is warned about without being shown', () => {
    const { warnings } = read({ JWT_SECRET: 'hunter2' })
    expect(warnings.join()).toContain('JWT_SECRET has 7 bytes')
    expect(warnings.join()).not.toContain('hunter2')
  })
})
