/** What a caller sees: numbers, order, counts, caps, states. */
import { describe, expect, it, vi } from 'vitest'
import { diceOf, FaultDisk } from '../src/fault-disk.ts'
import { type FileBufferEvent, type FileBufferOptions, openFileBuffer } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'

const open = (disk: FaultDisk, more: Partial<FileBufferOptions> = {}) =>
  openFileBuffer({ directory: '/buffer', disk, bufferBytesMax: 2 ** 30, diskFreeBytesMin: 0, ...more })
const FILE = '/buffer/00000000000000000001.qbuf'
const buffers = (disk: FaultDisk) => disk.paths().filter((path) => path.endsWith('.qbuf'))

describe('file buffer', () => {
  it('gives dense numbers, keeps flags, bodies and accept times, and reads in order', async () => {
    const buffer = await open(new FaultDisk(), { clock: () => 1_700_000_000_000.25 })
    const [a, b] = await Promise.all([buffer.append(sourceOf(['a', 'b'], 7)), buffer.append(sourceOf(['c'], 65_535))])
    expect([a, b]).toMatchObject([
      { first: 1, last: 2 },
      { first: 3, last: 3, acceptedAtMicros: 1_700_000_000_000_250 },
    ])
    const { records, through, empty } = await buffer.read({ records: 10, bytes: 1000 })
    expect({ through, empty }).toEqual({ through: 3, empty: false })
    expect(records.map(({ number, flags, body }) => [number, flags, body.toString()])).toEqual([
      [1, 7, 'a'],
      [2, 7, 'b'],
      [3, 65_535, 'c'],
    ])
    expect(buffer.stats).toMatchObject({
      pendingRecords: 3,
      lastRecord: 3,
      oldestAcceptedAtMicros: 1_700_000_000_000_250,
    })
    await buffer.close()
  })

  it('G4: a record that was written with a time still to come counts as accepted when the buffer was opened', async () => {
    const disk = new FaultDisk()
    const first = await open(disk, { recordClock: () => 9_000 })
    await first.append(sourceOf(['early', 'late']))
    disk.restart()
    let now = 5_000
    const second = await open(disk, { recordClock: () => now })
    now = 6_000
    await second.append(sourceOf(['new']))
    expect(second.stats.oldestAcceptedAtMicros).toBe(5_000_000)
    const { records } = await second.read({ records: 10, bytes: 1000 })
    expect(records.map((each) => each.acceptedAtMicros)).toEqual([5_000_000, 5_000_000, 6_000_000])
    await second.close()
  })

  it('appends of one tick share one fdatasync', async () => {
    const buffer = await open(new FaultDisk())
    await Promise.all(Array.from({ length: 50 }, () => buffer.append(sourceOf(['x']))))
    expect(buffer.stats.fsync.count).toBe(1)
    await buffer.close()
  })

  it('G10: counts and position survive a kill; the database overrules the local hint both ways', async () => {
    const disk = new FaultDisk()
    const first = await open(disk, { fileBytesMax: 500 })
    for (let i = 0; i < 30; i++) await first.append(sourceOf([`body ${i}`]))
    await first.read({ records: 10, bytes: 10_000 })
    await first.drained(10)
    const { pendingRecords, pendingBytes, drainedThrough } = first.stats
    expect({ pendingRecords, drainedThrough }).toEqual({ pendingRecords: 20, drainedThrough: 10 })
    disk.restart()
    const second = await open(disk, { fileBytesMax: 500 })
    expect(second.stats).toMatchObject({ pendingRecords, pendingBytes, drainedThrough, lastRecord: 30 })
    expect(second.bufferId).toBe(first.bufferId)
    await second.setDrainedThrough(25)
    expect((await readAll(second)).numbers).toEqual([26, 27, 28, 29, 30])
    await second.setDrainedThrough(23)
    expect(second.stats.pendingRecords).toBe(7)
    expect((await readAll(second)).numbers).toEqual([24, 25, 26, 27, 28, 29, 30])
    await second.close()
  })

  it('G10: a kill costs nothing of what was drained last', async () => {
    const disk = new FaultDisk()
    const first = await open(disk)
    await first.append(sourceOf(['a', 'b', 'c', 'd', 'e']))
    disk.restart()
    // Whichever of the two slots the last word is in.
    for (const [at, through] of [1, 3, 4].entries()) {
      const buffer = await open(disk)
      if (at % 2 === 1) await buffer.drained(through - 1)
      await buffer.drained(through)
      disk.restart()
      const after = await open(disk)
      expect(after.stats.drainedThrough).toBe(through)
      disk.restart()
    }
  })

  it('never reuses numbers, also when all files are gone', async () => {
    const disk = new FaultDisk()
    const first = await open(disk)
    await first.append(sourceOf(['a', 'b', 'c']))
    await first.drained(3)
    await first.close()
    const second = await open(disk)
    await second.drained(3)
    await second.setDrainedThrough(3)
    expect(buffers(disk)).toEqual([])
    await second.close()
    const third = await open(disk)
    expect((await third.append(sourceOf(['d']))).first).toBe(4)
    await third.close()
  })

  it('numbers that the database has drained are not given out', async () => {
    const fresh = await open(new FaultDisk())
    await fresh.setDrainedThrough(5)
    expect((await fresh.append(sourceOf(['a']))).first).toBe(6)
    await fresh.close()
  })

  /** What the original drained is in it too; then the database was away, and a process died. */
  async function olderCopy(): Promise<FaultDisk> {
    const disk = new FaultDisk()
    const original = await open(disk)
    await original.setDrainedThrough(0)
    await original.append(sourceOf(['stored by the original', 'and this one']))
    await original.close()
    for (const body of ['a', 'b']) {
      const copy = await open(disk)
      await copy.append(sourceOf([body]))
      disk.restart()
    }
    return disk
  }

  it('G1 G2: an older copy of a directory drains what it accepted, under another id', async () => {
    const disk = await olderCopy()
    const events: FileBufferEvent[] = []
    const buffer = await open(disk, { onEvent: (event) => events.push(event) })
    await buffer.append(sourceOf(['c']))
    const formerId = buffer.bufferId
    await buffer.setDrainedThrough(7)
    const { bufferId } = buffer
    expect(bufferId).not.toBe(formerId)
    expect(events.at(-1)).toEqual({ type: 'older-copy', bufferId, formerId, firstRecord: 3, drainedThrough: 7 })
    expect((await readAll(buffer)).bodies).toEqual(['a', 'b', 'c'])
    disk.restart()
    const again = await open(disk)
    expect(again).toMatchObject({ bufferId, formerIds: [formerId] })
    await again.setDrainedThrough(0)
    disk.restart()
    // What both had is not missing.
    const last = await open(disk)
    expect(last.stats.quarantinedRecords).toBe(0)
    await last.setDrainedThrough(0)
    await last.append(sourceOf(['d']))
    expect(await readAll(last)).toMatchObject({ bodies: ['a', 'b', 'c', 'd'], setAside: [] })
    await last.drained(6)
    expect(last.stats).toMatchObject({ pendingRecords: 0, pendingBytes: 0 })
    await last.close()
  })

  it.each([
    ['crash', 1],
    ['power cut', 8],
  ])('G1 G3: a %s while it becomes another one costs nothing and doubles nothing', async (kind, seeds) => {
    let crashes = 0
    for (let operations = 0, done = false; !done; operations++) {
      for (let seed = 0; seed < seeds; seed++) {
        const disk = await olderCopy()
        const buffer = await open(disk)
        const formerId = buffer.bufferId
        disk.crashAfter(operations)
        done = await buffer.setDrainedThrough(7).then(
          () => true,
          () => false,
        )
        if (kind === 'crash') disk.restart()
        else disk.powerLoss(diceOf(seed))
        const after = await open(disk)
        // The database is away again at first.
        await after.append(sourceOf(['c']))
        await after.setDrainedThrough(after.bufferId === formerId ? 7 : 0)
        const all = { bodies: ['a', 'b', 'c'], setAside: [] }
        expect(await readAll(after), `after ${operations} operations, seed ${seed}`).toMatchObject(all)
        await after.close()
      }
      crashes++
    }
    expect(crashes).toBeGreaterThan(10)
  })

  it('G3: what was drained here and not noted is no sign of an older copy', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    await buffer.append(sourceOf(['a', 'b', 'c']))
    await buffer.setDrainedThrough(0)
    await buffer.append(sourceOf(['d']))
    disk.restart()
    const again = await open(disk)
    await again.append(sourceOf(['e']))
    disk.restart()
    // The database took the first four, and the process died before it knew.
    const after = await open(disk)
    await after.append(sourceOf(['f']))
    await after.setDrainedThrough(4)
    expect(after.bufferId).toBe(buffer.bufferId)
    expect((await readAll(after)).bodies).toEqual(['e', 'f'])
    await after.close()
  })

  it('files are unlinked when wholly drained, and only then', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk, { fileBytesMax: 300 })
    for (let i = 0; i < 12; i++) await buffer.append(sourceOf(['x'.repeat(50)]))
    expect(buffers(disk).length).toBe(6)
    await buffer.drained(3)
    expect(buffers(disk).length).toBe(5)
    await buffer.drained(4)
    expect(buffers(disk).length).toBe(4)
    expect((await readAll(buffer)).numbers).toEqual([5, 6, 7, 8, 9, 10, 11, 12])
    await expect(buffer.drained(13)).rejects.toThrow(/last record is 12/)
    await buffer.close()
  })

  it('reads on while appends go on, and says empty only when nothing is left', async () => {
    const buffer = await open(new FaultDisk(), { fileBytesMax: 2_000 })
    const seen: number[] = []
    for (let round = 0; round < 200; round++) {
      const append = buffer.append(sourceOf(Array.from({ length: 1 + (round % 7) }, () => 'y'.repeat(round))))
      if (round % 3 === 0) await append
      const { records, through } = await buffer.read({ records: 5, bytes: 1_000 })
      seen.push(...records.map(({ number }) => number))
      if (round % 5 === 0) await buffer.drained(through)
      await append
    }
    const rest = await readAll(buffer)
    seen.push(...rest.numbers)
    expect(seen).toEqual(Array.from({ length: buffer.stats.lastRecord }, (_, index) => index + 1))
    await buffer.drained(rest.through)
    expect(buffer.stats).toMatchObject({ pendingRecords: 0, pendingBytes: 0, oldestAcceptedAtMicros: null })
    await buffer.close()
  })

  it('records larger than a read chunk come back whole', async () => {
    const buffer = await open(new FaultDisk())
    const large = 'z'.repeat(3 * 2 ** 20)
    await buffer.append(sourceOf(['small', large, 'small']))
    expect((await readAll(buffer)).bodies).toEqual(['small', large, 'small'])
    await buffer.close()
  })

  it('G9: at the cap appends are refused, nothing is dropped, and a drain makes room', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk, { bufferBytesMax: 8_000, fileBytesMax: 1_000 })
    let accepted = 0
    const refusal = await (async () => {
      for (;;) {
        const error = await buffer.append(sourceOf(['x'.repeat(100)])).catch((reason: Error) => reason)
        if (error instanceof Error) return error
        accepted++
      }
    })()
    expect(refusal).toMatchObject({ code: 'BUFFER_FULL' })
    expect(buffer.stats.usedBytes).toBeLessThanOrEqual(8_000)
    expect(buffer.stats.pendingRecords).toBe(accepted)
    expect((await readAll(buffer)).numbers.length).toBe(accepted)
    await buffer.drained(accepted - 5)
    await buffer.append(sourceOf(['x'.repeat(100)]))
    await buffer.close()
  })

  it('G9: what waits for its turn is bounded, and what was taken is written', async () => {
    const buffer = await open(new FaultDisk())
    // Space is set apart for what a record may need, not for what it turns out to need.
    const source = { ...sourceOf(['x']), bytesMax: 5 * 2 ** 20 }
    const appends = await Promise.allSettled(Array.from({ length: 40 }, () => buffer.append(source)))
    const refused = appends.flatMap((append) => (append.status === 'rejected' ? [append.reason] : []))
    // One in the batch that is being filled, 25 × 5 MiB behind it.
    expect(refused).toHaveLength(40 - 26)
    for (const reason of refused) expect(reason).toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
    expect((await readAll(buffer)).numbers).toHaveLength(26)
    await buffer.append(source)
    await buffer.close()
  })

  it('G9: the free bytes of the disk are kept, also between two looks at it', async () => {
    const disk = new FaultDisk()
    disk.freeBytesNow = 10_000
    const buffer = await open(disk, { diskFreeBytesMin: 9_000 })
    await buffer.append(sourceOf(['x'.repeat(500)]))
    await expect(buffer.append(sourceOf(['x'.repeat(500)]))).rejects.toMatchObject({ code: 'BUFFER_FULL' })
    await buffer.close()
  })

  it('G10: a disk without the room that must stay free is full before a push has been refused for it', async () => {
    const disk = new FaultDisk()
    disk.freeBytesNow = 10_000
    let now = 0
    const events: FileBufferEvent[] = []
    const clock = () => now
    const buffer = await open(disk, { clock, diskFreeBytesMin: 20_000, onEvent: (event) => events.push(event) })
    expect(buffer.stats.full).toBe(true)
    await expect(buffer.append(sourceOf(['x']))).rejects.toMatchObject({ code: 'BUFFER_FULL' })
    expect(events).toContainEqual({ type: 'full', reason: expect.stringContaining('20000 bytes') })
    disk.freeBytesNow = 30_000
    now += 1_000
    await vi.waitUntil(() => !buffer.stats.full)
    await buffer.append(sourceOf(['x']))
    await buffer.close()
  })

  it('G9: what is taken and not written yet counts against them', async () => {
    const disk = new FaultDisk()
    disk.freeBytesNow = 10_000
    const buffer = await open(disk, { diskFreeBytesMin: 7_500 })
    const at = await Promise.allSettled(Array.from({ length: 10 }, () => buffer.append(sourceOf(['x'.repeat(500)]))))
    // 532 bytes each.
    expect(at.map(({ status }) => status)).toEqual([...Array(4).fill('fulfilled'), ...Array(6).fill('rejected')])
    await buffer.close()
  })

  it('G1: ENOSPC and EIO fail exactly the appends they hit; a short write is finished', async () => {
    const disk = new FaultDisk()
    let now = 0
    const buffer = await open(disk, { clock: () => now })
    await buffer.append(sourceOf(['one']))
    disk.fail('write', 'ENOSPC')
    await expect(buffer.append(sourceOf(['lost']))).rejects.toMatchObject({ code: 'BUFFER_FULL' })
    await expect(buffer.append(sourceOf(['too early']))).rejects.toMatchObject({ code: 'BUFFER_FULL' })
    now += 5_000
    disk.fail('datasync', 'EIO', { skip: 1 })
    await expect(buffer.append(sourceOf(['lost']))).rejects.toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
    expect(buffer.stats.usable).toBe(false)
    disk.shortWrites(7)
    await buffer.append(sourceOf(['two']))
    expect(buffer.stats.usable).toBe(true)
    expect((await readAll(buffer)).bodies).toEqual(['one', 'two'])
    expect(buffer.stats.pendingRecords).toBe(2)
    await buffer.close()
  })

  it('a refused append leaves no trace: record too large, an encoder that throws or lies', async () => {
    const buffer = await open(new FaultDisk(), { recordBytesMax: 10 })
    await expect(buffer.append(sourceOf(['fits', 'does not fit']))).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' })
    const broken = {
      ...sourceOf(['a', 'b']),
      write: () => {
        throw new Error('encoder')
      },
    }
    await expect(buffer.append(broken)).rejects.toThrow('encoder')
    await expect(buffer.append({ ...sourceOf(['abc']), bytesMax: 1 })).rejects.toThrow(RangeError)
    await expect(buffer.append(sourceOf([]))).rejects.toThrow(RangeError)
    expect(await buffer.append(sourceOf(['ok']))).toMatchObject({ first: 1 })
    expect((await readAll(buffer)).bodies).toEqual(['ok'])
    await buffer.close()
  })

  it('close finishes what was taken, then refuses', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    const taken = buffer.append(sourceOf(['taken']))
    const closed = buffer.close()
    await expect(buffer.append(sourceOf(['late']))).rejects.toMatchObject({ code: 'CLOSED' })
    expect(await taken).toMatchObject({ first: 1 })
    await closed
    const again = await open(disk)
    expect((await readAll(again)).bodies).toEqual(['taken'])
    await again.close()
  })

  it('reports rates and the time to full', async () => {
    let now = 1_000_000
    const buffer = await open(new FaultDisk(), { clock: () => now, bufferBytesMax: 1_000_000 })
    expect(buffer.stats.timeToFullSeconds).toBe(null)
    for (let second = 0; second < 5; second++) {
      await buffer.append(sourceOf(Array.from({ length: 100 }, () => 'x'.repeat(68))))
      now += 1_000
    }
    expect(buffer.stats.appendRecordsPerSecond).toBe(100)
    expect(buffer.stats.timeToFullSeconds).toBeCloseTo((1_000_000 - 50_128) / 10_000, 1)
    await buffer.close()
  })

  it('the time to full ends where the disk has no more to give, when that is sooner', async () => {
    let now = 1_000_000
    const disk = new FaultDisk()
    disk.freeBytesNow = 300_000
    const buffer = await open(disk, { clock: () => now, bufferBytesMax: 1_000_000, diskFreeBytesMin: 100_000 })
    for (let second = 0; second < 5; second++) {
      await buffer.append(sourceOf(Array.from({ length: 100 }, () => 'x'.repeat(68))))
      now += 1_000
    }
    const { diskFreeBytes, timeToFullSeconds } = buffer.stats
    expect(timeToFullSeconds).toBeCloseTo((diskFreeBytes! - 100_000) / 10_000, 1)
    await buffer.close()
  })

  it('G11: states survive a power cut whole, and a damaged one reads as unknown', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    expect(await buffer.readState('maintenance')).toBe(null)
    await buffer.writeState('maintenance', { enabled: true })
    disk.powerLoss(() => 0)
    const again = await open(disk)
    expect(await again.readState('maintenance')).toEqual({ enabled: true })
    await Promise.all([
      again.writeState('maintenance', { enabled: 1 }),
      again.writeState('maintenance', { enabled: 2 }),
    ])
    expect(await again.readState('maintenance')).toEqual({ enabled: 2 })
    disk.flipBit('/buffer/maintenance.state', 100)
    expect(await again.readState('maintenance')).toBe(null)
    expect(() => again.writeState('../escape', 1)).toThrow(RangeError)
    await again.close()
  })

  it('G11: a state in a bad sector reads as unknown, and keeps nobody from starting', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    await buffer.append(sourceOf(['a']))
    await buffer.writeState('maintenance', { enabled: true })
    await buffer.close()
    // The identity is read before anything else, whole and then in one piece three times over.
    disk.fail('read', 'EIO', { times: 4 })
    const again = await open(disk)
    expect(again.bufferId).toBe(buffer.bufferId)
    disk.fail('read', 'EIO', { times: 4 })
    expect(await again.readState('maintenance')).toBe(null)
    expect((await readAll(again)).bodies).toEqual(['a'])
    await again.close()
    // When nothing says whose the files are they are not taken for another's.
    disk.fail('read', 'EIO', { times: 1_000 })
    await expect(open(disk)).rejects.toMatchObject({ code: 'EIO' })
    disk.restart()
    const last = await open(disk)
    expect(last.bufferId).toBe(buffer.bufferId)
    expect((await readAll(last)).bodies).toEqual(['a'])
    await last.close()
  })

  it('the buffer id survives the loss of its file as long as there are records', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    await buffer.append(sourceOf(['a']))
    await buffer.close()
    disk.flipBit('/buffer/buffer-identity.state', 160)
    const again = await open(disk)
    expect(again.bufferId).toBe(buffer.bufferId)
    expect((await readAll(again)).bodies).toEqual(['a'])
    await again.close()
  })
})

