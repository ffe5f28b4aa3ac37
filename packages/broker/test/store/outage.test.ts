/** The pool against a server that dies, freezes, is full, or never was there. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { startTestPostgres } from '@queen/embedded-postgres/testing'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MISSED } from '../../src/ports/notifications.ts'
import type { StoreError } from '../../src/ports/store-error.ts'
import { openDatabase, type QueenDatabase } from '../../src/store/pool/pool.ts'
import { silent } from './test-database.ts'

const LIMITS = { poolSize: 3, lockTimeoutMs: 300, statementTimeoutMs: 600, connectTimeoutMs: 600 }
// Statement limit and margin of the client, plus what a busy machine adds.
const GIVE_UP_MS_MAX = 2_500

let server: Awaited<ReturnType<typeof startTestPostgres>>

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error) => error as StoreError,
  )

/** A database whose changes of state can be waited for. */
function watched(url: string, limits: Partial<typeof LIMITS> = {}) {
  const changes: string[] = []
  let wake = () => {}
  const database = openDatabase({
    url,
    ...LIMITS,
    ...limits,
    log: silent,
    onStateChange: (state) => {
      changes.push(state)
      wake()
    },
  })
  return {
    database,
    changes,
    async until(state: 'connected' | 'disconnected') {
      while (database.connectionState !== state)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    },
    [Symbol.asyncDispose]: () => database.close(),
  }
}

/** On a connection that is none of ours. */
async function query(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(text)
  await client.end()
}

const one = (database: QueenDatabase, pool: 'hot' | 'admin' | 'state' = 'hot') =>
  database[pool].run<{ one: number }>('one', 'SELECT 1 AS one', [])

async function timed<T>(work: Promise<T>): Promise<{ result: T; ms: number }> {
  const startedAt = performance.now()
  const result = await work
  return { result, ms: performance.now() - startedAt }
}

beforeAll(async () => {
  server = await startTestPostgres({ settings: { max_connections: '20' } })
})
afterAll(() => server.remove())

describe('a session that is killed', () => {
  it('in the middle of a statement leaves its outcome unknown, and the next statement works', async () => {
    await using db = watched(server.url)
    await db.until('connected')
    const sleeping = failureOf(db.database.hot.run('sleep', 'SELECT pg_sleep(0.4)', []))
    let killed = 0
    while (killed === 0) {
      const rows = await db.database.admin.run<{ killed: number }>(
        'kill',
        "SELECT count(pg_terminate_backend(pid))::int AS killed FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.4)%' AND pid <> pg_backend_pid() AND state = 'active'",
        [],
      )
      killed = rows[0]!.killed
    }
    expect(await sleeping).toMatchObject({ failure: 'unavailable', outcomeUnknown: true, sqlState: '57P01' })
    expect(await one(db.database)).toEqual([{ one: 1 }])
    expect(db.changes).toEqual(['connected'])
  })

  it('while idle is replaced without anybody noticing', async () => {
    await using db = watched(server.url)
    await Promise.all([one(db.database), one(db.database, 'state')])
    await db.database.dedicated({ lockTimeoutMs: 0, statementTimeoutMs: 0 }, (sql) =>
      sql.run(
        'kill_all',
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'queen' AND pid <> pg_backend_pid()",
        [],
      ),
    )
    while (db.database.stats().size > 0) await new Promise(setImmediate)
    expect(await one(db.database)).toEqual([{ one: 1 }])
  })
})

