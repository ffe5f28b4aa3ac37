/** A disk that gives errors: what it stumbles over is read later, and only what it cannot read for long is set aside. */
import { describe, expect, it } from 'vitest'
import { FaultDisk } from '../src/fault-disk.ts'
import { checkBufferDirectory } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'
import { BODIES, DIRECTORY, diskWith, FILE, fileOf, HEADERS_END, open } from './faulty-buffer.ts'

describe('a disk that gives errors', () => {
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

  it('a disk that stumbles now and then is never given up', async () => {
    const disk = diskWith((await fileOf(BODIES)).contents)
    let nowMs = 1_000_000
    const buffer = await open(disk, { clock: () => nowMs })
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
      const buffer = await open(disk, { clock: () => nowMs })
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
    const buffer = await open(disk, { clock: () => nowMs })
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
    const buffer = await open(disk, { clock: () => nowMs })
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
    const again = await open(disk, { clock: () => nowMs })
    expect((await readAll(again)).bodies).toEqual(['next'])
    expect(disk.contents(`${FILE}.aside`)).toEqual(contents)
    await again.close()
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
})
