/**
 * What a test started and must not outlive it: processes, servers, connections, directories. They end in the reverse
 * order of their start, whether the test passed or not.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDatabase, startTestPostgres } from '@queen/embedded-postgres/testing'

type End = () => Promise<unknown> | unknown

const ends: End[] = []

export function atEnd(end: End): void {
  ends.push(end)
}

/** For afterEach, or for afterAll where the tests of a file share what they use. */
export async function endLeftovers(): Promise<void> {
  const failures: unknown[] = []
  for (const end of ends.splice(0).reverse()) await Promise.resolve(end()).catch((error) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'queen-e2e-'))
  atEnd(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** An empty database on the server that all tests of the run share. */
export async function temporaryDatabase(): Promise<string> {
  const database = await createDatabase()
  atEnd(() => database.drop())
  return database.url
}

/** A PostgreSQL of the test's own, to be stopped, killed and frozen. */
export async function temporaryPostgres(
  settings: Record<string, string> = {},
  log: (line: string) => void = () => {},
): Promise<Awaited<ReturnType<typeof startTestPostgres>>> {
  const server = await startTestPostgres({ settings, log })
  atEnd(() => server.remove())
  return server
}
