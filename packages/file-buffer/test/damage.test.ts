/** Bits rot: whatever is hit, the records whose own bytes are whole come back exactly, and nothing stops a start. */
import { describe, expect, it } from 'vitest'
import { diceOf, FaultDisk } from '../src/fault-disk.ts'
import { checkBufferDirectory, type FileBufferEvent, openFileBuffer } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'

const DIRECTORY = '/buffer'
const FILE = `${DIRECTORY}/00000000000000000001.qbuf`
const HEADERS_END = 128
const open = (disk: FaultDisk, onEvent?: (event: FileBufferEvent) => void) =>
  openFileBuffer({
    directory: DIRECTORY,
    disk,
    bufferBytesMax: 2 ** 30,
    diskFreeBytesMin: 0,
    ...(onEvent && { onEvent }),
  })

const BODIES = ['first', '', 'the third one', 'fourth '.repeat(9), 'last']

async function fileOf(bodies: string[]): Promise<{ contents: Buffer; starts: number[] }> {
  const disk = new FaultDisk()
  const buffer = await open(disk)
  await buffer.append(sourceOf(bodies))
  await buffer.close()
  const starts: number[] = []
  let at = HEADERS_END
  for (const body of bodies) {
    starts.push(at)
    at += 32 + body.length
  }
  return { contents: disk.contents(FILE), starts: [...starts, at] }
}

function diskWith(contents: Buffer): FaultDisk {
  const disk = new FaultDisk()
  disk.put(FILE, contents)
  return disk
}

