/** What a caller sees: numbers, order, counts, refusals, states. */
import { describe, expect, it } from 'vitest'
import { FaultDisk } from '../src/fault-disk.ts'
import { readAll, sourceOf } from './bodies.ts'
import { open } from './faulty-buffer.ts'

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
})
