/** The schema on every supported PostgreSQL. Slow starts are paid once a major. */
import { createDatabase, startTestPostgres } from '@queen/embedded-postgres/testing'
import { describe, expect, it } from 'vitest'
import { ownFunctions } from '../../src/store/functions.ts'
import { migrate } from '../../src/store/migrator.ts'
import { openDatabase } from '../../src/store/pool.ts'
import { dumpSchema } from './schema-dump.ts'
import { openTestDatabase, silent, testLimits } from './test-database.ts'

const COMMITTED = '../../sql/schema.generated.sql'

describe('the schema', () => {
  it('is the one that sql/schema.generated.sql shows', async () => {
    await using opened = await openTestDatabase()
    await expect(await dumpSchema(opened.database.admin, ownFunctions().version)).toMatchFileSnapshot(COMMITTED)
  })

  it('has functions whose bodies PostgreSQL accepts', async () => {
    await using opened = await openTestDatabase()
    const { database } = opened
    // The migrator installs them unchecked, because they call each other. Here all of them exist.
    const definitions = await database.admin.run<{ definition: string }>(
      'definitions',
      `SELECT pg_get_functiondef(p.oid) AS definition FROM pg_proc p WHERE p.pronamespace = to_regnamespace('queen')`,
      [],
    )
    expect(definitions.length).toBeGreaterThanOrEqual(ownFunctions().names.length)
    await database.dedicated({ lockTimeoutMs: 0, statementTimeoutMs: 0 }, async (sql) => {
      for (const { definition } of definitions) await sql.command(definition)
    })
  })

  it.each([15, 16, 17] as const)('is the same on PostgreSQL %i', async (major) => {
    const server = await startTestPostgres({ major })
    try {
      const { url } = await createDatabase(server.url)
      const database = openDatabase({ url, ...testLimits, log: silent })
      await migrate(database)
      await expect(await dumpSchema(database.admin, ownFunctions().version)).toMatchFileSnapshot(COMMITTED)
      await database.close()
    } finally {
      await server.remove()
    }
  })
})
