/** The bad days of a database, one after the other, under load and without an operator: what under-trouble.ts asks of each. */
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { TcpProxy } from '../chaos/tcp-proxy.ts'
import { atEnd, endLeftovers, temporaryPostgres } from '../support/leftovers.ts'
import { openTables } from '../support/tables.ts'
import { UnderTrouble } from '../support/under-trouble.ts'

afterEach(endLeftovers)

/** Longer than every limit of a statement and than the shortest lease. */
const SECONDS = 5
const CONNECTIONS_MAX = 40

describe('G1 G2 G3 G4 G9 PostgreSQL', () => {
  test.each(['fast', 'immediate'] as const)(
    'stopped (%s)',
    async (mode) => {
      const postgres = await temporaryPostgres()
      const rig = await UnderTrouble.start(postgres.url)
      const found = await rig.through(
        SECONDS,
        async () => {
          await postgres.stop(mode)
          return async () => void (await postgres.restart())
        },
        // What a crash may take back: leases are not worth a flush to the disk.
        { leasesSurvive: mode === 'fast' },
      )
      expect(found.buffered).toBeGreaterThan(100)
      await rig.finish()
    },
    60_000,
  )

  test('killed with SIGKILL', async () => {
    const postgres = await temporaryPostgres()
    const rig = await UnderTrouble.start(postgres.url)
    await rig.through(
      SECONDS,
      async () => {
        await postgres.kill()
        return async () => void (await postgres.restart())
      },
      { leasesSurvive: false },
    )
    await rig.finish()
  }, 60_000)

  test('frozen with SIGSTOP', async () => {
    const postgres = await temporaryPostgres()
    const rig = await UnderTrouble.start(postgres.url)
    const found = await rig.through(SECONDS, async () => {
      postgres.freeze()
      return async () => postgres.thaw()
    })
    expect(found.buffered).toBeGreaterThan(100)
    await rig.finish()
  }, 60_000)

  test('that takes no writes: default_transaction_read_only', async () => {
    const postgres = await temporaryPostgres()
    const rig = await UnderTrouble.start(postgres.url)
    const tables = await openTables(postgres.url)
    const set = async (command: string): Promise<void> => {
      await tables.query(command)
      await tables.query('SELECT pg_reload_conf()')
    }
    const found = await rig.through(SECONDS, async () => {
      await set('ALTER SYSTEM SET default_transaction_read_only = on')
      return () => set('ALTER SYSTEM RESET default_transaction_read_only')
    })
    expect(found.buffered).toBeGreaterThan(100)
    await rig.finish()
  }, 60_000)

  test('without a free connection: max_connections exhausted by others', async () => {
    const postgres = await temporaryPostgres({
      max_connections: String(CONNECTIONS_MAX),
      superuser_reserved_connections: '0',
      reserved_connections: '0',
    })
    const rig = await UnderTrouble.start(postgres.url)
    const found = await rig.through(SECONDS, async () => exhaust(postgres.url))
    expect(found.buffered).toBeGreaterThan(100)
    await rig.finish()
  }, 60_000)

  test('behind a network that swallows every packet', async () => {
    const postgres = await temporaryPostgres()
    const url = new URL(postgres.url)
    const proxy = await TcpProxy.open(Number(url.port))
    atEnd(() => proxy.close())
    url.port = String(proxy.port)
    const rig = await UnderTrouble.start(url.href, postgres.url)
    const found = await rig.through(
      SECONDS,
      async () => {
        proxy.stall()
        return async () => proxy.heal()
      },
      // Those that were given up are still open on the server's side of the proxy.
      { leasesSurvive: true, connectionsMax: 60 },
    )
    expect(found.buffered).toBeGreaterThan(100)
    await rig.finish()
  }, 60_000)
})

/** Takes every connection there is, also those that the instance had. */
async function exhaust(url: string): Promise<() => Promise<void>> {
  const taken: pg.Client[] = []
  let going = true
  const take = async (): Promise<boolean> => {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    try {
      await client.connect()
      taken.push(client)
      return true
    } catch {
      return false
    }
  }
  // All at once: leases run while this goes on.
  await Promise.all(Array.from({ length: CONNECTIONS_MAX }, take))
  const [first] = taken
  const filling = (async () => {
    while (going) {
      await first!.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'queen %'`)
      while (await take());
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  return async () => {
    going = false
    await filling
    await Promise.all(taken.map((client) => client.end()))
  }
}
