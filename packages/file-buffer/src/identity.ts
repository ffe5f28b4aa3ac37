/**
 * The persistent id of a buffer directory: the key under which the database remembers how far it was drained.
 *
 * Kept in a state file of its own; when that is lost or damaged the files name it. Only a directory without either
 * gets a new id, and then no record of it can have been drained under another. One that turned out to be an older copy of
 * a directory that went on elsewhere gets another id; its files may still bear the former.
 */
import { randomUUID } from 'node:crypto'
import type { Disk } from './disk.ts'
import { bufferIdOfFiles } from './recovery.ts'
import type { StateFiles } from './state-files.ts'

/** A name callers cannot take by accident: their states are named after what they hold. */
const STATE = 'buffer-identity'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** Files of one that came before those are long drained. */
const FORMER_MAX = 10

export interface Identity {
  readonly bufferId: string
  /** Latest first. */
  readonly formerIds: readonly string[]
}

export async function establishIdentity(disk: Disk, directory: string, states: StateFiles): Promise<Identity> {
  const stored = (await states.read(STATE)) as { bufferId?: unknown; formerIds?: unknown } | null
  if (isId(stored?.bufferId)) {
    const { formerIds } = stored
    return { bufferId: stored.bufferId, formerIds: Array.isArray(formerIds) ? formerIds.filter(isId) : [] }
  }
  const identity = { bufferId: (await bufferIdOfFiles(disk, directory)) ?? randomUUID(), formerIds: [] }
  await states.write(STATE, identity)
  return identity
}

/** Another id for the same directory; durable when it resolves. */
export async function renewIdentity(states: StateFiles, { bufferId, formerIds }: Identity): Promise<Identity> {
  const identity = { bufferId: randomUUID(), formerIds: [bufferId, ...formerIds].slice(0, FORMER_MAX) }
  await states.write(STATE, identity)
  return identity
}

/** The stored id without establishing one, or null. */
export async function peekIdentity(states: StateFiles): Promise<string | null> {
  const stored = (await states.read(STATE)) as { bufferId?: unknown } | null
  return typeof stored?.bufferId === 'string' ? stored.bufferId : null
}

const isId = (value: unknown): value is string => typeof value === 'string' && UUID.test(value)
