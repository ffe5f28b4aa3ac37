#!/usr/bin/env node
// Stands in for psql where PostgreSQL's client is not installed: psql <url> [-v ON_ERROR_STOP=1] (-c <statement> | -f <file>) …
// The first statement that fails ends it, as psql does with ON_ERROR_STOP.
import { readFileSync } from 'node:fs'
import pg from 'pg'

const [connectionString, ...rest] = process.argv.slice(2)
const client = new pg.Client({ connectionString })
await client.connect()
try {
  for (let index = 0; index < rest.length; index += 2) {
    const [flag, value] = [rest[index], rest[index + 1]]
    if (flag === '-v' && value === 'ON_ERROR_STOP=1') continue
    if (flag !== '-c' && flag !== '-f')
      throw new Error(`only -c, -f and -v ON_ERROR_STOP=1 are understood, not ${flag}`)
    // One at a time: several in one message are one transaction, and VACUUM takes none.
    const statements = flag === '-c' ? [value] : readFileSync(value, 'utf8').split(/;\s*(?:\n|$)/)
    for (const statement of statements.filter((each) => each.trim() !== '')) {
      const { command } = await client.query(statement)
      console.log(command)
    }
  }
} catch (error) {
  console.error(`ERROR:  ${error.message}`)
  process.exitCode = 3
} finally {
  await client.end()
}
