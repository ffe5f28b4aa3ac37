/** Bearer tokens against the real server; the key set comes from a real HTTP server that can be stopped and changed. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, SignJWT } from 'jose'
import { pino } from 'pino'
import { afterEach, describe, expect, test } from 'vitest'
import type { AuthenticationConfig } from '../../src/config/config.ts'
import { readConfig } from '../../src/config/read-config.ts'
import { createAuthentication } from '../../src/http/auth/authentication.ts'
import { type Answer, startServer, type TestServer } from './test-server.ts'

const SECRET = 'an-example-secret-of-at-least-32-bytes'
const LOG = pino({ level: 'silent' })
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ED = generateKeyPairSync('ed25519')
const R = '/api/v1/dlq'
const W = '/api/v1/push'
const A = '/api/v1/system/maintenance'

type Claims = Record<string, unknown>

function token(claims: Claims, key: KeyObject | string = SECRET, header: { alg?: string; kid?: string } = {}) {
  const alg = header.alg ?? 'HS256'
  return new SignJWT(claims)
    .setProtectedHeader({ ...header, alg })
    .sign(typeof key === 'string' ? Buffer.from(key) : key)
}

const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds

function start(env: Record<string, string> = { JWT_SECRET: SECRET }): Promise<TestServer> {
  const { config } = readConfig(env, { workingDir: '/', projectDir: '/', hostname: 'box' })
  const authenticate = createAuthentication(config.authentication as AuthenticationConfig, LOG)
  return startServer({}, { authenticate })
}

/** GET for the read routes, a body that is refused with 400 behind the gate for the write route. */
function ask(server: TestServer, path: string, authorization?: string): Promise<Answer> {
  const headers = authorization === undefined ? {} : { Authorization: authorization }
  return path === W ? server.ask('POST', path, '[]', headers) : server.ask('GET', path, null, headers)
}

const PASSED: Record<string, number> = { [R]: 200, [W]: 400, [A]: 200 }

async function verdicts(server: TestServer, authorization?: string): Promise<(number | 'passed')[]> {
  const answers = await Promise.all([R, W, A].map((path) => ask(server, path, authorization)))
  return answers.map(({ status }, i) => (status === PASSED[[R, W, A][i]!] ? 'passed' : status))
}

describe('roles', () => {
  test('each may do what the ones below it may', async () => {
    const server = await start()
    for (const [role, expected] of [
      ['admin', ['passed', 'passed', 'passed']],
      ['read-write', ['passed', 'passed', 403]],
      ['read-only', ['passed', 403, 403]],
      ['guest', [403, 403, 403]],
    ] as const) {
      expect([role, await verdicts(server, `Bearer ${await token({ role })}`)]).toEqual([role, expected])
    }
  })

  test('a refusal names the role that is needed', async () => {
    const server = await start()
    const answer = await ask(server, A, `Bearer ${await token({ role: 'read-write' })}`)
    expect(answer.json).toMatchObject({ code: 'FORBIDDEN', details: { required: 'admin' } })
    expect(answer.json.error).toContain("'read-write'")
  })

  test('an array of roles counts by its highest; claims and names can be others, also inside objects', async () => {
    expect(await verdicts(await start(), `Bearer ${await token({ roles: ['x', 'read-only', 'admin'] })}`)).toEqual([
      'passed',
      'passed',
      'passed',
    ])
    const keycloak = await start({
      JWT_SECRET: SECRET,
      JWT_ROLES_CLAIM: 'realm_access.roles',
      JWT_ROLE_READ_WRITE: 'queen-rw',
    })
    const nested = await token({ realm_access: { roles: ['queen-rw'] } })
    expect(await verdicts(keycloak, `Bearer ${nested}`)).toEqual(['passed', 'passed', 403])
  })

  test('public routes ask for nothing, not even for a good token', async () => {
    const server = await start()
    for (const path of ['/health', '/health/live', '/metrics', '/openapi.json']) {
      expect([path, (await ask(server, path, 'Bearer rubbish')).status]).toEqual([path, 200])
    }
  })
})

