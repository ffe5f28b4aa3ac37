/** Vitest global setup: one PostgreSQL for the whole run. The workers inherit the environment variable. */
import { startTestPostgres, TEST_DATABASE_URL } from './index.ts'

export default async function setup(): Promise<() => Promise<void>> {
  if (process.env[TEST_DATABASE_URL] !== undefined) return async () => {}
  const server = await startTestPostgres({ settings: { max_connections: '300' } })
  process.env[TEST_DATABASE_URL] = server.url
  return async () => {
    delete process.env[TEST_DATABASE_URL]
    await server.remove()
  }
}
