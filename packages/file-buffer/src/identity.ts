/**
 * The persistent id of a buffer directory: the key under which the database remembers how far it was drained.
 *
 * Kept in a state file of its own; when that is lost or damaged the files name it. Only a directory without either
 * gets a new id, and then no record of it can have been drained under another.
 */
import { randomUUID } from 'node:crypto'
import type { Disk } from './disk.ts'
import { bufferIdOfFiles } from './recovery.ts'
import type { StateFiles } from './state-files.ts'

/** A name callers cannot take by accident: their states are named after what they hold. */
const STATE = 'buffer-identity'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export async function establishIdentity(disk: Disk, directory: string, states: StateFiles): Promise<string> {
  const stored = (await states.read(STATE)) as { bufferId?: unknown } | null
  if (typeof stored?.bufferId === 'string' && UUID.test(stored.bufferId)) return stored.bufferId
  const bufferId = (await bufferIdOfFiles(disk, directory)) ?? randomUUID()
  await states.write(STATE, { bufferId })
  return bufferId
}

/** The stored id without establishing one, or null. */
export async function peekIdentity(states: StateFiles): Promise<string | null> {
  const stored = (await states.read(STATE)) as { bufferId?: unknown } | null
  return typeof stored?.bufferId === 'string' ? stored.bufferId : null
}