describe('a server that is full', () => {
  it('refuses in time, and serves again when there is room', async () => {
    await using db = watched(server.url)
    await db.until('connected')
    const others = watched(server.url)
    const { result, ms } = await timed(
      others.database.dedicated({ lockTimeoutMs: 0, statementTimeoutMs: 0 }, async (sql) => {
        const [limit] = await sql.run<{ free: number }>(
          'room',
          "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS free",
          [],
        )
        return limit!.free
      }),
    )
    expect(ms).toBeLessThan(GIVE_UP_MS_MAX)
    await others.database.close()

    const hogs: InstanceType<typeof pg.Client>[] = []
    for (let i = 0; i < result + 5; i++) {
      const hog = new pg.Client({ connectionString: server.url })
      hog.on('error', () => {})
      const connected = await hog.connect().then(
        () => true,
        () => false,
      )
      if (!connected) break
      hogs.push(hog)
    }
    const refused = await timed(failureOf(one(db.database)))
    expect(refused.result).toMatchObject({ failure: 'unavailable', outcomeUnknown: false })
    expect(refused.ms).toBeLessThan(GIVE_UP_MS_MAX)
    await Promise.all(hogs.map((hog) => hog.end()))
    await db.until('connected')
    expect(await one(db.database)).toEqual([{ one: 1 }])
  })
})

