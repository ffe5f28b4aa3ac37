/** Files that are gone, and files that are another’s: acknowledged records are missed, and nothing else is. */
import { describe, expect, it } from 'vitest'
import { diceOf, FaultDisk } from '../src/fault-disk.ts'
import { checkBufferDirectory, type FileBuffer, type FileBufferEvent } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'
import { BODIES, DIRECTORY, diskWith, FILE, fileOf, HEADERS_END, open } from './faulty-buffer.ts'

const pathsOfRecords = (disk: FaultDisk) => disk.paths().filter((path) => path.endsWith('.qbuf'))

/** What the next start misses; nothing new the one after it, whatever is appended in between. */
async function missedBy(disk: FaultDisk): Promise<{ firstRecord: number; lastRecord: number }[]> {
  const missed: { firstRecord: number; lastRecord: number }[] = []
  const onEvent = (event: FileBufferEvent) => {
    if (event.type === 'missing') missed.push(event)
  }
  const entries: unknown[] = []
  for (const body of ['next', 'last']) {
    const buffer = await open(disk, { onEvent })
    // Others may tell of a write that was torn.
    entries.push((await buffer.quarantine.list()).filter(({ bytes }) => bytes === 0))
    await buffer.append(sourceOf([body]))
    await buffer.close()
  }
  expect(entries).toEqual(entries.map(() => entries[0]))
  const told = missed.map(({ firstRecord: number, lastRecord: lastNumber }) => ({ number, lastNumber, bytes: 0 }))
  expect(entries[0]).toMatchObject(told)
  return missed
}

/** A life with every step that writes, until the disk dies: two files, drains, files that are removed and one that goes on. */
async function dying(operations: number): Promise<{ disk: FaultDisk; acknowledged: number; drained: number }> {
  const disk = new FaultDisk()
  let acknowledged = 0
  let drained = 0
  const append = async (buffer: FileBuffer, bytes: number) => {
    const { last } = await buffer.append(sourceOf(['x'.repeat(bytes)]))
    // What died can tell nobody.
    if (!disk.crashed) acknowledged = last
  }
  const drain = async (buffer: FileBuffer, through: number) => {
    // The database has it from here on.
    drained = through
    await buffer.drained(through)
  }
  const live = async () => {
    for (let life = 0; life < 2; life++) {
      const buffer = await open(disk, { fileBytesMax: 300 })
      await append(buffer, 10)
      await buffer.setDrainedThrough(drained)
      await append(buffer, 200)
      await append(buffer, 10)
      await drain(buffer, acknowledged - 1)
      await append(buffer, 10)
      await drain(buffer, acknowledged)
      await append(buffer, 200)
      await append(buffer, 200)
      await drain(buffer, acknowledged)
      await append(buffer, 10)
      if (life === 0) await buffer.close()
    }
  }
  disk.crashAfter(operations)
  await live().catch((error: unknown) => {
    if (!disk.crashed) throw error
  })
  return { disk, acknowledged, drained }
}

