/** Real processes on a real disk: kill -9 while appending, and who may own a directory. */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  promises,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkBufferDirectory, openFileBuffer } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'

let directory: string
const children: ChildProcess[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'queen-file-buffer-'))
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(directory, { recursive: true })
  vi.useRealTimers()
  vi.restoreAllMocks()
})

const open = () => openFileBuffer({ directory, bufferBytesMax: 2 ** 30, diskFreeBytesMin: 0 })

function start(...args: string[]) {
  const script = join(import.meta.dirname, 'appending-process.ts')
  const child = spawn(process.execPath, [script, directory, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return { child, lines, exited }
}

async function kill({ child, exited }: ReturnType<typeof start>): Promise<void> {
  child.kill('SIGKILL')
  await exited
}

describe('kill -9', () => {
  it('G1 G10: everything acknowledged is there, in order, after every kill', async () => {
    const acknowledged = new Map<number, string>()
    for (const lineCount of [2, 50, 300]) {
      const running = start()
      let count = 0
      for await (const line of running.lines) {
        const [first, last, name] = line.split(' ')
        for (let number = Number(first); number <= Number(last); number++) {
          expect(acknowledged.has(number)).toBe(false)
          acknowledged.set(number, `${name}-${number - Number(first)}`)
        }
        if (++count === lineCount) void kill(running)
      }
      await running.exited
    }
    const check = await checkBufferDirectory(directory)
    expect(check).toMatchObject({ owner: null, gaps: [] })
    const buffer = await open()
    const { pendingRecords } = buffer.stats
    const all = await readAll(buffer, { records: 1_000, bytes: 2 ** 20 })
    expect(all.numbers.length).toBe(pendingRecords)
    expect(all.setAside).toEqual([])
    const read = new Map(all.numbers.map((number, index) => [number, all.bodies[index]!]))
    for (const [number, body] of acknowledged) expect(read.get(number)).toBe(body)
    expect(all.numbers).toEqual([...all.numbers].sort((a, b) => a - b))
    await buffer.close()
  })
})

describe('owning a directory', () => {
  it('a live owner is named, a dead one is replaced, a closed one leaves at once', async () => {
    const owner = start('hold')
    await new Promise((resolve) => owner.lines.once('line', resolve))
    await expect(open()).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining(`process ${owner.child.pid} `),
    })
    expect((await checkBufferDirectory(directory)).owner).toContain(`process ${owner.child.pid} `)
    await kill(owner)
    const buffer = await open()
    await expect(open()).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining(`process ${process.pid} `),
    })
    await buffer.append(sourceOf(['a']))
    await buffer.close()
    await (await open()).close()
    expect(readdirSync(directory).filter((name) => name.startsWith('lock.')).length).toBe(1)
  })

  it('a pid that was given to another process does not keep a dead owner alive', async () => {
    await (await open()).close()
    const name = readdirSync(directory).find((entry) => entry.startsWith('lock.'))!
    const owner = JSON.parse(readFileSync(join(directory, name), 'utf8')) as Record<string, unknown>
    writeFileSync(join(directory, name), JSON.stringify({ ...owner, released: false, startTicks: '1' }))
    await (await open()).close()
  })

  it('of many that find a dead owner exactly one takes over', async () => {
    const owner = start('hold')
    await new Promise((resolve) => owner.lines.once('line', resolve))
    await kill(owner)
    const rivals = await Promise.allSettled(Array.from({ length: 12 }, () => open()))
    const winners = rivals.flatMap((rival) => (rival.status === 'fulfilled' ? [rival.value] : []))
    expect(winners.length).toBe(1)
    await winners[0]!.close()
  })

  it('G11: a full disk keeps nobody from it: there is a reserve for the lock', async () => {
    await (await open()).close()
    const reserve = join(directory, 'reserve')
    expect(statSync(reserve).size).toBe(16 * 1024)
    const { writeFile } = promises
    const full = vi.spyOn(promises, 'writeFile').mockImplementation((path, ...rest) => {
      if (!existsSync(reserve)) return writeFile(path, ...rest)
      // As a real one does: there is a name, and nothing in it.
      writeFileSync(String(path), '')
      return Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }))
    })
    try {
      const buffer = await open()
      full.mockRestore()
      await buffer.close()
    } finally {
      full.mockRestore()
    }
    expect(statSync(reserve).size).toBe(16 * 1024)
    expect(readdirSync(directory).filter((name) => name.startsWith('lock.'))).toEqual(['lock.2'])
  })

  it('an owner elsewhere counts as alive while it touches its lock, and as dead when it stops', async () => {
    const buffer = await open()
    const name = readdirSync(directory).find((entry) => entry.startsWith('lock.'))!
    const owner = JSON.parse(readFileSync(join(directory, name), 'utf8')) as Record<string, unknown>
    writeFileSync(join(directory, name), JSON.stringify({ ...owner, place: 'another machine' }))
    await expect(open()).rejects.toMatchObject({ code: 'LOCKED' })
    await buffer.close()
    writeFileSync(join(directory, name), JSON.stringify({ ...owner, place: 'another machine', released: false }))
    await (await open()).close()
  }, 20_000)

  it("a lock file that names nobody is somebody's while it is touched, and nobody's when that stops", async () => {
    const buffer = await open()
    const lock = join(directory, 'lock.1')
    writeFileSync(lock, '')
    await expect(open()).rejects.toMatchObject({
      code: 'LOCKED',
      message: expect.stringContaining('a running process that cannot be named'),
    })
    await buffer.append(sourceOf(['a']))
    await buffer.close()
    writeFileSync(lock, '')
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    let opened: Awaited<ReturnType<typeof open>> | null = null
    const opening = open().then((next) => (opened = next))
    while (opened === null) await vi.advanceTimersByTimeAsync(250)
    await (await opening).close()
    expect(readdirSync(directory).filter((name) => name.startsWith('lock.'))).toEqual(['lock.2'])
  })

  it('G1 whoever may not read the lock file takes nothing over, also from an owner that is gone', async () => {
    await (await open()).close()
    const { readFile } = promises
    const others = Object.assign(new Error('EACCES: permission denied, open'), { code: 'EACCES' })
    vi.spyOn(promises, 'readFile').mockImplementation((path, ...rest) =>
      String(path).endsWith('lock.1') ? Promise.reject(others) : Reflect.apply(readFile, promises, [path, ...rest]),
    )
    await expect(open()).rejects.toBe(others)
    expect(readdirSync(directory)).toContain('lock.1')
  })

  it('an owner that was replaced writes no more', async () => {
    const events: string[] = []
    const lost = Promise.withResolvers<void>()
    const buffer = await openFileBuffer({
      directory,
      bufferBytesMax: 2 ** 30,
      diskFreeBytesMin: 0,
      onEvent: ({ type }) => {
        events.push(type)
        if (type === 'lock-lost') lost.resolve()
      },
    })
    writeFileSync(join(directory, 'lock.9'), JSON.stringify({ pid: 1, token: 'another', startTicks: '0' }))
    rmSync(join(directory, 'lock.1'))
    await lost.promise
    await expect(buffer.append(sourceOf(['a']))).rejects.toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
    await expect(buffer.drained(0)).rejects.toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
    await expect(buffer.writeState('maintenance', {})).rejects.toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
    expect(buffer.stats.usable).toBe(false)
    await buffer.close()
    expect(events.at(-1)).toBe('lock-lost')
  })

  it('G2 an owner whose directory was moved away takes no record for damaged, and the next start has them all', async () => {
    const lost = Promise.withResolvers<void>()
    const damaged: string[] = []
    const buffer = await openFileBuffer({
      directory,
      bufferBytesMax: 2 ** 30,
      diskFreeBytesMin: 0,
      onEvent: ({ type }) => {
        if (type === 'lock-lost') lost.resolve()
        else if (type === 'damaged' || type === 'missing') damaged.push(type)
      },
    })
    await buffer.append(sourceOf(['a', 'b']))
    const moved = `${directory}-moved`
    renameSync(directory, moved)
    mkdirSync(directory)
    await lost.promise
    await expect(buffer.read({ records: 10, bytes: 1_000 })).rejects.toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
    await buffer.close()
    rmSync(directory, { recursive: true })
    renameSync(moved, directory)
    // Its owner could not give it back, and is taken for alive: this process is.
    rmSync(join(directory, 'lock.1'))
    const again = await open()
    expect((await again.read({ records: 10, bytes: 1_000 })).records).toHaveLength(2)
    expect(damaged).toEqual([])
    await again.close()
  })

  it('G1: an owner that was frozen and replaced acknowledges nothing when it thaws, and leaves the rest as it is', async () => {
    // Its timer has not come round yet when the first append does.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const buffer = await open()
    await buffer.append(sourceOf(['a']))
    writeFileSync(join(directory, 'lock.9'), JSON.stringify({ pid: 1, token: 'another', startTicks: '0' }))
    rmSync(join(directory, 'lock.1'))
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 3_000)
    await expect(buffer.append(sourceOf(['b']))).rejects.toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
    const progress = readFileSync(join(directory, 'progress'))
    await buffer.close()
    expect(readFileSync(join(directory, 'progress'))).toEqual(progress)
    expect(readFileSync(join(directory, 'lock.9'), 'utf8')).toContain('another')
  })
})

