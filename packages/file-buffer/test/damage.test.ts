/** Bits rot, ends get lost: whatever is hit, the records whose own bytes are whole come back, and nothing stops a start. */
import { describe, expect, it } from 'vitest'
import { diceOf, FaultDisk } from '../src/fault-disk.ts'
import { checkBufferDirectory, type FileBufferEvent } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'
import { BODIES, DIRECTORY, diskWith, FILE, fileOf, HEADERS_END, open } from './faulty-buffer.ts'

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
      const buffer = await open(disk, { onEvent: (event) => events.push(event) })
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
      const buffer = await open(disk, { onEvent: (event) => events.push(event) })
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

  it('a whole record in the place of a later one is damage: no number comes twice', async () => {
    const { contents, starts } = await fileOf(['a', 'b', 'c', 'd'])
    contents.copy(contents, starts[2]!, starts[0]!, starts[1]!)
    const buffer = await open(diskWith(contents))
    expect(await readAll(buffer)).toMatchObject({ numbers: [1, 2, 4], bodies: ['a', 'b', 'd'] })
    expect(await buffer.quarantine.list()).toMatchObject([{ number: 3, lastNumber: 3, offset: starts[2]! }])
    await buffer.close()
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
})

/** The check asks for a directory that no buffer has opened yet. */
function pathsReadable(disk: FaultDisk): FaultDisk {
  void disk.makeDirectory(DIRECTORY)
  return disk
}
