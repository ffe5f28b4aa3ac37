/**
 * A disk in memory that fails like a real one: it keeps what was written apart from what is durable.
 *
 * Faults: errors on chosen operations, short writes, a crash at the n-th operation (the write in hand is torn there),
 * power loss (any subset of the unsynced sectors and of the unsynced directory changes survives), flipped bits.
 * A failed sync drops what it should have written: the cache still shows it, a second sync reports success.
 * A crash makes every open handle and every operation fail until `restart` or `powerLoss`; what was acknowledged
 * before it is what the next owner must find. For tests only; exported for the broker's.
 */
import { basename, dirname } from 'node:path'
import type { DirectoryLock, Disk, DiskFile, OpenMode } from './disk.ts'
import { FileBufferError } from './errors.ts'

export type DiskOperation =
  | 'open'
  | 'read'
  | 'write'
  | 'datasync'
  | 'truncate'
  | 'syncDirectory'
  | 'rename'
  | 'unlink'
  | 'readDirectory'

/** A whole number in [0, limit): all chance comes from the test, so that a failing run can be repeated. */
export type Dice = (limit: number) => number

/** Deterministic dice from a seed (mulberry32). */
export function diceOf(seed: number): Dice {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

interface Inode {
  data: Buffer
  durable: Buffer
  /** Sectors whose sync failed: the kernel holds them for clean, so a later sync passes over them. */
  dropped: Set<number>
}

/** A change of names that a directory sync has not made durable yet. */
type NameChange =
  | { kind: 'link'; path: string; inode: Inode }
  | { kind: 'unlink'; path: string }
  | { kind: 'rename'; from: string; to: string; inode: Inode }

interface Rule {
  readonly operation: DiskOperation
  readonly code: string
  /** How many matching operations pass before the first failure. */
  skip: number
  times: number
}

/** What a failing operation leaves behind: half a write, or a sync that dropped its pages. */
type Tear = (isCrash: boolean) => void

/** Small, so that a record of a test spans several of them and can be torn inside its header. */
const SECTOR_BYTES = 16

const systemError = (code: string, what: string): Error => Object.assign(new Error(`${code}: ${what}`), { code })

export class FaultDisk implements Disk {
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  #changes: NameChange[] = []
  #directories = new Set<string>()
  #locks = new Set<string>()
  #rules: Rule[] = []
  #shortWriteBytes: number | null = null
  #crashIn: number | null = null
  #crashed = false
  #epoch = 0
  /** What statfs answers. */
  freeBytesNow = Number.MAX_SAFE_INTEGER
  /** Operations so far: crash points are counted in these. */
  operations = 0

  /** Lets `skip` operations of this kind pass and fails the next `times`. */
  fail(operation: DiskOperation, code: string, { skip = 0, times = 1 }: { skip?: number; times?: number } = {}): void {
    this.#rules.push({ operation, code, skip, times })
  }

  /** Writes accept at most this many bytes a call until called with null. */
  shortWrites(bytesMax: number | null): void {
    this.#shortWriteBytes = bytesMax
  }

  /** The n-th operation from now does not finish, and nothing works after it. */
  crashAfter(operations: number): void {
    this.#crashIn = operations
  }

  get crashed(): boolean {
    return this.#crashed
  }

  heal(): void {
    this.#rules = []
    this.#shortWriteBytes = null
    this.#crashIn = null
  }

  /** The process died, the machine did not: everything written is there. Open handles are dead, locks free. */
  restart(): void {
    this.#epoch++
    this.#crashed = false
    this.#locks.clear()
    this.heal()
  }

  /** The machine died: of what was not synced, what the dice say survives. */
  powerLoss(dice: Dice): void {
    const inodes = new Set([...this.#names.values(), ...this.#durableNames.values()])
    for (const inode of inodes) {
      inode.durable = inode.data = survivorsOf(inode, dice)
      inode.dropped.clear()
    }
    const names = new Map(this.#durableNames)
    for (const change of this.#changes) {
      if (dice(2) === 0) continue
      if (change.kind === 'link') names.set(change.path, change.inode)
      else if (change.kind === 'unlink') names.delete(change.path)
      else {
        names.delete(change.from)
        names.set(change.to, change.inode)
      }
    }
    this.#names = new Map(names)
    this.#durableNames = names
    this.#changes = []
    this.restart()
  }

  /** Flips one bit, on the platter and in the cache. */
  flipBit(path: string, bit: number): void {
    const inode = this.#inode(path)
    // The two may share their bytes; each gets its own flipped copy.
    inode.data = flipped(inode.data, bit)
    inode.durable = flipped(inode.durable, bit)
  }

  /** The contents of a file as a process would read them. */
  contents(path: string): Buffer {
    return Buffer.from(this.#inode(path).data)
  }

  /** Puts a file there, durably. */
  put(path: string, contents: Buffer): void {
    const inode = { data: Buffer.from(contents), durable: Buffer.from(contents), dropped: new Set<number>() }
    this.#names.set(path, inode)
    this.#durableNames.set(path, inode)
  }

  paths(): string[] {
    return [...this.#names.keys()].sort()
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#step()
    this.#directories.add(path)
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.#step('open')
    const existing = this.#names.get(path)
    if (mode === 'create') {
      if (existing !== undefined) throw systemError('EEXIST', path)
      const inode = { data: Buffer.alloc(0), durable: Buffer.alloc(0), dropped: new Set<number>() }
      this.#names.set(path, inode)
      this.#changes.push({ kind: 'link', path, inode })
      return this.#handle(inode)
    }
    if (existing === undefined) throw systemError('ENOENT', path)
    return this.#handle(existing)
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#step('syncDirectory')
    const concerns = (change: NameChange) =>
      change.kind === 'rename' ? dirname(change.to) === path : dirname(change.path) === path
    for (const change of this.#changes.filter(concerns)) {
      if (change.kind === 'link') this.#durableNames.set(change.path, change.inode)
      else if (change.kind === 'unlink') this.#durableNames.delete(change.path)
      else {
        this.#durableNames.delete(change.from)
        this.#durableNames.set(change.to, change.inode)
      }
    }
    this.#changes = this.#changes.filter((change) => !concerns(change))
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step('rename')
    const inode = this.#inode(from)
    this.#names.delete(from)
    this.#names.set(to, inode)
    this.#changes.push({ kind: 'rename', from, to, inode })
  }

  async unlink(path: string): Promise<void> {
    await this.#step('unlink')
    this.#inode(path)
    this.#names.delete(path)
    this.#changes.push({ kind: 'unlink', path })
  }

  async readDirectory(path: string): Promise<string[]> {
    await this.#step('readDirectory')
    if (!this.#directories.has(path)) throw systemError('ENOENT', path)
    return [...this.#names.keys()].filter((name) => dirname(name) === path).map((name) => basename(name))
  }

  async sizeOf(path: string): Promise<number | null> {
    await this.#step()
    return this.#names.get(path)?.data.length ?? null
  }

  async freeBytes(): Promise<number> {
    await this.#step()
    return this.freeBytesNow
  }

  async lock(path: string): Promise<DirectoryLock> {
    await this.#step()
    if (this.#locks.has(path)) throw new FileBufferError('LOCKED', `${path} is locked`)
    this.#locks.add(path)
    const epoch = this.#epoch
    return {
      isHeld: () => true,
      release: async () => {
        if (epoch === this.#epoch) this.#locks.delete(path)
      },
    }
  }

  async lockOwner(path: string): Promise<string | null> {
    return this.#locks.has(path) ? 'a test' : null
  }

  #handle(inode: Inode): DiskFile {
    const epoch = this.#epoch
    const step = async (operation?: DiskOperation, tear?: Tear) => {
      if (epoch !== this.#epoch) throw systemError('EBADF', 'the owner of this handle has died')
      await this.#step(operation, tear)
    }
    return {
      read: async (target, at, length, position) => {
        await step('read')
        if (position >= inode.data.length) return 0
        return inode.data.copy(target, at, position, Math.min(inode.data.length, position + length))
      },
      write: async (source, at, length, position) => {
        const count = Math.min(length, this.#shortWriteBytes ?? length)
        const tear = () => overwrite(inode, source, at, Math.floor(count / 2), position)
        await step('write', tear)
        overwrite(inode, source, at, count, position)
        return count
      },
      datasync: async () => {
        await step('datasync', (isCrash) => isCrash || dropUnsynced(inode))
        sync(inode)
      },
      truncate: async (bytes) => {
        await step('truncate')
        const data = Buffer.alloc(bytes)
        inode.data.copy(data, 0, 0, bytes)
        inode.data = data
      },
      size: async () => {
        await step()
        return inode.data.length
      },
      close: async () => {},
    }
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path)
    if (inode === undefined) throw systemError('ENOENT', path)
    return inode
  }

  /** Every operation passes here: takes a turn of the event loop, counts, and fails when it is time. */
  async #step(operation?: DiskOperation, tear?: Tear): Promise<void> {
    await null
    if (this.#crashed) throw systemError('ENODEV', 'the disk is gone')
    this.operations++
    if (this.#crashIn !== null && --this.#crashIn < 0) {
      this.#crashed = true
      tear?.(true)
      throw systemError('ENODEV', 'the machine died here')
    }
    for (const rule of this.#rules) {
      if (rule.operation !== operation) continue
      if (rule.skip > 0) rule.skip--
      else if (rule.times > 0) {
        rule.times--
        tear?.(false)
        throw systemError(rule.code, `injected on ${operation}`)
      }
    }
  }
}

function dropUnsynced({ data, durable, dropped }: Inode): void {
  for (let at = 0; at < data.length; at += SECTOR_BYTES) {
    if (!data.subarray(at, at + SECTOR_BYTES).equals(durable.subarray(at, at + SECTOR_BYTES)))
      dropped.add(at / SECTOR_BYTES)
  }
}

function sync(inode: Inode): void {
  const synced = Buffer.from(inode.data)
  for (const sector of inode.dropped) {
    const at = sector * SECTOR_BYTES
    if (at >= synced.length) continue
    synced.fill(0, at, Math.min(at + SECTOR_BYTES, synced.length))
    if (at < inode.durable.length) inode.durable.copy(synced, at, at, Math.min(at + SECTOR_BYTES, inode.durable.length))
  }
  inode.durable = synced
}

function overwrite(inode: Inode, source: Buffer, at: number, count: number, position: number): void {
  if (position + count > inode.data.length) {
    const longer = Buffer.alloc(position + count)
    inode.data.copy(longer)
    inode.data = longer
  } else {
    inode.data = Buffer.from(inode.data)
  }
  source.copy(inode.data, position, at, at + count)
  const end = Math.ceil((position + count) / SECTOR_BYTES)
  for (let sector = Math.floor(position / SECTOR_BYTES); sector < end; sector++) inode.dropped.delete(sector)
}

/** Each unsynced sector is old or new by itself; the length lies anywhere between the old and the new one. */
function survivorsOf(inode: Inode, dice: Dice): Buffer {
  const { data, durable } = inode
  const [short, long] = data.length < durable.length ? [data.length, durable.length] : [durable.length, data.length]
  const survivors = Buffer.alloc(short + dice(long - short + 1))
  for (let at = 0; at < survivors.length; at += SECTOR_BYTES) {
    const source =
      data.subarray(at, at + SECTOR_BYTES).equals(durable.subarray(at, at + SECTOR_BYTES)) || dice(2) === 0
        ? durable
        : data
    // Behind the end of the chosen version there are zeros: the length survived, the bytes did not.
    if (at < source.length) source.copy(survivors, at, at, Math.min(at + SECTOR_BYTES, survivors.length, source.length))
  }
  return survivors
}

function flipped(bytes: Buffer, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  const at = bit >> 3
  if (at < copy.length) copy[at]! ^= 1 << (bit & 7)
  return copy
}
