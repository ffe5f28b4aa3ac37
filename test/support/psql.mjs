#!/usr/bin/env node
// Stands in for psql where PostgreSQL's client is not installed: psql <url> -c <statement> …
import pg from 'pg'

const [connectionString, ...rest] = process.argv.slice(2)
const client = new pg.Client({ connectionString })
await client.connect()
for (let index = 0; index < rest.length; index += 2) {
  if (rest[index] !== '-c') throw new Error(`only -c is understood, not ${rest[index]}`)
  const { command } = await client.query(rest[index + 1])
  console.log(command)
}
await client.end()