describe('damage on disk', () => {
  it('G8 G10: any single flipped bit costs at most the record it is in, which is then set aside', async () => {
    const { contents, starts } = await fileOf(BODIES)
    expect(contents.length).toBe(starts.at(-1))
    for (let bit = 0; bit < contents.length * 8; bit++) {
      const disk = diskWith(contents)
      disk.flipBit(FILE, bit)
      const buffer = await open(disk)
      const hit = bit >> 3 < HEADERS_END ? -1 : starts.findLastIndex((start) => start <= bit >> 3)
      const survivors = BODIES.map((_, index) => index + 1).filter((number) => number !== hit + 1)
      expect(buffer.stats.pendingRecords, `bit ${bit}`).toBe(survivors.length)
      const all = await readAll(buffer)
      expect(all.numbers, `bit ${bit}`).toEqual(survivors)
      expect(all.bodies).toEqual(BODIES.filter((_, index) => index !== hit))
      expect(all.setAside.length).toBe(hit >= 0 ? 1 : 0)
      expect(buffer.stats.quarantinedRecords).toBe(hit >= 0 ? 1 : 0)
      if (hit >= 0) {
        const start = starts[hit]!
        expect(all.setAside[0]).toMatchObject({ number: hit + 1, offset: start, bytes: starts[hit + 1]! - start })
        expect(all.setAside[0]!.raw).toEqual(disk.contents(FILE).subarray(start, starts[hit + 1]!))
      }
      // Numbers of lost records are never given to new ones.
      const { first } = await buffer.append(sourceOf(['next']))
      expect(first).toBeGreaterThan(BODIES.length)
      await buffer.drained(first)
      expect(buffer.stats).toMatchObject({ pendingRecords: 0, pendingBytes: 0 })
      await buffer.close()
    }
  }, 60_000)

  it('G10: a tail torn at any length is cut, and every record before it is there', async () => {
    const { contents, starts } = await fileOf(BODIES)
    for (let length = 0; length < contents.length; length++) {
      const disk = diskWith(contents.subarray(0, length))
      const events: FileBufferEvent[] = []
      const check = await checkBufferDirectory(DIRECTORY, { disk: pathsReadable(disk) })
      const buffer = await open(disk, (event) => events.push(event))
      const whole = starts.filter((start) => start > HEADERS_END && start <= length).length
      const all = await readAll(buffer)
      expect(all.bodies).toEqual(BODIES.slice(0, whole))
      expect(buffer.stats).toMatchObject({ pendingRecords: whole, quarantinedRecords: 0 })
      const cut = length > HEADERS_END && !starts.includes(length)
      expect(events.some(({ type }) => type === 'torn-tail')).toBe(cut)
      const verdict = cut ? `torn tail at byte ${starts.findLast((start) => start <= length)}` : 'ok'
      expect(check.files[0]!.verdict).toBe(length < HEADERS_END ? 'unfinished' : verdict)
      await buffer.close()
      const again = await open(disk)
      expect((await readAll(again)).bodies).toEqual(BODIES.slice(0, whole))
      await again.close()
    }
  })

  it('zeros behind the last record are a torn tail, not damage', async () => {
    const { contents } = await fileOf(BODIES)
    const disk = diskWith(Buffer.concat([contents, Buffer.alloc(5_000)]))
    const buffer = await open(disk)
    expect(buffer.stats).toMatchObject({ pendingRecords: BODIES.length, quarantinedRecords: 0 })
    expect(disk.contents(FILE).length).toBe(contents.length)
    await buffer.close()
  })

  it('a body that contains the image of a record is never taken for one', async () => {
    const other = await fileOf(['forged', 'forged too'])
    const image = other.contents.subarray(HEADERS_END)
    const { contents, starts } = await fileOf(['before', image.toString('latin1'), 'after'])
    expect(image.toString('latin1').length).toBe(image.length)
    for (let bit = starts[1]! * 8; bit < (starts[1]! + 32) * 8; bit++) {
      const disk = diskWith(contents)
      disk.flipBit(FILE, bit)
      const buffer = await open(disk)
      expect((await readAll(buffer)).bodies.filter((body) => body.startsWith('forged'))).toEqual([])
      await buffer.close()
    }
  })

  it('random bursts of damage: what is whole comes back, in order, and memory and time stay bounded', async () => {
    const bodies = Array.from({ length: 400 }, (_, index) => `${index}:`.padEnd(index % 90, '.'))
    const { contents, starts } = await fileOf(bodies)
    for (let seed = 0; seed < 40; seed++) {
      const dice = diceOf(seed)
      const damaged = Buffer.from(contents)
      const hit = new Set<number>()
      for (let burst = 0; burst < 5; burst++) {
        const at = HEADERS_END + dice(contents.length - HEADERS_END)
        for (let i = at; i < Math.min(at + 1 + dice(300), contents.length); i++) {
          const value = dice(256)
          if (value !== contents[i]) hit.add(starts.findLastIndex((start) => start <= i) + 1)
          damaged[i] = value
        }
      }
      const buffer = await open(diskWith(damaged))
      const all = await readAll(buffer)
      // A checksum may be hit in a way that says "torn" only at the very end, and there it is not acknowledged data.
      expect(all.numbers).toEqual(bodies.map((_, index) => index + 1).filter((number) => !hit.has(number)))
      expect(buffer.stats.pendingRecords).toBe(all.numbers.length)
      await buffer.close()
    }
  })

  it('G10: a file of a later version, or without a readable header, is kept aside and shown, and its numbers are not used again', async () => {
    const { contents } = await fileOf(BODIES)
    for (const spoil of [
      (bytes: Buffer) => [8, 72].map((at) => bytes.writeUInt32LE(2, at)),
      (bytes: Buffer) => bytes.fill(0x55, 0, HEADERS_END),
    ]) {
      const bytes = Buffer.from(contents)
      spoil(bytes)
      const disk = diskWith(bytes)
      const events: FileBufferEvent[] = []
      const buffer = await open(disk, (event) => events.push(event))
      expect(events.map(({ type }) => type)).toContain('file-aside')
      expect(disk.contents(`${FILE}.aside`)).toEqual(bytes)
      // As one entry: nobody can tell how many records it holds.
      expect(await buffer.quarantine.list()).toMatchObject([
        { number: 1, lastNumber: null, reason: 'CORRUPT', bytes: bytes.length, body: bytes },
      ])
      const { first } = await buffer.append(sourceOf(['next']))
      expect(first).toBeGreaterThan(BODIES.length)
      expect((await readAll(buffer)).bodies).toEqual(['next'])
      await buffer.close()
      const again = await open(disk)
      expect((await again.append(sourceOf(['more']))).first).toBe(first + 1)
      expect(again.stats.quarantinedRecords).toBe(1)
      await again.close()
    }
  })

  it('G8: a disk that stumbles costs nothing; a bad sector costs the records in it', async () => {
    const bodies = Array.from({ length: 300 }, (_, index) => `${index}:`.padEnd(80, '.'))
    const { contents } = await fileOf(bodies)
    const stumbling = diskWith(contents)
    stumbling.fail('read', 'EIO', { skip: 1, times: 3 })
    stumbling.fail('open', 'EMFILE', { skip: 4, times: 1 })
    const buffer = await open(stumbling)
    stumbling.fail('read', 'EIO', { times: 2 })
    expect((await readAll(buffer)).bodies).toEqual(bodies)
    await buffer.close()

    const disk = diskWith(contents)
    const again = await open(disk)
    // The whole chunk fails, then the first 4 KiB of it three times over.
    disk.fail('read', 'EIO', { times: 4 })
    const all = await readAll(again, { records: 1_000, bytes: 2 ** 20 })
    const lost = 300 - all.bodies.length
    expect(lost).toBeGreaterThanOrEqual(36)
    expect(lost).toBeLessThanOrEqual(38)
    expect(all.bodies).toEqual(bodies.slice(lost))
    expect(again.stats.quarantinedRecords).toBe(all.setAside.length)
    await again.close()
  })

  it('G8 G10: a file that became shorter while the buffer runs ends there, inside a record or between two', async () => {
    const { contents, starts } = await fileOf(BODIES)
    for (const length of [HEADERS_END, starts[2]!, starts[2]! + 1, starts[3]! - 1, starts[4]!]) {
      const disk = diskWith(contents)
      const buffer = await open(disk)
      disk.put(FILE, contents.subarray(0, length))
      await buffer.append(sourceOf(['later']))
      const whole = starts.filter((start) => start > HEADERS_END && start <= length).length
      const all = await readAll(buffer)
      expect(all.bodies, `${length} bytes`).toEqual([...BODIES.slice(0, whole), 'later'])
      expect(all.setAside).toMatchObject([{ number: whole + 1, lastNumber: 5, offset: starts[whole] }])
      await buffer.drained(all.through)
      expect(buffer.stats).toMatchObject({ pendingRecords: 0, quarantinedRecords: 1 })
      await buffer.close()
    }
  })

  it('a disk that is gone is an error, not damage', async () => {
    const { contents } = await fileOf(['x'.repeat(20_000)])
    const disk = diskWith(contents)
    const buffer = await open(disk)
    disk.fail('read', 'EIO', { times: 1_000 })
    await expect(buffer.read({ records: 1, bytes: 1 })).rejects.toMatchObject({ code: 'EIO' })
    disk.heal()
    expect((await readAll(buffer)).numbers).toEqual([1])
    expect(buffer.stats.quarantinedRecords).toBe(0)
    await buffer.close()
  })

  it.each([
    ['', false],
    [', also when the process dies before it knows that what is behind is stored', true],
  ])(
    'G8 G10: a file whose disk gives an error for long is set aside from there on and kept, and holds nothing up%s',
    async (_, dies) => {
      const disk = new FaultDisk()
      for (const bodies of [['one', 'two', 'three'], ['four']]) {
        const buffer = await open(disk)
        await buffer.append(sourceOf(bodies))
        await buffer.setDrainedThrough(0)
        await buffer.close()
      }
      let nowMs = 1_000_000
      const buffer = await openFileBuffer({
        directory: DIRECTORY,
        disk,
        bufferBytesMax: 2 ** 30,
        diskFreeBytesMin: 0,
        clock: () => nowMs,
      })
      await buffer.read({ records: 1, bytes: 1 })
      await buffer.drained(1)
      const contents = disk.contents(FILE)
      const read = async () => {
        buffer.rewind()
        // Everything of the file fails, and only of that: one piece, three times over.
        disk.heal()
        disk.fail('read', 'EIO', { times: 4 })
        return readAll(buffer)
      }
      for (let times = 0; times < 10; times++) {
        await expect(read(), `attempt ${times}`).rejects.toMatchObject({ code: 'EIO' })
        nowMs += 1_000
      }
      // It is no error of one sector when nothing can be written either.
      disk.heal()
      disk.fail('read', 'EIO', { times: 4 })
      disk.fail('datasync', 'EIO')
      buffer.rewind()
      await expect(readAll(buffer)).rejects.toMatchObject({ code: 'EIO' })
      expect(buffer.stats).toMatchObject({ pendingRecords: 3, quarantinedRecords: 0 })
      const all = await read()
      expect(all).toMatchObject({ bodies: ['four'], setAside: [{ number: 2, lastNumber: 3, stored: true }] })
      expect(await buffer.quarantine.list()).toMatchObject([
        {
          number: 2,
          lastNumber: 3,
          bytes: contents.length - HEADERS_END - 35,
          error: expect.stringContaining(`the file is kept as ${'1'.padStart(20, '0')}.qbuf.aside`),
        },
      ])
      if (dies) disk.restart()
      const last = dies ? await open(disk) : buffer
      await (dies ? last.setDrainedThrough(4) : last.drained(4))
      expect(last.stats).toMatchObject({ pendingRecords: 0, pendingBytes: 0, quarantinedRecords: 1 })
      expect(disk.contents(`${FILE}.aside`)).toEqual(contents)
      await last.close()
    },
  )

  it('G8: several such files, one behind the other, are each given up', async () => {
    const disk = new FaultDisk()
    for (const body of ['one', 'two', 'three']) {
      const buffer = await open(disk)
      await buffer.append(sourceOf([body]))
      await buffer.close()
    }
    let nowMs = 1_000_000
    const options = { directory: DIRECTORY, disk, bufferBytesMax: 2 ** 30, diskFreeBytesMin: 0, clock: () => nowMs }
    const buffer = await openFileBuffer(options)
    disk.fail('read', 'EIO', { times: Number.POSITIVE_INFINITY })
    for (let seconds = 0; seconds < 30; seconds++) {
      await readAll(buffer).catch(() => buffer.rewind())
      nowMs += 1_000
    }
    expect(await readAll(buffer)).toMatchObject({ through: 3 })
    expect(buffer.stats.quarantinedRecords).toBe(3)
    disk.heal()
    await buffer.drained(3)
    expect(disk.paths().filter((path) => path.endsWith('.aside'))).toHaveLength(3)
    await buffer.close()
  })

  it('G10: the file being written is kept too when nothing of it can be read any more', async () => {
    const disk = new FaultDisk()
    let nowMs = 1_000_000
    const options = { directory: DIRECTORY, disk, bufferBytesMax: 2 ** 30, diskFreeBytesMin: 0, clock: () => nowMs }
    const buffer = await openFileBuffer(options)
    await buffer.append(sourceOf(BODIES))
    const contents = disk.contents(FILE)
    disk.fail('read', 'EIO', { times: 1_000 })
    for (let times = 0; times < 10; times++) {
      await expect(readAll(buffer)).rejects.toMatchObject({ code: 'EIO' })
      nowMs += 1_000
    }
    expect(await readAll(buffer)).toMatchObject({ bodies: [], setAside: [{ number: 1, lastNumber: BODIES.length }] })
    expect(buffer.stats).toMatchObject({ pendingRecords: 0, quarantinedRecords: 1 })
    disk.heal()
    // Nothing more goes into it.
    await buffer.append(sourceOf(['next']))
    expect(disk.contents(FILE)).toEqual(contents)
    expect((await readAll(buffer)).bodies).toEqual(['next'])
    await buffer.drained(BODIES.length)
    await buffer.close()
    const again = await openFileBuffer(options)
    expect((await readAll(again)).bodies).toEqual(['next'])
    expect(disk.contents(`${FILE}.aside`)).toEqual(contents)
    await again.close()
  })

  it('G10: damage in all of the file being written costs no bytes before they are drained', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    await buffer.append(sourceOf(['only']))
    disk.flipBit(FILE, (HEADERS_END + 33) * 8)
    const contents = disk.contents(FILE)
    expect((await readAll(buffer)).setAside).toMatchObject([{ number: 1 }])
    await buffer.close()
    expect(disk.contents(FILE)).toEqual(contents)
  })

  it('G1: a file of another user ends the start: nothing is wrong with it', async () => {
    const { contents } = await fileOf(BODIES)
    const disk = diskWith(contents)
    await (await open(disk)).close()
    const denied = { times: 1_000 }
    const opening = disk.open.bind(disk)
    disk.open = (path, mode) => {
      if (path === FILE && denied.times-- > 0)
        return Promise.reject(Object.assign(new Error(`EACCES: ${path}`), { code: 'EACCES' }))
      return opening(path, mode)
    }
    await expect(open(disk)).rejects.toMatchObject({ code: 'EACCES' })
    denied.times = 0
    const buffer = await open(disk)
    expect(await readAll(buffer)).toMatchObject({ bodies: BODIES, setAside: [] })
    expect(buffer.stats.quarantinedRecords).toBe(0)
    await buffer.close()
  })

  it('G1: a file that cannot be read, and not be noted as such, ends the start: read later, it would pass for drained', async () => {
    const disk = diskWith((await fileOf(BODIES)).contents)
    await (await open(disk)).close()
    let isBad = true
    const opening = disk.open.bind(disk)
    disk.open = async (path, mode) => {
      if (isBad && mode === 'create') throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      const file = await opening(path, mode)
      const reading = file.read.bind(file)
      file.read = (...range) =>
        isBad && path === FILE ? Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) : reading(...range)
      return file
    }
    await expect(open(disk)).rejects.toMatchObject({
      code: 'BUFFER_UNAVAILABLE',
      message: expect.stringContaining('cannot be read'),
    })
    isBad = false
    const buffer = await open(disk)
    await buffer.setDrainedThrough(0)
    expect(await readAll(buffer)).toMatchObject({ bodies: BODIES, setAside: [] })
    await buffer.close()
  })

  it('the offline check names a file that gives errors, and goes on with the others', async () => {
    const disk = diskWith((await fileOf(BODIES)).contents)
    const buffer = await open(disk)
    await buffer.append(sourceOf(['in another file']))
    await buffer.close()
    const opening = disk.open.bind(disk)
    disk.open = async (path, mode) => {
      const file = await opening(path, mode)
      const lost = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }))
      return path === FILE ? { ...file, read: lost } : file
    }
    const { clean, files } = await checkBufferDirectory(DIRECTORY, { disk })
    expect(clean).toBe(false)
    expect(files).toMatchObject([
      { verdict: 'unreadable', records: 0, firstRecord: null },
      { verdict: 'ok', records: 1 },
    ])
  })

  it('a disk that stumbles now and then is never given up', async () => {
    const disk = diskWith((await fileOf(BODIES)).contents)
    let nowMs = 1_000_000
    const options = { directory: DIRECTORY, disk, bufferBytesMax: 2 ** 30, diskFreeBytesMin: 0 }
    const buffer = await openFileBuffer({ ...options, clock: () => nowMs })
    for (let times = 0; times < 20; times++) {
      buffer.rewind()
      disk.fail('read', 'EIO', { times: 4 })
      await expect(readAll(buffer)).rejects.toMatchObject({ code: 'EIO' })
      disk.heal()
      buffer.rewind()
      expect((await readAll(buffer)).bodies).toEqual(BODIES)
      nowMs += 5_000
    }
    expect(buffer.stats.quarantinedRecords).toBe(0)
    await buffer.close()
  })

  it('a file that vanished is noticed: its acknowledged numbers are reported as missing', async () => {
    const disk = new FaultDisk()
    for (const body of ['one', 'two', 'three']) {
      const buffer = await open(disk)
      await buffer.append(sourceOf([body]))
      await buffer.close()
    }
    await disk.unlink(`${DIRECTORY}/${'2'.padStart(20, '0')}.qbuf`)
    const check = await checkBufferDirectory(DIRECTORY, { disk })
    expect(check.gaps).toEqual([{ firstRecord: 2, lastRecord: 2, beforeFile: `${'3'.padStart(20, '0')}.qbuf` }])
    const buffer = await open(disk)
    expect((await readAll(buffer)).bodies).toEqual(['one', 'three'])
    expect(await buffer.quarantine.list()).toMatchObject([{ number: 2, lastNumber: 2, reason: 'CORRUPT', bytes: 0 }])
    await buffer.close()
  })

  it('the newest file that vanished is noticed too, when the next one has followed', async () => {
    const disk = new FaultDisk()
    for (const body of ['one', 'two', null, 'three', null]) {
      const buffer = await open(disk)
      if (body !== null) await buffer.append(sourceOf([body]))
      await buffer.close()
      if (body === 'two') await disk.unlink(`${DIRECTORY}/${'2'.padStart(20, '0')}.qbuf`)
    }
    const buffer = await open(disk)
    expect((await readAll(buffer)).bodies).toEqual(['one', 'three'])
    expect(await buffer.quarantine.list()).toMatchObject([{ number: 2, lastNumber: 2, reason: 'CORRUPT', bytes: 0 }])
    await buffer.close()
  })

  it('G8: a file that vanishes while the buffer runs costs its own records, and holds nothing up', async () => {
    const disk = new FaultDisk()
    for (const bodies of [['one'], ['two', 'three', 'four'], ['five']]) {
      const buffer = await open(disk)
      await buffer.append(sourceOf(bodies))
      await buffer.setDrainedThrough(0)
      await buffer.close()
    }
    const buffer = await open(disk)
    await buffer.setDrainedThrough(2)
    await disk.unlink(`${DIRECTORY}/${'2'.padStart(20, '0')}.qbuf`)
    buffer.rewind()
    const all = await readAll(buffer)
    expect(all).toMatchObject({ bodies: ['five'], setAside: [{ number: 3, lastNumber: 4, bytes: 0, stored: true }] })
    await buffer.append(sourceOf(['six']))
    expect((await readAll(buffer)).bodies).toEqual(['six'])
    await buffer.drained(6)
    expect(buffer.stats).toMatchObject({ pendingRecords: 0, pendingBytes: 0, quarantinedRecords: 1 })
    await buffer.close()
  })

  it('a directory that vanishes is an error, and nothing in it is taken for missing', async () => {
    const disk = diskWith((await fileOf(BODIES)).contents)
    const buffer = await open(disk)
    disk.fail('open', 'ENOENT', { times: 1_000 })
    await expect(buffer.read({ records: 1, bytes: 1 })).rejects.toMatchObject({ code: 'ENOENT' })
    disk.heal()
    expect((await readAll(buffer)).bodies).toEqual(BODIES)
    expect(buffer.stats.quarantinedRecords).toBe(0)
    await buffer.close()
  })

  it('numbers of appends that failed are no missing records, whatever a restart makes of them', async () => {
    const disk = new FaultDisk()
    let buffer = await open(disk)
    await buffer.append(sourceOf(['one']))
    disk.fail('datasync', 'EIO', { times: 1 })
    await expect(buffer.append(sourceOf(['promised to nobody', 'nor this one']))).rejects.toThrow('could not write')
    await buffer.close()
    for (const body of ['four', 'five']) {
      buffer = await open(disk)
      await buffer.append(sourceOf([body]))
      await buffer.close()
    }
    expect((await checkBufferDirectory(DIRECTORY, { disk })).gaps).toEqual([])
    buffer = await open(disk)
    expect(await readAll(buffer)).toMatchObject({ numbers: [1, 4, 5], bodies: ['one', 'four', 'five'] })
    expect(await buffer.quarantine.list()).toEqual([])
    await buffer.close()
  })

  it('what was drained is not missed when its files are gone', async () => {
    const disk = new FaultDisk()
    for (const body of ['one', 'two', 'three']) {
      const buffer = await open(disk)
      await buffer.append(sourceOf([body]))
      await buffer.close()
    }
    const draining = await open(disk)
    await draining.drained(2)
    await draining.close()
    const buffer = await open(disk)
    expect((await readAll(buffer)).bodies).toEqual(['three'])
    expect(await buffer.quarantine.list()).toEqual([])
    await buffer.close()
  })

  it('G1: a file of another buffer is kept aside, and so is one whose numbers another file has', async () => {
    const disk = new FaultDisk()
    const first = await open(disk)
    await first.append(sourceOf(['one']))
    await first.close()
    // The same buffer as it went on in a copy of its directory, which gave number 3 to another record. Nobody was told of
    // a number 2 there, so it is no successor that goes on behind it.
    const copy = new FaultDisk()
    for (const path of disk.paths()) copy.put(path, disk.contents(path))
    const copied = await open(copy)
    copy.fail('datasync', 'EIO', { times: 1 })
    await expect(copied.append(sourceOf(['two']))).rejects.toThrow('could not write')
    expect((await copied.append(sourceOf(['three of the copy']))).first).toBe(3)
    await copied.close()
    const second = await open(disk)
    await second.append(sourceOf(['two', 'three']))
    await second.close()
    const foreign = new FaultDisk()
    const other = await open(foreign)
    await other.setDrainedThrough(8)
    await other.append(sourceOf(['nine of another']))
    await other.close()
    const pathOf = (number: number) => `${DIRECTORY}/${String(number).padStart(20, '0')}.qbuf`
    disk.put(pathOf(3), copy.contents(pathOf(3)))
    disk.put(pathOf(9), foreign.contents(pathOf(9)))
    const events: FileBufferEvent[] = []
    const buffer = await open(disk, (event) => events.push(event))
    expect(events.flatMap((event) => (event.type === 'file-aside' ? [event.reason] : []))).toEqual([
      'its record numbers overlap those of the file before it',
      `it belongs to buffer ${other.bufferId}`,
    ])
    expect(await readAll(buffer)).toMatchObject({ numbers: [1, 2, 3], bodies: ['one', 'two', 'three'], setAside: [] })
    expect((await buffer.append(sourceOf(['next']))).first).toBeGreaterThan(9)
    for (const number of [3, 9]) expect(disk.paths()).toContain(`${pathOf(number)}.aside`)
    await buffer.close()
  })

  it('a whole record in the place of a later one is damage: no number comes twice', async () => {
    const { contents, starts } = await fileOf(['a', 'b', 'c', 'd'])
    contents.copy(contents, starts[2]!, starts[0]!, starts[1]!)
    const buffer = await open(diskWith(contents))
    expect(await readAll(buffer)).toMatchObject({ numbers: [1, 2, 4], bodies: ['a', 'b', 'd'] })
    expect(await buffer.quarantine.list()).toMatchObject([{ number: 3, lastNumber: 3, offset: starts[2]! }])
    await buffer.close()
  })

  it('G10: a file that has lost its end while the buffer runs costs the records there, once', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    await buffer.append(sourceOf(BODIES))
    disk.put(FILE, disk.contents(FILE).subarray(0, -1))
    // A reader that stood still there would read for ever, and let nothing else run.
    disk.crashAfter(200)
    const reads = []
    for (let read = 0; read < 3; read++) reads.push(await buffer.read({ records: 100, bytes: 10_000 }))
    expect(reads.flatMap(({ records }) => records.map(({ number }) => number))).toEqual([1, 2, 3, 4])
    expect(reads.flatMap(({ setAside }) => setAside)).toMatchObject([{ number: 5, lastNumber: 5 }])
    expect(reads.at(-1)).toMatchObject({ empty: true, through: 5 })
    expect(buffer.stats).toMatchObject({ pendingRecords: 4, quarantinedRecords: 1 })
    disk.heal()
    await buffer.close()
  })

  it('G10: damage that appears while the buffer runs is set aside and leaves the counts true', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    await buffer.append(sourceOf(BODIES))
    disk.flipBit(FILE, disk.contents(FILE).length * 8 - 1)
    disk.flipBit(FILE, (HEADERS_END + 3) * 8)
    const all = await readAll(buffer)
    expect(all.numbers).toEqual([2, 3, 4])
    expect(buffer.stats).toMatchObject({ pendingRecords: 3, quarantinedRecords: 2 })
    buffer.rewind()
    expect((await readAll(buffer)).numbers).toEqual([2, 3, 4])
    expect(buffer.stats).toMatchObject({ pendingRecords: 3, quarantinedRecords: 2 })
    await buffer.append(sourceOf(['later']))
    expect((await readAll(buffer)).bodies).toEqual(['later'])
    await buffer.drained(6)
    expect(buffer.stats).toMatchObject({ pendingRecords: 0, pendingBytes: 0 })
    await buffer.close()
  })
})

/** The check asks for a directory that no buffer has opened yet. */
function pathsReadable(disk: FaultDisk): FaultDisk {
  void disk.makeDirectory(DIRECTORY)
  return disk
}
