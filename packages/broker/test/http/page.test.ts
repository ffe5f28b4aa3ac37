/** The dashboard's files as the broker serves them: types, caches, encodings, and nothing beside them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { readPageFiles } from '../../src/http/page/page-files.ts'
import { startServer } from './test-server.ts'

const SCRIPT = `console.log(${JSON.stringify('queen'.repeat(100))})`
const toRemove: string[] = []
afterEach(() => {
  for (const directory of toRemove.splice(0)) rmSync(directory, { recursive: true, force: true })
})

function builtPage(): string {
  const parent = mkdtempSync(join(tmpdir(), 'queen-page-'))
  toRemove.push(parent)
  const directory = join(parent, 'dist')
  mkdirSync(join(directory, 'assets'), { recursive: true })
  writeFileSync(join(parent, 'secret.html'), 'secret')
  writeFileSync(join(directory, 'index.html'), '<!doctype html><title>Queen</title>')
  writeFileSync(join(directory, 'assets', 'app-abc123.js'), SCRIPT)
  writeFileSync(join(directory, 'assets', 'app-abc123.js.gz'), gzipSync(SCRIPT))
  writeFileSync(join(directory, 'sources.sha256'), 'hash')
  return directory
}

describe('the page', () => {
  it('is served at / and at every address that is not the API’s, and never cached unasked', async () => {
    const { ask } = await startServer({}, { pageFiles: readPageFiles(builtPage()) })
    for (const path of ['/', '/queues', '/queues/a%2Fb', '/index.html?x=1']) {
      const answer = await ask('GET', path)
      expect([path, answer.status, answer.headers.get('content-type')]).toEqual([path, 200, 'text/html; charset=utf-8'])
      expect(answer.text).toContain('<title>Queen</title>')
      expect(answer.headers.get('cache-control')).toBe('no-cache')
      expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'")
      expect(answer.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
      const again = await ask('GET', path, null, { 'If-None-Match': `W/"x", ${answer.headers.get('etag')}` })
      expect([again.status, again.text]).toEqual([304, ''])
    }
    const head = await ask('HEAD', '/')
    expect([head.status, head.text, head.headers.get('content-length')]).toEqual([200, '', '35'])
  })

  it('keeps assets for ever, compressed for those who take it', async () => {
    const { ask } = await startServer({}, { pageFiles: readPageFiles(builtPage()) })
    const path = '/assets/app-abc123.js'
    const plain = await ask('GET', path)
    expect([plain.text, plain.headers.get('content-encoding')]).toEqual([SCRIPT, undefined])
    expect(plain.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(plain.headers.get('vary')).toBe('accept-encoding')
    const packed = await ask('GET', path, null, { 'Accept-Encoding': 'br, gzip' })
    expect(packed.headers.get('content-encoding')).toBe('gzip')
    expect(packed.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect(Number(packed.headers.get('content-length'))).toBeLessThan(SCRIPT.length)
    const refused = await ask('GET', path, null, { 'Accept-Encoding': 'gzip;q=0, br' })
    expect(refused.headers.get('content-encoding')).toBe(undefined)
  })

  it('answers what is not its own as the API does: no page for programs, no file outside its folder', async () => {
    const { ask } = await startServer({}, { pageFiles: readPageFiles(builtPage()) })
    const misspelt = ['//api/v1/pop/queue/orders', '///api', '/API/v1/status', '//health']
    const unknown = ['/api', '/api/v1/nothing', '/assets/old.js', '/health/', '/streams/v1/x', '/metrics/x']
    for (const path of [...unknown, ...misspelt]) {
      const answer = await ask('GET', path)
      expect([path, answer.status, answer.json?.code]).toEqual([path, 404, 'NOT_FOUND'])
    }
    for (const path of ['/../secret.html', '/assets/../../secret.html', '/..%2fsecret.html', '/%2e%2e/secret.html']) {
      expect((await ask('GET', path)).text).not.toContain('secret')
    }
    // What the build left for itself is no file of the page.
    expect((await ask('GET', '/sources.sha256')).text).toContain('<title>Queen</title>')
    expect((await ask('POST', '/', '{}')).json.code).toBe('NOT_FOUND')
    expect((await ask('GET', '/api/v1/push')).status).toBe(405)
    expect((await ask('GET', '/health/live')).json).toEqual({ status: 'ok' })
  })

  it('says how to build it when it was not', async () => {
    const { ask } = await startServer({}, { pageFiles: readPageFiles(join(tmpdir(), 'queen-page-nowhere')) })
    const answer = await ask('GET', '/')
    expect(answer.status).toBe(200)
    expect(answer.text).toContain('npm start')
  })
})