describe('a role that has no connection left', () => {
  /** The message paths have two of four; the others are one for state and one for notifications. */
  async function crowded() {
    const role = `few_${randomBytes(4).toString('hex')}`
    const url = new URL(server.url)
    url.username = role
    url.password = 'few'
    await query(server.url, `CREATE ROLE ${role} LOGIN PASSWORD 'few' CONNECTION LIMIT 4`)
    // Nobody here waits for a time to pass.
    const db = watched(url.href, { statementTimeoutMs: 20_000, connectTimeoutMs: 20_000 })
    await db.until('connected')
    await new Promise<void>((resolve) => db.database.listener.onConnected(resolve))
    const busy = [await occupied(db.database, 'hot'), await occupied(db.database, 'hot')]
    // No room for a third.
    const third = one(db.database)
    return { ...db, busy, third }
  }

  /** A transaction that goes on until it is ended. */
  async function occupied(database: QueenDatabase, pool: 'hot' | 'state') {
    const [began, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const ended = database.transaction(pool, async () => {
      began.resolve()
      await end.promise
    })
    await Promise.race([began.promise, ended])
    return async () => {
      end.resolve()
      await ended
    }
  }

  const LIMITS_OF_ITS_OWN = { lockTimeoutMs: 1_234, statementTimeoutMs: 2_345 }
  const settingsOf = (database: QueenDatabase) =>
    database.dedicated(LIMITS_OF_ITS_OWN, async (sql) => {
      const [row] = await sql.run<{ lt: string; pcm: string; path: string; an: string }>(
        'settings',
        `SELECT current_setting('lock_timeout') AS lt, current_setting('plan_cache_mode') AS pcm,
                current_setting('search_path') AS path, current_setting('application_name') AS an`,
        [],
      )
      return row
    })
  const OWN = { lt: '1234ms', pcm: 'auto', path: '', an: 'queen' }

  it('G5 uses an idle one of the message paths for the fence', async () => {
    await using db = await crowded()
    for (const end of db.busy) await end()
    expect(await db.third).toEqual([{ one: 1 }])
    expect(await settingsOf(db.database)).toEqual(OWN)
    expect(await one(db.database)).toEqual([{ one: 1 }])
  })

  it('G5 gives the fence the first that comes back while all are busy, before those who wait', async () => {
    await using db = await crowded()
    const settings = settingsOf(db.database)
    await db.busy[0]!()
    expect(await settings).toEqual(OWN)
    await db.busy[1]!()
    expect(await db.third).toEqual([{ one: 1 }])
  })

  it('reads state, hears notifications and administers, and keeps one for the message paths', async () => {
    await using db = await crowded()
    for (const end of db.busy) await end()
    await db.third
    const endState = await occupied(db.database, 'state')
    expect(await one(db.database, 'state')).toEqual([{ one: 1 }])
    await endState()
    for (const pool of ['admin', 'state', 'hot'] as const) expect(await one(db.database, pool)).toEqual([{ one: 1 }])
    expect(db.database.stats().size).toBe(1)
    expect(db.changes).toEqual(['connected'])
  })
})

describe('a server that freezes', () => {
  it('is given up in time with an unknown outcome, then refused at once, then found again', async () => {
    await using db = watched(server.url)
    await Promise.all([one(db.database), one(db.database, 'state')])
    server.freeze()
    try {
      const first = await timed(failureOf(one(db.database)))
      expect(first.result).toMatchObject({ failure: 'unavailable', outcomeUnknown: true, sqlState: null })
      expect(first.ms).toBeLessThan(GIVE_UP_MS_MAX)
      expect(db.database.connectionState).toBe('disconnected')
      const second = await timed(failureOf(one(db.database)))
      expect(second.result).toMatchObject({ failure: 'unavailable', outcomeUnknown: false })
      expect(second.ms).toBeLessThan(100)
    } finally {
      server.thaw()
    }
    await db.until('connected')
    expect(await one(db.database)).toEqual([{ one: 1 }])
  })
})

describe('a server that stops', () => {
  it('fast, immediate or killed is noticed at once and found again', async () => {
    await using db = watched(server.url)
    for (const how of ['fast', 'immediate', 'kill'] as const) {
      await db.until('connected')
      await one(db.database)
      const lost = db.until('disconnected')
      if (how === 'kill') await server.kill()
      else await server.stop(how)
      await lost
      const refused = await timed(failureOf(one(db.database)))
      expect(refused.result).toMatchObject({ failure: 'unavailable', outcomeUnknown: false })
      expect(refused.ms).toBeLessThan(100)
      await server.restart()
      await db.until('connected')
      expect(await one(db.database)).toEqual([{ one: 1 }])
    }
    expect(db.changes.slice(0, 2)).toEqual(['connected', 'disconnected'])
  })

  it('loses notifications only while it is away, and says so afterwards', async () => {
    await using db = watched(server.url)
    const { listener } = db.database
    const heard: string[] = []
    let wake = () => {}
    listener.on('hints', (payload, own) => {
      heard.push(`${payload} ${own}`)
      wake()
    })
    const hear = async (payload: string) => {
      while (!heard.includes(`${payload} true`)) {
        listener.notify('hints', payload)
        await new Promise<void>((resolve) => {
          wake = resolve
          setTimeout(resolve, 50)
        })
      }
    }
    await hear('before')
    heard.length = 0
    await server.stop('immediate')
    while (listener.connected) await new Promise(setImmediate)
    listener.notify('hints', 'lost')
    const again = new Promise<void>((resolve) => listener.onConnected(resolve))
    await server.restart()
    await again
    await hear('after')
    expect(heard.some((line) => line.startsWith('lost'))).toBe(false)
    expect(heard.filter((line) => line === `${MISSED} true`)).toHaveLength(1)
  })
})

describe('a server that was never there', () => {
  it('is refused as soon as the connection is', async () => {
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as { port: number }
    probe.close()
    await once(probe, 'close')
    await using db = watched(`postgres://nobody@127.0.0.1:${port}/nothing`)
    const first = await timed(failureOf(one(db.database)))
    expect(first.result).toMatchObject({ failure: 'unavailable', outcomeUnknown: false })
    expect(first.ms).toBeLessThan(500)
    await db.until('disconnected')
  })

  it('is given up when it accepts connections and says nothing', async () => {
    const sockets: Socket[] = []
    const mute = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const { port } = mute.address() as { port: number }
    await using db = watched(`postgres://nobody@127.0.0.1:${port}/nothing`)
    const first = await timed(failureOf(one(db.database)))
    expect(first.result).toMatchObject({ failure: 'unavailable', outcomeUnknown: false })
    expect(first.ms).toBeLessThan(GIVE_UP_MS_MAX)
    await db.until('disconnected')
    for (const socket of sockets) socket.destroy()
    mute.close()
  })
})