describe('offline check', () => {
  it('reports each file, names damage, and changes nothing', async () => {
    const buffer = await open()
    await buffer.append(sourceOf(['one', 'two', 'three']))
    await buffer.close()
    const name = '00000000000000000001.qbuf'
    const path = join(directory, name)
    expect(await checkBufferDirectory(directory)).toMatchObject({
      bufferId: buffer.bufferId,
      clean: true,
      records: 3,
      files: [{ file: name, version: 1, bufferId: buffer.bufferId, firstRecord: 1, lastRecord: 3, verdict: 'ok' }],
    })
    const bytes = readFileSync(path)
    bytes[128 + 35 + 33]! ^= 4
    writeFileSync(path, bytes)
    const progress: number[] = []
    const check = await checkBufferDirectory(directory, { onProgress: (done) => progress.push(done) })
    expect(check).toMatchObject({
      clean: false,
      records: 2,
      files: [{ verdict: 'damaged at record 2', damageCount: 1 }],
    })
    expect(progress.at(-1)).toBe(bytes.length)
    expect(readFileSync(path)).toEqual(bytes)
  })

  it('says so when a directory is none', async () => {
    await expect(checkBufferDirectory(directory)).rejects.toMatchObject({ code: 'NOT_A_BUFFER' })
    await expect(checkBufferDirectory(join(directory, 'nowhere'))).rejects.toMatchObject({ code: 'NOT_A_BUFFER' })
  })
})