/** A disk whose directory may be taken away from its owner. */
class LosableDisk extends FaultDisk {
  /** How many more looks find the lock held. */
  looks = Number.POSITIVE_INFINITY

  override async lock(): Promise<{ isHeld: () => boolean; release: () => Promise<void> }> {
    return { isHeld: () => this.looks-- > 0, release: async () => {} }
  }
}

describe('an owner that is robbed of its directory while it is frozen', () => {
  const refused = { code: 'BUFFER_UNAVAILABLE', message: expect.stringContaining('took over') }

  it('writes nothing when it sees that first, and leaves what it was writing as it is', async () => {
    const disk = new LosableDisk()
    const buffer = await open(disk)
    await buffer.append(sourceOf(['one']))
    const before = disk.contents(FILE)
    // The write was under way.
    disk.looks = 1
    await expect(buffer.append(sourceOf(['two']))).rejects.toMatchObject(refused)
    const written = disk.contents(FILE)
    expect(written.length).toBeGreaterThan(before.length)
    await expect(buffer.append(sourceOf(['three']))).rejects.toMatchObject(refused)
    expect(disk.contents(FILE)).toEqual(written)
    expect(disk.paths().filter((path) => path.endsWith('.qbuf'))).toEqual([FILE])
  })

  it('G1 G2 costs its successor nothing: what it wrote behind what was found was promised to nobody', async () => {
    const disk = new FaultDisk()
    const first = await open(disk)
    await first.append(sourceOf(['one', 'two']))
    const found = disk.contents(FILE)
    await first.append(sourceOf(['late', 'later']))
    const late = disk.contents(FILE)
    disk.restart()
    disk.put(FILE, found)
    const second = await open(disk)
    await second.append(sourceOf(['three', 'four', 'five']))
    await second.close()
    disk.put(FILE, late)
    for (const drained of [0, 3]) {
      const third = await open(disk)
      await third.setDrainedThrough(drained)
      expect(third.stats).toMatchObject({ pendingRecords: 5 - drained, quarantinedRecords: 0 })
      expect((await readAll(third)).bodies).toEqual(['one', 'two', 'three', 'four', 'five'].slice(drained))
      await third.close()
    }
    const last = await open(disk)
    await last.drained(5)
    expect(last.stats).toMatchObject({ pendingRecords: 0, pendingBytes: 0 })
    await last.close()
  })

  it('G3 takes nothing that its successor drained for what an older copy accepted', async () => {
    const disk = new LosableDisk()
    const buffer = await open(disk)
    await buffer.append(sourceOf(['one', 'two']))
    const contents = () => disk.paths().map((path) => [path, disk.contents(path)])
    const before = contents()
    disk.looks = 0
    await expect(buffer.setDrainedThrough(2)).rejects.toMatchObject(refused)
    await buffer.close()
    expect(contents()).toEqual(before)
  })

  it('in the middle of opening it does not open it', async () => {
    const disk = new FaultDisk()
    const lost = Promise.withResolvers<void>()
    const { freeBytes } = disk
    Object.assign(disk, {
      lock: async (_: string, onLost: () => void) => {
        setImmediate(() => {
          onLost()
          lost.resolve()
        })
        return { isHeld: () => true, release: async () => {} }
      },
      freeBytes: () => lost.promise.then(() => freeBytes.call(disk)),
    })
    await expect(open(disk)).rejects.toMatchObject({ code: 'LOCKED' })
  })

  it('its own next file gives way to that of its successor, and is shown', async () => {
    const disk = new FaultDisk()
    const first = await open(disk)
    await first.append(sourceOf(['one', 'two']))
    disk.fail('datasync', 'EIO')
    await expect(first.append(sourceOf(['late']))).rejects.toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
    await first.append(sourceOf(['later']))
    const [own] = disk.paths().filter((path) => path.endsWith('.qbuf') && path !== FILE)
    const late = disk.contents(own!)
    await disk.unlink(own!)
    disk.restart()
    const second = await open(disk)
    await second.append(sourceOf(['three', 'four', 'five']))
    await second.close()
    disk.put(own!, late)
    const third = await open(disk)
    expect((await readAll(third)).bodies).toEqual(['one', 'two', 'three', 'four', 'five'])
    expect(await third.quarantine.list()).toMatchObject([{ number: 4, reason: 'CORRUPT' }])
    await third.close()
  })
})
