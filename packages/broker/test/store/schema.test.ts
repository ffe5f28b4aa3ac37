/** The schema on every supported PostgreSQL. A major's slow start is paid once. */
import { readFileSync } from 'node:fs'
import { createDatabase, startTestPostgres } from '@queen/embedded-postgres/testing'
import { describe, expect, it } from 'vitest'
import { openDatabase, type QueenDatabase } from '../../src/store/pool/pool.ts'
import { ownFunctions } from '../../src/store/schema/functions.ts'
import { migrate } from '../../src/store/schema/migrator.ts'
import { dumpSchema } from './schema-dump.ts'
import { openTestDatabase, silent, testLimits } from './test-database.ts'

async function expectTheSchema(database: QueenDatabase): Promise<void> {
  await expect(await dumpSchema(database.admin)).toMatchFileSnapshot('../../sql/schema.generated.sql')
  // The migrator installs functions unchecked, because they call each other. Here all of them exist.
  const definitions = await database.admin.run<{ definition: string }>(
    'definitions',
    "SELECT pg_get_functiondef(p.oid) AS definition FROM pg_proc p WHERE p.pronamespace = to_regnamespace('queen')",
    [],
  )
  expect(definitions.length).toBeGreaterThanOrEqual(ownFunctions().names.length)
  await database.dedicated({ lockTimeoutMs: 10_000, statementTimeoutMs: 10_000 }, async (sql) => {
    for (const { definition } of definitions) await sql.command(definition)
  })
}

describe('sql/schema.generated.sql and every function body', () => {
  it('are what PostgreSQL 18 has', async () => {
    await using opened = await openTestDatabase()
    await expectTheSchema(opened.database)
  })

  it('are the tables that docs/reference/schema.md tells of', () => {
    const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')
    const tables = [...read('../../sql/schema.generated.sql').matchAll(/^CREATE TABLE queen\.(\w+)/gm)].map(
      ([, name]) => name!,
    )
    const told = read('../../../../docs/reference/schema.md')
    expect(tables.length).toBeGreaterThan(10)
    expect(tables.filter((name) => !told.includes(`\`${name}\``))).toEqual([])
  })

  it.each([15, 16, 17] as const)('are what PostgreSQL %i has', async (major) => {
    const server = await startTestPostgres({ major })
    try {
      const { url } = await createDatabase(server.url)
      const database = openDatabase({ url, ...testLimits, log: silent })
      await migrate(database)
      await expectTheSchema(database)
      await database.close()
    } finally {
      await server.remove()
    }
  })
})