describe('tokens', () => {
  test('missing, in another scheme or no token at all: AUTH_REQUIRED', async () => {
    const server = await start()
    for (const authorization of [undefined, '', 'Basic dXNlcjpwdw==', 'Bearer', 'rubbish']) {
      const answer = await ask(server, R, authorization)
      expect([authorization, answer.status, answer.json.code]).toEqual([authorization, 401, 'AUTH_REQUIRED'])
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
  })

  test('the scheme in any case, or the token alone', async () => {
    const server = await start()
    const good = await token({ role: 'admin' })
    for (const authorization of [`Bearer ${good}`, `bearer ${good}`, `BEARER   ${good}`, good]) {
      expect((await ask(server, R, authorization)).status).toBe(200)
    }
  })

  test('another secret, a changed claim, no signature: INVALID_TOKEN, without a word of the token', async () => {
    const server = await start()
    const good = await token({ role: 'read-only' })
    const [head, , signature] = good.split('.')
    const body = Buffer.from(JSON.stringify({ role: 'admin' })).toString('base64url')
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`
    const bad = [await token({ role: 'admin' }, 'y'.repeat(40)), `${head}.${body}.${signature}`, none, 'a.b.c']
    for (const each of bad) {
      const answer = await ask(server, R, `Bearer ${each}`)
      expect([answer.status, answer.json.code]).toEqual([401, 'INVALID_TOKEN'])
      expect(answer.text).not.toContain(each)
    }
  })

  test('a public key never checks a token that was signed with it as a secret', async () => {
    const pem = RSA.publicKey.export({ format: 'pem', type: 'spki' }).toString()
    const server = await start({ JWT_PUBLIC_KEY: pem })
    expect((await ask(server, R, await token({ role: 'admin' }, pem))).json.code).toBe('INVALID_TOKEN')
    expect((await ask(server, R, await token({ role: 'admin' }, RSA.privateKey, { alg: 'RS256' }))).status).toBe(200)
  })

  test('exp and nbf count with 30 s of skew', async () => {
    const server = await start()
    const verdict = async (claims: Claims) =>
      (await ask(server, R, await token({ role: 'admin', ...claims }))).json.code
    expect(await verdict({ exp: inSeconds(-20) })).toBeUndefined()
    expect(await verdict({ exp: inSeconds(-40) })).toBe('TOKEN_EXPIRED')
    expect(await verdict({ nbf: inSeconds(20) })).toBeUndefined()
    expect(await verdict({ nbf: inSeconds(60) })).toBe('INVALID_TOKEN')
  })

  test('a token that was good is not good any more when it has ended', async () => {
    const server = await start({ JWT_SECRET: SECRET, JWT_CLOCK_SKEW_SECONDS: '0' })
    const short = await token({ role: 'admin', exp: inSeconds(2) })
    expect((await ask(server, R, short)).status).toBe(200)
    await expect.poll(async () => (await ask(server, R, short)).json.code, { timeout: 10_000 }).toBe('TOKEN_EXPIRED')
  })

  test('issuer and audience are checked when they are configured', async () => {
    const server = await start({ JWT_SECRET: SECRET, JWT_ISSUER: 'https://id.example', JWT_AUDIENCE: 'queen, other' })
    const status = async (claims: Claims) => (await ask(server, R, await token({ role: 'admin', ...claims }))).status
    expect(await status({ iss: 'https://id.example', aud: ['queen'] })).toBe(200)
    expect(await status({ iss: 'https://id.example', aud: 'other' })).toBe(200)
    expect(await status({ iss: 'https://id.example', aud: 'third' })).toBe(401)
    expect(await status({ iss: 'https://evil.example', aud: 'queen' })).toBe(401)
    expect(await status({})).toBe(401)
  })

  test('a sub that could not be stamped on a message is refused', async () => {
    const server = await start()
    for (const sub of ['', 'a\0b', 'x'.repeat(256)]) {
      expect((await ask(server, R, await token({ role: 'admin', sub }))).json.code).toBe('INVALID_TOKEN')
    }
  })

  test('401 and 403 come before whatever else is wrong with a request', async () => {
    const server = await start()
    const bad = (authorization: string) => server.ask('POST', W, '{not json', { Authorization: authorization })
    expect((await bad('Bearer a.b.c')).status).toBe(401)
    expect((await bad(await token({ role: 'read-only' }))).status).toBe(403)
    expect((await bad(await token({ role: 'read-write' }))).status).toBe(400)
  })
})

describe('key sets', () => {
  const servers: Server[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  async function keyServer(keys: {
    current: Record<string, KeyObject>
  }): Promise<{ url: string; asked: () => number }> {
    let asked = 0
    const server = createServer(async (_request, response) => {
      asked++
      const jwks = await Promise.all(
        Object.entries(keys.current).map(async ([kid, key]) => ({ ...(await exportJWK(key)), kid })),
      )
      response.writeHead(jwks.length === 0 ? 500 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ keys: jwks }))
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`, asked: () => asked }
  }

  test('RS256 and EdDSA by key id; the set is read once for many requests', async () => {
    const { url, asked } = await keyServer({ current: { r: RSA.publicKey, e: ED.publicKey } })
    const server = await start({ JWT_JWKS_URL: url })
    const rs = await token({ role: 'admin' }, RSA.privateKey, { alg: 'RS256', kid: 'r' })
    const ed = await token({ role: 'admin' }, ED.privateKey, { alg: 'EdDSA', kid: 'e' })
    for (let i = 0; i < 5; i++) for (const each of [rs, ed]) expect((await ask(server, R, each)).status).toBe(200)
    expect(asked()).toBe(1)
    const stranger = await token({ role: 'admin' }, generateKeyPairSync('ed25519').privateKey, {
      alg: 'EdDSA',
      kid: 'e',
    })
    expect((await ask(server, R, stranger)).json.code).toBe('INVALID_TOKEN')
    const unknown = await token({ role: 'admin' }, ED.privateKey, { alg: 'EdDSA', kid: 'nobody' })
    expect((await ask(server, R, unknown)).json.code).toBe('INVALID_TOKEN')
  })

  test('a key set that cannot be read makes callers wait, not fail for good', async () => {
    const keys = { current: {} as Record<string, KeyObject> }
    const { url } = await keyServer(keys)
    const server = await start({ JWT_JWKS_URL: url })
    const good = await token({ role: 'admin' }, ED.privateKey, { alg: 'EdDSA', kid: 'e' })
    const refused = await ask(server, R, good)
    expect([refused.status, refused.json.code]).toEqual([503, 'NOT_READY'])
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(refused.json.error).toContain('ECONNREFUSED')
    keys.current = { e: ED.publicKey }
    expect((await ask(server, R, good)).status).toBe(200)
  })
})
