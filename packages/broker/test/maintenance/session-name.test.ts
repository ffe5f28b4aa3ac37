import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { sessionName } from '../../src/engine/maintenance/session-name.ts'
import { openTestDatabase } from '../store/test-database.ts'

test('the name of an instance is the name of its sessions, as far as PostgreSQL has room for it', async () => {
  expect(sessionName('q-7f3a')).toBe('queen q-7f3a')
  const fits = 'x'.repeat(57)
  expect(sessionName(fits)).toBe(`queen ${fits}`)
  const long = `${'x'.repeat(62)}-1`
  await using opened = await openTestDatabase({ applicationName: sessionName(long) })
  const [row] = await opened.database.hot.run<{ name: string }>(
    'own_name',
    `SELECT pg_catalog.current_setting('application_name') AS name`,
    [],
  )
  expect(row!.name).toBe(sessionName(long))
})

test('instances whose long names differ at the end have sessions of different names', () => {
  const name = `${randomUUID()}-${randomUUID()}`.slice(0, 63)
  expect(sessionName(`${name}1`)).not.toBe(sessionName(`${name}2`))
})
