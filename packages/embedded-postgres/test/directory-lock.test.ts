/** Who may work in a data directory. */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type DirectoryLock, lockDirectory } from '../src/directory-lock.ts'

const LONG_MS = 60_000
let dir: string
const locks: DirectoryLock[] = []

async function lock(observeMs?: number): Promise<DirectoryLock> {
  const taken = await lockDirectory(dir, undefined, observeMs)
  locks.push(taken)
  return taken
}

/** The holder's file with other words in it, as another process would have written it. */
function rewrite(generation: number, change: object): void {
  const file = join(dir, `lock.${generation}`)
  const holder = { token: 'x', pid: process.pid, place: 'elsewhere', hostname: 'far-away', released: false, ...change }
  writeFileSync(file, JSON.stringify(holder))
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'queen-lock-'))
})
afterEach(() => {
  for (const each of locks.splice(0)) each.release()
  rmSync(dir, { recursive: true, force: true })
})

describe('the lock of a data directory', () => {
  test('has one holder, and the next one after its release', async () => {
    const first = await lock()
    await expect(lock()).rejects.toThrow(`${dir} is in use by another Queen (process ${process.pid}); stop it`)
    first.release()
    await lock()
    first.release()
    await expect(lock()).rejects.toThrow(/is in use/)
    expect(readdirSync(dir)).toEqual(['lock.2'])
  })

  test('is given to one of many starts at once, also when the holder has just died', async () => {
    rewrite(7, { released: true })
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => lock()))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(readdirSync(dir)).toEqual(['lock.8'])
  })

  test('a process that has its number from a dead holder does not hold it', async () => {
    const before = await lock()
    before.release()
    const { place } = JSON.parse(readFileSync(join(dir, 'lock.1'), 'utf8'))
    rewrite(1, { place, startedAt: 'long ago' })
    await lock(LONG_MS)
  })

  test('a holder elsewhere holds it for as long as it touches its file', async () => {
    rewrite(1, {})
    const refused = expect(lock(LONG_MS)).rejects.toThrow(`(process ${process.pid} on far-away)`)
    utimesSync(join(dir, 'lock.1'), new Date(), new Date(Date.now() + 1000))
    await refused
    await lock(0)
    expect(existsSync(join(dir, 'lock.1'))).toBe(false)
  })

  test('a holder touches its file', async () => {
    await lock()
    const file = join(dir, 'lock.1')
    utimesSync(file, new Date(0), new Date(0))
    await expect.poll(() => statSync(file).mtimeMs, { timeout: 20_000 }).toBeGreaterThan(0)
  })
})
