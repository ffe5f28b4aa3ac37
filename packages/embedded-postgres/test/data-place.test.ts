/** Where data lies, and that it is found again whatever becomes of the directories around it. */
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openDataPlace } from '../src/data-place.ts'
import { startPostgres } from '../src/index.ts'
import { systemPlace } from '../src/system-place.ts'
import { query } from './connect.ts'

const isRoot = process.getuid?.() === 0
const NAME = 'postgres-18'
let parent: string
const toRemove: string[] = []

/** Chooses a place for `dir` as a start does, which then makes its cluster there. */
function start(dir: string): string {
  const { dataDir, isStandIn } = openDataPlace(dir, NAME, true)
  if (isStandIn) toRemove.push(dataDir)
  mkdirSync(join(dataDir, NAME), { recursive: true })
  return dataDir
}

/** As a version made it that derived the stand-in from the path alone. */
function earlierStandIn(dir: string): string {
  const key = createHash('sha256').update(dir).digest('hex').slice(0, 12)
  const standIn = join(systemPlace(), `data-${key}`)
  mkdirSync(join(standIn, NAME), { recursive: true })
  toRemove.push(standIn)
  return standIn
}

beforeEach(() => {
  parent = realpathSync(mkdtempSync(join(tmpdir(), 'queen-place-')))
  toRemove.push(parent)
})
afterEach(() => {
  vi.restoreAllMocks()
  for (const dir of toRemove.splice(0)) rmSync(dir, { recursive: true, force: true })
})

describe.runIf(isRoot)("root's stand-in for a directory that the server's user cannot enter", () => {
  test('is found again through a link, after a move and when the directory has been opened', () => {
    const standIn = start(join(parent, 'data'))
    expect(standIn.startsWith(systemPlace())).toBe(true)
    expect(start(join(parent, 'data'))).toBe(standIn)

    const link = join(tmpdir(), `queen-place-${randomBytes(6).toString('hex')}`)
    toRemove.push(link)
    symlinkSync(parent, link)
    expect(start(join(link, 'data'))).toBe(standIn)

    const moved = `${parent}-moved`
    toRemove.push(moved)
    renameSync(parent, moved)
    expect(start(join(moved, 'data'))).toBe(standIn)

    chmodSync(moved, 0o755)
    expect(start(join(moved, 'data'))).toBe(standIn)

    // Whoever takes the old place does not get what has moved away from it.
    mkdirSync(parent, { mode: 0o700 })
    expect(start(join(parent, 'data'))).not.toBe(standIn)
  })

  test('that was made before its place was written down is taken over', () => {
    const dir = join(parent, 'data')
    const standIn = earlierStandIn(dir)
    chmodSync(parent, 0o755)
    expect(start(dir)).toBe(standIn)
    expect(readFileSync(`${dir}.location`, 'utf8')).toBe(`${standIn}\n`)
    const moved = `${parent}-moved`
    toRemove.push(moved)
    renameSync(parent, moved)
    expect(start(join(moved, 'data'))).toBe(standIn)
  })

  test('that was made by way of a link, too; two of them are refused', () => {
    const link = `${parent}-link`
    toRemove.push(link)
    symlinkSync(parent, link)
    const standIn = earlierStandIn(join(link, 'data'))
    const other = earlierStandIn(join(parent, 'data'))
    expect(() => start(join(link, 'data'))).toThrow(`several databases for ${parent}/data: ${standIn} and ${other};`)
    rmSync(other, { recursive: true })
    expect(start(join(link, 'data'))).toBe(standIn)
    expect(start(join(parent, 'data'))).toBe(standIn)
  })

  test('beside data in place is refused, written down or not', () => {
    const dir = join(parent, 'data')
    mkdirSync(join(dir, NAME), { recursive: true })
    chmodSync(parent, 0o755)
    const standIn = earlierStandIn(dir)
    const several = `There are several databases for ${dir}: ${dir} and ${standIn};`
    expect(() => start(dir)).toThrow(several)
    writeFileSync(`${dir}.location`, standIn)
    expect(() => start(dir)).toThrow(several)
  })

  test('that is gone is not replaced by an empty one', () => {
    const dir = join(parent, 'data')
    const standIn = start(dir)
    rmSync(standIn, { recursive: true })
    expect(() => start(dir)).toThrow(`The database that ${dir}.location names, ${standIn}, is gone`)
    expect(existsSync(standIn)).toBe(false)
    rmSync(`${dir}.location`)
    start(dir)
  })

  test('is not shared with a copy of the directory', () => {
    const dir = join(parent, 'data')
    start(dir)
    const copy = `${parent}-copy`
    toRemove.push(copy)
    cpSync(parent, copy, { recursive: true })
    expect(() => start(join(copy, 'data'))).toThrow(`${copy}/data.location and ${dir}.location name the same database`)
    rmSync(join(copy, 'data.location'))
    chmodSync(copy, 0o700)
    expect(start(join(copy, 'data'))).not.toBe(start(dir))
  })

  test("a location file that names somebody else's directory is not followed", () => {
    writeFileSync(join(parent, 'data.location'), '/etc')
    expect(() => start(join(parent, 'data'))).toThrow(/names \/etc, which is no place that Queen makes/)
  })

  test('is not overlooked by an ordinary user, who has what lies in place', () => {
    const [dir, ownDir] = [join(parent, 'data'), join(parent, 'own')]
    const standIn = start(dir)
    mkdirSync(join(ownDir, NAME), { recursive: true })
    earlierStandIn(ownDir)
    vi.spyOn(process, 'getuid').mockReturnValue(4_000_000)
    expect(() => start(dir)).toThrow(`The database of ${dir} lies in ${standIn}, because root started it`)
    expect(start(ownDir)).toBe(ownDir)
  })
})

describe.runIf(isRoot)('data in place', () => {
  test('that the server user cannot reach any more is not replaced by an empty stand-in', () => {
    chmodSync(parent, 0o755)
    const dir = start(join(parent, 'data'))
    expect(dirname(dir)).toBe(parent)
    chmodSync(parent, 0o700)
    expect(() => start(dir)).toThrow(`cannot reach: let others enter ${parent} (chmod o+x)`)
    chmodSync(parent, 0o711)
    expect(start(dir)).toBe(dir)
  })

  test('goes into an empty directory of root, which becomes the server user’s', () => {
    chmodSync(parent, 0o755)
    const dir = join(parent, 'volume')
    mkdirSync(join(dir, 'lost+found'), { recursive: true })
    start(dir)
    expect(statSync(dir).uid).not.toBe(0)
    expect(statSync(dir).mode & 0o777).toBe(0o700)
  })

  test('beside files of others leaves the directory as it is, and does without a socket', async () => {
    chmodSync(parent, 0o755)
    const dir = join(parent, 'shared')
    mkdirSync(dir, { mode: 0o755 })
    writeFileSync(join(dir, 'notes'), '')
    const server = await startPostgres({ dataDir: dir })
    expect(server.socketUrl).toBe(null)
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await server.stop()
    expect(statSync(dir)).toMatchObject({ uid: 0 })
    expect(statSync(dir).mode & 0o777).toBe(0o755)
  })
})

test('an ordinary user has the data where it was asked for, also through a link', () => {
  vi.spyOn(process, 'getuid').mockReturnValue(4_000_000)
  const link = `${parent}-link`
  toRemove.push(link)
  symlinkSync(parent, link)
  expect(start(join(link, 'data'))).toBe(join(parent, 'data'))
})
