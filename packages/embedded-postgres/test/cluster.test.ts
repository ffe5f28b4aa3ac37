/** Data directories and binaries as they are found in the wild. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { linkLibraries } from '../src/binaries.ts'
import { startPostgres } from '../src/index.ts'
import { barrier } from '../src/server-user.ts'
import { systemPlace } from '../src/system-place.ts'
import { query } from './connect.ts'

const isRoot = process.getuid?.() === 0
const dirs: string[] = []

/** A directory that only its owner can enter, with a space in its name. */
function privateDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'queen private '))
  dirs.push(dir)
  return dir
}

/** The first that everybody may open; containers often have none that is forbidden. */
function lowestFreePort(): number {
  const file = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
}

afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

describe('a data directory', () => {
  test('holds the socket, whatever its name, and what a killed server left of one goes', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'queen "socket", '))
    dirs.push(parent)
    chmodSync(parent, 0o755)
    const server = await startPostgres({ dataDir: join(parent, 'it is here') })
    dirs.push(server.dataDir)
    const throughSocket = 'SELECT inet_server_addr() IS NULL AS socket, current_user AS name'
    expect(await query(server.socketUrl!, throughSocket)).toEqual([{ socket: true, name: 'queen' }])
    expect(await query(server.url, throughSocket)).toEqual([{ socket: false, name: 'queen' }])
    await server.kill()
    const left = join(server.dataDir, '.s.PGSQL.1')
    writeFileSync(left, '')
    await server.restart()
    expect(existsSync(left)).toBe(false)
    expect(await query(server.socketUrl!, throughSocket)).toEqual([{ socket: true, name: 'queen' }])
    await server.stop()
  })

  test('whose path is too long for a socket does without', async () => {
    const parent = mkdtempSync(join(tmpdir(), 'queen-long-'))
    dirs.push(parent)
    chmodSync(parent, 0o755)
    const server = await startPostgres({ dataDir: join(parent, 'x'.repeat(100)) })
    dirs.push(server.dataDir)
    expect(server.socketUrl).toBe(null)
    expect(await query(server.url, 'SHOW unix_socket_directories')).toEqual([{ unix_socket_directories: '' }])
    await server.stop()
  })

  test('under a directory that others cannot enter, with spaces', async () => {
    const wished = join(privateDir(), 'my data')
    const server = await startPostgres({ dataDir: wished })
    dirs.push(server.dataDir)
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await server.stop()
    // Root's stand-in lies elsewhere; anybody else gets what they asked for.
    expect(server.dataDir.startsWith(isRoot ? systemPlace() : wished)).toBe(true)
    const again = await startPostgres({ dataDir: wished })
    expect(again.dataDir).toBe(server.dataDir)
    await again.stop()
  })

  test('of another major version is not overlooked', async () => {
    const dir = join(tmpdir(), `queen-cluster-${randomBytes(6).toString('hex')}`)
    dirs.push(dir)
    mkdirSync(join(dir, 'postgres-17'), { recursive: true })
    await expect(startPostgres({ dataDir: dir })).rejects.toThrow(
      /postgres-17 was made by another PostgreSQL version than 18/,
    )
  })

  test('that cannot be created is one sentence', async () => {
    const file = join(privateDir(), 'file')
    writeFileSync(file, '')
    if (isRoot) chmodSync(dirs[0]!, 0o755)
    await expect(startPostgres({ dataDir: join(file, 'x') })).rejects.toThrow(
      /^The data directory .* cannot be written: E/,
    )
  })

  test('a half-made cluster of an interrupted start is swept away', async () => {
    const dir = join(tmpdir(), `queen-cluster-${randomBytes(6).toString('hex')}`)
    dirs.push(dir)
    mkdirSync(join(dir, 'initializing-dead'), { recursive: true, mode: 0o755 })
    if (isRoot) {
      const user = (await import('../src/server-user.ts')).serverUser(dir)!
      chownSync(dir, user.uid, user.gid)
    }
    const server = await startPostgres({ dataDir: dir })
    await server.stop()
    expect(existsSync(join(dir, 'initializing-dead'))).toBe(false)
  })

  test('a port in use is one sentence', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const dir = join(tmpdir(), `queen-cluster-${randomBytes(6).toString('hex')}`)
    dirs.push(dir)
    await expect(startPostgres({ dataDir: dir, port })).rejects.toThrow(
      `Port ${port} for the embedded PostgreSQL is in use.`,
    )
    taken.close()
  })

  test.runIf(lowestFreePort() > 81)('a port that is forbidden is another one', async () => {
    const dir = join(tmpdir(), `queen-cluster-${randomBytes(6).toString('hex')}`)
    dirs.push(dir)
    await expect(startPostgres({ dataDir: dir, port: 81 })).rejects.toThrow(
      'Port 81 may not be opened by the user who runs PostgreSQL; take one of 1024 or more.',
    )
  })

  test('a setting the server does not know is told in its own words', async () => {
    const dir = join(tmpdir(), `queen-cluster-${randomBytes(6).toString('hex')}`)
    dirs.push(dir)
    await expect(startPostgres({ dataDir: dir, settings: { no_such_thing: '1' } })).rejects.toThrow(
      /unrecognized configuration parameter "no_such_thing"/,
    )
  })
})

describe('binaries', () => {
  test('libraries are linked when no install script has done it', () => {
    const dir = privateDir()
    mkdirSync(join(dir, 'native', 'lib'), { recursive: true })
    const links = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }]
    writeFileSync(join(dir, 'native', 'pg-symlinks.json'), JSON.stringify(links))
    writeFileSync(join(dir, 'native', 'lib', 'libpq.so.5.18'), '')
    linkLibraries(dir)
    linkLibraries(dir)
    expect(readlinkSync(join(dir, 'native', 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18')
  })
})

describe("root's place", () => {
  test('is refused when somebody else could have planted something there', () => {
    const dir = join(privateDir(), 'place')
    mkdirSync(dir)
    chmodSync(dir, 0o777)
    expect(() => systemPlace([dir])).toThrow(/must be a directory that belongs to root/)
  })

  test('reachability goes by owner, group and others, for every directory above', () => {
    const dir = privateDir()
    const stranger = { uid: 4_000_000, gid: 4_000_000, name: 'stranger' }
    expect(barrier(stranger, join(dir, 'x'))).toBe(dir)
    chmodSync(dir, 0o711)
    expect(barrier(stranger, join(dir, 'x', 'y'))).toBeUndefined()
  })
})
