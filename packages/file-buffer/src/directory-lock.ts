/**
 * One owner for a buffer directory: two processes appending to the same files would destroy both.
 *
 * Node offers no flock, so ownership is a file that says who holds it: `lock.<generation>`, written whole under
 * another name and linked into place, which fails when the generation is taken. The highest generation decides
 * and is never deleted, not even on release (it is then marked released): generations only grow, so of several
 * processes that all saw the same dead owner exactly one gets the next generation. A plain lock file that is
 * removed and re-made has no such order: the slower of two rescuers deletes the faster one's fresh lock.
 *
 * An owner is dead when
 * - it ran under this boot and in this pid namespace, and no process has its pid *and* its start time (the pid
 *   alone may have been given to someone else since); or
 * - it ran elsewhere (another boot, container or host on a shared volume), where its pid says nothing, and its
 *   lock file, which every owner touches each second, stays untouched for OBSERVE_MS. Times are only compared for
 *   being equal, so clocks that disagree do no harm. The same goes for an owner whose file is damaged: in a bad sector, or
 *   emptied by a power cut.
 *
 * An owner that was frozen long enough to be replaced notices at its next touch, and calls `onLost`; it must
 * write no more. `isHeld` closes the gap before that touch: when the last one is older than half of what a rival
 * observes, it looks before it answers, so a thawed process acknowledges nothing that its successor cannot see.
 *
 * Why not a listening socket: abstract ones are invisible to other network namespaces and path
 * ones end at 108 bytes.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { promises as fs } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { DirectoryLock } from './disk.ts'
import { errnoOf, FileBufferError } from './errors.ts'

const TOUCH_MS = 1_000
/** Five missed touches. Shorter and a busy owner elsewhere is robbed; longer and a restarted container waits. */
const OBSERVE_MS = 5_000
/** Starters that lose the race for a generation look again; more rounds than processes that plausibly race. */
const ROUNDS_MAX = 100
/** Given up when the disk has no room for the lock: draining is what makes room, and only an owner drains. */
const RESERVE_NAME = 'reserve'
const RESERVE_BYTES = 16 * 1024
const ERRORS_OF_FULL_DISKS = new Set(['ENOSPC', 'EDQUOT'])

interface LockOwner {
  readonly token: string
  readonly pid: number
  /** Start of the process in ticks since boot, from /proc; null where there is no /proc. */
  readonly startTicks: string | null
  /** Boot id and pid namespace: inside the same place a pid can be looked up. */
  readonly place: string
  readonly hostname: string
  readonly since: string
  readonly released: boolean
}

