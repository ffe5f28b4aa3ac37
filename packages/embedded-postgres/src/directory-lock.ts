/**
 * One start at a time for a data directory: whoever creates, clears away or runs anything in it holds this lock first.
 *
 * `lock.<generation>` says who holds it. It is written whole under another name and linked into place, which fails when
 * the generation is taken; generations only grow, so of several starts that saw the same dead holder exactly one gets
 * the next. The highest decides and stays, marked released, when its holder leaves.
 *
 * A holder that runs where we do (same boot, same pid namespace) is dead when no process has its pid and its start
 * time. One that ran elsewhere (before a reboot, in another container or on another host on a shared volume) is dead
 * when its file, which every holder touches each second, stays untouched while we look. What cannot be read is never
 * taken for nobody's.
 */
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fchownSync,
  linkSync,
  openSync,
  promises,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { EmbeddedPostgresError } from './errors.ts'
import { isAlive, startTime } from './process-tree.ts'
import type { ServerUser } from './server-user.ts'

const TOUCH_MS = 1_000
/** Five missed touches. Shorter and a busy holder elsewhere is robbed; longer and the start after a power cut waits. */
const OBSERVE_MS = 5_000
const LOOK_MS = 100
/** Starts that lose the race for a generation look again; more rounds than starts that plausibly race. */
const ROUNDS_MAX = 100

export interface DirectoryLock {
  /** To be called with no server alive. Only the first call counts. */
  release(): void
}

interface Holder {
  readonly token: string
  readonly pid: number
  /** Tells a process from a later one with the same number; absent where there is no /proc. */
  readonly startedAt?: string
  readonly place: string
  readonly hostname: string
  readonly released: boolean
}

/** Where a pid can be looked up: this boot, this pid namespace. */
function currentPlace(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return `host ${hostname()}`
  }
}

/** @throws EmbeddedPostgresError when a living start holds it */
export async function lockDirectory(
  dataDir: string,
  user: ServerUser | undefined,
  observeMs = OBSERVE_MS,
): Promise<DirectoryLock> {
  const startedAt = startTime(process.pid)
  const self: Holder = {
    token: randomUUID(),
    pid: process.pid,
    ...(startedAt === undefined ? {} : { startedAt }),
    place: currentPlace(),
    hostname: hostname(),
    released: false,
  }
  const draft = writeDraft(dataDir, self, user)
  try {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const generation = highestGeneration(dataDir)
      const current = lockFile(dataDir, generation)
      const holder = generation === 0 ? undefined : readHolder(current)
      if (holder !== undefined && !holder.released && (await isHeld(current, holder, self.place, observeMs))) {
        const where = holder.place === self.place ? '' : ` on ${holder.hostname}`
        throw new EmbeddedPostgresError(
          `${dataDir} is in use by another Queen (process ${holder.pid}${where}); stop it or set QUEEN_DATA_DIR.`,
        )
      }
      const own = lockFile(dataDir, generation + 1)
      try {
        linkSync(draft, own)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue
        throw error
      }
      for (const older of generations(dataDir)) {
        if (older <= generation) rmSync(lockFile(dataDir, older), { force: true })
      }
      return hold(dataDir, own, self, user)
    }
    throw new EmbeddedPostgresError(`Too many starts at once want ${dataDir}.`)
  } finally {
    rmSync(draft, { force: true })
  }
}

function hold(dataDir: string, path: string, self: Holder, user: ServerUser | undefined): DirectoryLock {
  const touch = setInterval(() => {
    promises.utimes(path, new Date(), new Date()).catch(() => {}) // a hiccup of the disk; the next one counts as well
  }, TOUCH_MS)
  touch.unref()
  let held = true
  return {
    release() {
      if (!held) return
      held = false
      clearInterval(touch)
      try {
        renameSync(writeDraft(dataDir, { ...self, released: true }, user), path)
      } catch {
        // The next owner sees that this process has ended; or the directory is gone with everything in it.
      }
    },
  }
}

/** The server's user owns it, so that this user can read it when it starts Queen itself one day. */
function writeDraft(dataDir: string, holder: Holder, user: ServerUser | undefined): string {
  const draft = join(dataDir, `lock.draft.${randomUUID()}`)
  const file = openSync(draft, 'wx', 0o600)
  try {
    writeSync(file, JSON.stringify(holder))
    if (user !== undefined) fchownSync(file, user.uid, user.gid)
  } finally {
    closeSync(file)
  }
  return draft
}

function lockFile(dataDir: string, generation: number): string {
  return join(dataDir, `lock.${generation}`)
}

function generations(dataDir: string): number[] {
  return readdirSync(dataDir)
    .map((name) => /^lock\.(\d{1,15})$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
}

function highestGeneration(dataDir: string): number {
  return Math.max(0, ...generations(dataDir))
}

/** One that is gone was replaced by a higher generation, which the link will find. */
function readHolder(path: string): Holder | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new EmbeddedPostgresError(
      `Who uses the data directory cannot be read: ${(error as Error).message}; start Queen as its owner or as root.`,
    )
  }
  try {
    const holder = JSON.parse(text) as Holder
    return typeof holder.pid === 'number' ? holder : undefined
  } catch {
    return undefined // only ever linked whole: the disk lost it in a power cut, and its holder with it
  }
}

async function isHeld(path: string, holder: Holder, place: string, observeMs: number): Promise<boolean> {
  if (holder.place === place) return isAlive(holder.pid) && startTime(holder.pid) === holder.startedAt
  const touchedAt = () => statSync(path, { throwIfNoEntry: false })?.mtimeMs
  const before = touchedAt()
  const end = performance.now() + observeMs
  while (performance.now() < end) {
    await pause(LOOK_MS)
    if (touchedAt() !== before) return true
  }
  return false
}