describe('files that are missing or foreign', () => {
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

  it('G10: the newest file that vanished is noticed at once and once, whether it was the only one or not', async () => {
    for (const drained of [0, 2, 3]) {
      for (const isClosed of [true, false]) {
        const disk = new FaultDisk()
        const first = await open(disk)
        await first.append(sourceOf(['one', 'two']))
        await first.close()
        const second = await open(disk)
        await second.setDrainedThrough(0)
        await second.append(sourceOf(['three']))
        if (drained > 0) await second.drained(drained)
        await second.append(sourceOf(['four', 'five']))
        if (isClosed) await second.close()
        disk.restart()
        await disk.unlink(pathsOfRecords(disk).at(-1)!)
        // Of a process that was killed nobody knows how much it had acknowledged.
        const lastRecord = isClosed || drained === 3 ? 5 : 3
        const gaps = [{ firstRecord: Math.max(2, drained) + 1, lastRecord, beforeFile: null }]
        expect(await checkBufferDirectory(DIRECTORY, { disk })).toMatchObject({ gaps, clean: false })
        expect(await missedBy(disk)).toMatchObject(gaps)
        expect(await checkBufferDirectory(DIRECTORY, { disk })).toMatchObject({ gaps: [], clean: true })
      }
    }
  })

  it('G10: whenever the process or the machine dies, only a file that vanishes then is missed, if it held anything', async () => {
    for (const vanishes of [true, false]) {
      for (let operations = 0, died = true; died; operations++) {
        const { disk, acknowledged, drained } = await dying(operations)
        died = disk.crashed
        if (operations % 2 === 0) disk.restart()
        else disk.powerLoss(diceOf(operations))
        if (vanishes) for (const path of pathsOfRecords(disk)) await disk.unlink(path)
        const missed = (await missedBy(disk)).length > 0
        // The disk may have forgotten how far it was drained: what was is missed, too, then. The database can tell.
        if (!vanishes || acknowledged > drained) expect(missed, `operation ${operations}`).toBe(vanishes)
      }
    }
  })

  it('the check calls missing what a start does: not what damage at the end of a file may have held', async () => {
    const { contents } = await fileOf(['one', 'two'])
    const disk = diskWith(Buffer.concat([contents, Buffer.alloc(80, 0xff)]))
    const buffer = await open(disk)
    await buffer.append(sourceOf(['next']))
    await buffer.close()
    const check = await checkBufferDirectory(DIRECTORY, { disk })
    expect(check).toMatchObject({ gaps: [], clean: false })
    expect(check.files[0]).toMatchObject({ verdict: 'damaged at record 3', lastRecord: 2 })
    expect(await missedBy(disk)).toEqual([])
  })

  it('a file that is damaged does not hide from the check that the one behind it is gone', async () => {
    const disk = diskWith((await fileOf(BODIES)).contents)
    const buffer = await open(disk)
    await buffer.append(sourceOf(['gone']))
    disk.restart()
    disk.flipBit(FILE, (HEADERS_END + 32) * 8)
    await disk.unlink(pathsOfRecords(disk)[1]!)
    const gaps = [{ firstRecord: 6, lastRecord: 6, beforeFile: null }]
    expect(await checkBufferDirectory(DIRECTORY, { disk })).toMatchObject({ gaps, files: [{ damageCount: 1 }] })
  })

  it('G10: the next file that vanishes is another loss', async () => {
    const disk = new FaultDisk()
    for (const lost of [0, 1, 2]) {
      const buffer = await open(disk)
      expect(await buffer.quarantine.list()).toHaveLength(lost)
      await buffer.append(sourceOf(['gone']))
      disk.restart()
      await disk.unlink(pathsOfRecords(disk)[0]!)
    }
  })

  it('G2: a file that is put back before anything else came is read as if it had never been away', async () => {
    const disk = new FaultDisk()
    const first = await open(disk)
    for (const body of ['one', 'two', 'three']) await first.append(sourceOf([body]))
    disk.restart()
    const contents = disk.contents(FILE)
    await disk.unlink(FILE)
    const second = await open(disk)
    await second.setDrainedThrough(1)
    await second.close()
    disk.put(FILE, contents)
    const third = await open(disk)
    await third.setDrainedThrough(1)
    expect(await readAll(third)).toMatchObject({ numbers: [2, 3], bodies: ['two', 'three'] })
    expect((await third.append(sourceOf(['four']))).first).toBe(4)
    await third.close()
  })

  it('G10: the end of the newest file that is gone is missed', async () => {
    const disk = new FaultDisk()
    const { starts } = await fileOf(BODIES)
    const buffer = await open(disk)
    await buffer.append(sourceOf(BODIES))
    await buffer.close()
    disk.put(FILE, disk.contents(FILE).subarray(0, starts[3]))
    expect(await missedBy(disk)).toMatchObject([{ firstRecord: 4, lastRecord: 5 }])
  })

  it('G10: a loss there was no room to note is told again until there is', async () => {
    const disk = new FaultDisk()
    const first = await open(disk)
    await first.append(sourceOf(['one']))
    await first.close()
    await disk.unlink(pathsOfRecords(disk)[0]!)
    const events: FileBufferEvent[] = []
    const options = { quarantineEntriesMax: 0, onEvent: (event: FileBufferEvent) => events.push(event) }
    for (let start = 1; start <= 2; start++) {
      await (await open(disk, options)).close()
      expect(events.filter(({ type }) => type === 'missing')).toHaveLength(start)
    }
    expect(await missedBy(disk)).toMatchObject([{ firstRecord: 1, lastRecord: 1 }])
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
    const buffer = await open(disk, { onEvent: (event) => events.push(event) })
    expect(events.flatMap((event) => (event.type === 'file-aside' ? [event.reason] : []))).toEqual([
      'its record numbers overlap those of the file before it',
      `it belongs to buffer ${other.bufferId}`,
    ])
    expect(await readAll(buffer)).toMatchObject({ numbers: [1, 2, 3], bodies: ['one', 'two', 'three'], setAside: [] })
    expect((await buffer.append(sourceOf(['next']))).first).toBeGreaterThan(9)
    for (const number of [3, 9]) expect(disk.paths()).toContain(`${pathOf(number)}.aside`)
    await buffer.close()
  })
})