async function startTicksOf(pid: number): Promise<string | null> {
  try {
    const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8')
    // The command name in parentheses may itself contain spaces and parentheses: count fields behind the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // A zombie holds no files any more.
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}

async function currentPlace(): Promise<string> {
  try {
    const boot = (await fs.readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    return `${boot} ${await fs.readlink('/proc/self/ns/pid')}`
  } catch {
    return `host ${hostname()}`
  }
}

async function isAliveHere(owner: LockOwner): Promise<boolean> {
  if (owner.startTicks !== null) return (await startTicksOf(owner.pid)) === owner.startTicks
  try {
    process.kill(owner.pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}

const lockName = (generation: number): string => `lock.${generation}`

async function highestGeneration(directory: string): Promise<number> {
  let highest = 0
  for (const name of await fs.readdir(directory)) {
    const digits = /^lock\.(\d{1,15})$/.exec(name)?.[1]
    if (digits !== undefined) highest = Math.max(highest, Number(digits))
  }
  return highest
}

/** Why a lock file does not say whose it is. */
interface Unreadable {
  readonly why: string
}

/** The owner a lock file names; null when there is no such file (any more). */
async function readOwner(path: string): Promise<LockOwner | Unreadable | null> {
  try {
    const value = JSON.parse(await fs.readFile(path, 'utf8')) as LockOwner
    return typeof value.pid === 'number' && typeof value.token === 'string' ? value : { why: 'it names nobody' }
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT') return null
    // Another user's lock, whose records could not be read either: going on would set them all aside.
    if (errno === 'EACCES' || errno === 'EPERM') throw error
    return { why: String(error) }
  }
}

async function touchedAtMs(path: string): Promise<number | null> {
  try {
    return (await fs.stat(path)).mtimeMs
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw new FileBufferError('LOCKED', `whether ${path} is in use cannot be found out: ${String(error)}`, error)
  }
}

async function isAlive(path: string, owner: LockOwner | Unreadable, place: string): Promise<boolean> {
  if (!('why' in owner) && owner.place === place) return isAliveHere(owner)
  const before = await touchedAtMs(path)
  for (let waitedMs = 0; before !== null && waitedMs < OBSERVE_MS; waitedMs += TOUCH_MS / 4) {
    await new Promise((resolve) => setTimeout(resolve, TOUCH_MS / 4))
    if ((await touchedAtMs(path)) !== before) return true
  }
  return false
}

/** Whoever owns the directory through this file, in words; null when that is nobody. */
async function ownerOf(path: string, place: string): Promise<string | null> {
  const owner = await readOwner(path)
  if (owner === null || (!('why' in owner) && owner.released) || !(await isAlive(path, owner, place))) return null
  if ('why' in owner) return `a running process that cannot be named, for its ${path} cannot be read (${owner.why})`
  return `process ${owner.pid} on ${owner.hostname}, since ${owner.since}`
}

export async function describeLockOwner(directory: string): Promise<string | null> {
  const generation = await highestGeneration(directory)
  return generation === 0 ? null : ownerOf(join(directory, lockName(generation)), await currentPlace())
}

export async function acquireDirectoryLock(directory: string, onLost: () => void): Promise<DirectoryLock> {
  const place = await currentPlace()
  const self: LockOwner = {
    token: randomUUID(),
    pid: process.pid,
    startTicks: await startTicksOf(process.pid),
    place,
    hostname: hostname(),
    since: new Date().toISOString(),
    released: false,
  }
  const draft = join(directory, `lock.draft.${self.token}`)
  try {
    await writeDraft(directory, draft, self)
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const generation = await highestGeneration(directory)
      const owner = generation === 0 ? null : await ownerOf(join(directory, lockName(generation)), place)
      if (owner !== null) {
        throw new FileBufferError(
          'LOCKED',
          `the file buffer directory ${directory} belongs to ${owner}; give each instance its own directory or stop that process`,
        )
      }
      const own = join(directory, lockName(generation + 1))
      try {
        await fs.link(draft, own)
      } catch (error) {
        if (errnoOf(error) === 'EEXIST') continue
        throw error
      }
      await removeOlder(directory, generation + 1)
      await fillReserve(directory)
      return holdLock(directory, own, self, onLost)
    }
    throw new FileBufferError('LOCKED', `the lock of the file buffer directory ${directory} is contended`)
  } finally {
    await fs.unlink(draft).catch(() => {})
  }
}

async function writeDraft(directory: string, draft: string, self: LockOwner): Promise<void> {
  const write = (): Promise<void> => fs.writeFile(draft, JSON.stringify(self), { mode: 0o600 })
  try {
    await write()
  } catch (error) {
    if (!ERRORS_OF_FULL_DISKS.has(errnoOf(error) ?? '')) throw error
    await fs.unlink(join(directory, RESERVE_NAME)).catch(() => {})
    await write()
  }
}

/** As far as there is room: what is there already is not given up for it. */
async function fillReserve(directory: string): Promise<void> {
  const path = join(directory, RESERVE_NAME)
  const bytes = (await fs.stat(path).catch(() => null))?.size ?? 0
  if (bytes >= RESERVE_BYTES) return
  // Random: a file system that compresses would keep nothing for zeros.
  await fs.appendFile(path, randomBytes(RESERVE_BYTES - bytes), { mode: 0o600 }).catch(() => {})
}

async function removeOlder(directory: string, generation: number): Promise<void> {
  for (const name of await fs.readdir(directory)) {
    const digits = /^lock\.(\d{1,15})$/.exec(name)?.[1]
    if (digits !== undefined && Number(digits) < generation) await fs.unlink(join(directory, name)).catch(() => {})
  }
}

function holdLock(directory: string, path: string, self: LockOwner, onLost: () => void): DirectoryLock {
  let held = true
  let touchedAtMs = performance.now()
  const touch = async (): Promise<boolean> => {
    const startedAtMs = performance.now()
    try {
      const owner = await readOwner(path).catch(() => self)
      // One that cannot be read is still its own: nobody writes to a file of this name twice.
      if (owner === null || ('token' in owner && owner.token !== self.token)) throw new Error('replaced')
      await fs.utimes(path, new Date(), new Date())
      touchedAtMs = startedAtMs
    } catch {
      // One failed touch may be a disk hiccup; a lock that is another's, or gone, is final.
      const generation = await highestGeneration(directory).catch(() => null)
      if (!held || generation === null || path === join(directory, lockName(generation))) return held
      held = false
      clearInterval(timer)
      onLost()
    }
    return held
  }
  const timer = setInterval(() => void touch(), TOUCH_MS)
  timer.unref()
  return {
    isHeld: () => (held && performance.now() - touchedAtMs > OBSERVE_MS / 2 ? touch() : held),

    async release() {
      clearInterval(timer)
      if (!held) return
      held = false
      const draft = join(directory, `lock.draft.${self.token}`)
      await fs.writeFile(draft, JSON.stringify({ ...self, released: true }), { mode: 0o600 })
      await fs.rename(draft, path)
    },
  }
}
