/**
 * Counts what is in an instance's buffer without asking it: the records in its files above what PostgreSQL has taken over.
 * Right while nobody writes there: behind a kill, or with pushes kept away (traffic.ts) and no drain under way.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { checkBufferDirectory } from '@queen/file-buffer'
import type { Instance } from '../support/instance.ts'
import { ask } from './ask.ts'
import type { Stage } from './stage.ts'

/** The switch is looked at every 5 s at the latest. */
const ASKING_MS_MAX = 6_000
const ASKING_PAUSE_MS = 100

export interface OnDisk {
  readonly bufferId: string | null
  /** Every readable record, by number. */
  readonly ranges: readonly { readonly first: number; readonly last: number }[]
}

export async function readDisk(directory: string): Promise<OnDisk> {
  const check = await checkBufferDirectory(directory)
  const ranges = check.files
    .filter((file) => file.records > 0)
    .map(({ damageCount, file, firstRecord, lastRecord, records }) => {
      const [first, last] = [firstRecord!, lastRecord!]
      if (damageCount > 0 || last - first + 1 !== records) throw new Error(`${file} is damaged`)
      return { first, last }
    })
  return { bufferId: check.bufferId, ranges }
}

export function undrained({ ranges }: OnDisk, drainedThrough: number): number {
  return ranges.reduce((sum, { first, last }) => sum + Math.max(0, last - Math.max(first - 1, drainedThrough)), 0)
}

/**
 * Whether one was made; not when somebody is still writing, draining, dead or deaf.
 *
 * How far PostgreSQL has taken a buffer over an instance can only know from PostgreSQL: one that has just started, or has
 * just found its database again, may say more for the moment it takes to ask. A difference counts when it stays.
 */
export async function countAgainstDisk(stage: Stage, index: number, after: string): Promise<boolean> {
  const { history } = stage
  for (const endsAt = performance.now() + ASKING_MS_MAX; ; await pause(ASKING_PAUSE_MS)) {
    const counted = await compare(stage, index)
    if (counted === null) return false
    if (counted.said !== counted.onDisk && performance.now() < endsAt) continue
    history.counts.push({ atMs: history.nowMs, instance: index, after, ...counted })
    return true
  }
}

async function compare(stage: Stage, index: number): Promise<{ said: number; onDisk: number } | null> {
  const { databaseUrl, instances } = stage
  const instance = instances[index]!
  const before = await look(instance)
  if (before === null || before.phase === 'draining') return null
  const disk = await readDisk(instance.bufferDir).catch(() => null)
  if (disk === null || disk.bufferId === null) return null
  const through = await ask(
    databaseUrl,
    `SELECT coalesce((SELECT drained_through FROM queen.buffer_progress WHERE buffer_id = $1), 0)::text AS answer`,
    [disk.bufferId],
  )
  const now = await look(instance)
  if (through === null || now === null || before.said !== now.said || before.phase !== now.phase) return null
  return { said: now.said, onDisk: undrained(disk, Number(through)) }
}

async function look(instance: Instance): Promise<{ said: number; phase: string } | null> {
  const answer = await instance.api.get('/health').catch(() => null)
  if (answer?.status !== 200 || answer.body.database !== 'connected') return null
  return { said: answer.body.buffer.bufferedMessages, phase: answer.body.phase }
}
