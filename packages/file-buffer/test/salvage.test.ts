/** What is whole in files that were set aside comes into a buffer of its own, as it was accepted. */
import { describe, expect, it } from 'vitest'
import { FaultDisk } from '../src/fault-disk.ts'
import { openFileBuffer, salvageRecords } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'
import { HEADERS_END } from './faulty-buffer.ts'

const open = (disk: FaultDisk, directory: string, recordClock?: () => number) =>
  openFileBuffer({
    directory,
    disk,
    bufferBytesMax: 2 ** 30,
    diskFreeBytesMin: 0,
    fileBytesMax: 350,
    ...(recordClock && { recordClock }),
  })

/** Two files of a buffer under other names: records 1 to 3 and 4 to 6, accepted at a minute each. */
async function twoFiles() {
  const disk = new FaultDisk()
  let nowMs = 0
  const buffer = await open(disk, '/buffer', () => nowMs)
  for (let number = 1; number <= 6; number++) {
    nowMs = number * 60_000
    await buffer.append(sourceOf([`record ${number} `.repeat(4)], number))
  }
  await buffer.close()
  const paths = disk.paths().filter((path) => path.endsWith('.qbuf'))
  expect(paths).toHaveLength(2)
  const rescue = new FaultDisk()
  await rescue.makeDirectory('/rescue')
  for (const [index, path] of paths.entries()) rescue.put(`/rescue/${index}.aside`, disk.contents(path))
  return { rescue, sources: ['/rescue/1.aside', '/rescue/0.aside'], bufferId: buffer.bufferId }
}

describe('salvage', () => {
  it('G2 keeps bodies, flags, times and order, under another id and other numbers', async () => {
    const { rescue, sources, bufferId } = await twoFiles()
    const before = sources.map((path) => rescue.contents(path))
    const steps: number[] = []
    const onProgress = (done: number) => void steps.push(done)
    const salvage = await salvageRecords({ directory: '/new', sources, from: 2, disk: rescue, onProgress })
    expect(salvage).toEqual({ records: 5, first: 2, last: 6, damages: 0 })
    expect(steps.at(-1)).toBe(before.reduce((sum, { length }) => sum + length, 0))
    expect(sources.map((path) => rescue.contents(path))).toEqual(before)
    // Durable, and a buffer like any other.
    rescue.powerLoss(() => 0)
    const buffer = await open(rescue, '/new')
    expect(buffer.bufferId).not.toBe(bufferId)
    expect(buffer.stats).toMatchObject({ pendingRecords: 5, lastRecord: 5, quarantinedRecords: 0 })
    const { records } = await buffer.read({ records: 10, bytes: 10_000 })
    expect(
      records.map(({ number, acceptedAtMicros, flags }) => [number, acceptedAtMicros / 60_000_000, flags]),
    ).toEqual([2, 3, 4, 5, 6].map((number) => [number - 1, number, number]))
    buffer.rewind()
    expect((await readAll(buffer)).bodies).toEqual([2, 3, 4, 5, 6].map((number) => `record ${number} `.repeat(4)))
    await buffer.close()
  })

  it('passes over what is damaged, and takes no more than was asked for', async () => {
    const { rescue, sources } = await twoFiles()
    rescue.flipBit('/rescue/0.aside', (rescue.contents('/rescue/0.aside').length - 1) * 8)
    expect(await salvageRecords({ directory: '/new', sources, to: 5, disk: rescue })).toEqual({
      records: 4,
      first: 1,
      last: 5,
      damages: 1,
    })
    expect(await salvageRecords({ directory: '/none', sources, from: 7, disk: rescue })).toMatchObject({ records: 0 })
  })

  it('a record that is cut off is told, and so are zeros at the end of a copy', async () => {
    const { rescue, sources } = await twoFiles()
    const whole = rescue.contents('/rescue/1.aside')
    rescue.put('/rescue/1.aside', whole.subarray(0, whole.length - 1))
    const salvage = await salvageRecords({ directory: '/new', sources, disk: rescue })
    expect(salvage).toEqual({ records: 5, first: 1, last: 5, damages: 1 })
    rescue.put('/rescue/1.aside', Buffer.concat([whole, Buffer.alloc(64)]))
    expect(await salvageRecords({ directory: '/other', sources, disk: rescue })).toMatchObject({ damages: 1 })
  })

  it('G3 what it leaves when it fails, is stopped or dies is no buffer, and it can be repeated', async () => {
    const { rescue, sources } = await twoFiles()
    const options = { directory: '/new', sources, disk: rescue }
    const left = () => rescue.paths().filter((path) => path.startsWith('/new'))
    rescue.fail('write', 'ENOSPC', { skip: 1 })
    await expect(salvageRecords(options)).rejects.toMatchObject({ code: 'ENOSPC' })
    expect(left()).toEqual([])
    const stopped = new Error('stopped')
    const onProgress = (done: number, total: number) => {
      if (done === total) throw stopped
    }
    await expect(salvageRecords({ ...options, onProgress })).rejects.toBe(stopped)
    expect(left()).toEqual([])
    const before = rescue.operations
    await salvageRecords({ ...options, directory: '/whole' })
    const operations = rescue.operations - before
    let repeated = 0
    for (let dies = 0; dies < operations; dies++) {
      rescue.crashAfter(dies)
      await expect(salvageRecords({ ...options, directory: `/new${dies}` })).rejects.toMatchObject({ code: 'ENODEV' })
      rescue.powerLoss(() => 1)
      if (rescue.paths().some((path) => path.startsWith(`/new${dies}/`) && path.endsWith('.qbuf'))) {
        // Everything is there, or a start says what is missing.
        const buffer = await open(rescue, `/new${dies}`)
        expect(buffer.stats.pendingRecords === 6 || buffer.stats.quarantinedRecords === 1).toBe(true)
        await buffer.close()
        continue
      }
      expect(await salvageRecords({ ...options, directory: `/new${dies}` })).toMatchObject({ records: 6 })
      repeated++
    }
    expect(operations - repeated).toBe(3)
  })

  describe('of a file whose header is gone', () => {
    const NAME = '/rescue/00000000000000000001.qbuf.aside'

    async function headless(bytes: number) {
      const { rescue, sources } = await twoFiles()
      const [like, whole] = sources as [string, string]
      const contents = rescue.contents(whole)
      rescue.put(NAME, Buffer.concat([Buffer.alloc(bytes), contents.subarray(bytes)]))
      const salvaged = (...like: string[]) => salvageRecords({ directory: '/new', sources: [NAME], like, disk: rescue })
      return { rescue, like, contents, salvaged }
    }
    const refused = { code: 'NOT_A_BUFFER', message: expect.stringContaining('header') }

    it('G2 takes what bears the salt of another file of the same run', async () => {
      const { rescue, like, salvaged } = await headless(HEADERS_END)
      await expect(salvaged()).rejects.toMatchObject(refused)
      expect(await salvaged(like)).toEqual({ records: 3, first: 1, last: 3, damages: 0 })
      const buffer = await open(rescue, '/new')
      expect((await readAll(buffer)).bodies).toEqual([1, 2, 3].map((number) => `record ${number} `.repeat(4)))
      await buffer.close()
      const both = { directory: '/both', sources: [like, NAME], disk: rescue }
      expect(await salvageRecords(both)).toEqual({ records: 6, first: 1, last: 6, damages: 0 })
    })

    it('reads on behind records that are gone with it, and needs its name', async () => {
      const { rescue, like, salvaged } = await headless(HEADERS_END + 40)
      expect(await salvaged(like)).toEqual({ records: 2, first: 2, last: 3, damages: 1 })
      rescue.put('/rescue/copy', rescue.contents(NAME))
      const renamed = { directory: '/other', sources: ['/rescue/copy'], like: [like], disk: rescue }
      await expect(salvageRecords(renamed)).rejects.toMatchObject(refused)
    })

    it('does with what its own copies say, where that is right', async () => {
      const { rescue, contents, salvaged } = await headless(0)
      // In the time it was made, and in the number of the first record.
      contents[48]! ^= 1
      contents[64 + 32]! ^= 1
      rescue.put(NAME, contents)
      expect(await salvaged()).toEqual({ records: 3, first: 1, last: 3, damages: 0 })
    })

    it('takes no record of another run, and no body that looks like one', async () => {
      const { rescue, like, contents, salvaged } = await headless(HEADERS_END)
      const { rescue: other, sources } = await twoFiles()
      rescue.put('/rescue/other', other.contents(sources[0]!))
      await expect(salvaged('/rescue/other')).rejects.toMatchObject(refused)
      // In the place of its second half, as in blocks that were the other's before.
      const half = Math.floor(contents.length / 2)
      const stale = other.contents(sources[1]!).subarray(half)
      rescue.put(NAME, Buffer.concat([Buffer.alloc(HEADERS_END), contents.subarray(HEADERS_END, half), stale]))
      expect(await salvaged(like)).toMatchObject({ records: 1, first: 1, last: 1 })

      const forger = new FaultDisk()
      const buffer = await open(forger, '/buffer')
      const images = other.contents(sources[1]!).subarray(HEADERS_END)
      await buffer.append(sourceOf([images]))
      await buffer.close()
      const [path] = forger.paths().filter((each) => each.endsWith('.qbuf'))
      rescue.put(
        NAME,
        Buffer.concat([Buffer.alloc(HEADERS_END + 32), forger.contents(path!).subarray(HEADERS_END + 32)]),
      )
      await expect(salvaged(like)).rejects.toMatchObject(refused)
    })
  })

  it('refuses a directory that holds something, a file without a header, and files of different buffers', async () => {
    const { rescue, sources } = await twoFiles()
    await expect(salvageRecords({ directory: '/rescue', sources, disk: rescue })).rejects.toMatchObject({
      code: 'NOT_EMPTY',
    })
    await expect(
      salvageRecords({ directory: '/new', sources: [...sources, sources[0]!], disk: rescue }),
    ).rejects.toMatchObject({
      message: '/rescue/1.aside and /rescue/1.aside begin with the same record: give one of them',
    })
    rescue.put('/rescue/2.aside', Buffer.alloc(500, 7))
    rescue.put('/rescue/3.aside', (await twoFiles()).rescue.contents('/rescue/0.aside'))
    for (const name of ['2', '3', '4'])
      await expect(
        salvageRecords({ directory: '/new', sources: [...sources, `/rescue/${name}.aside`], disk: rescue }),
      ).rejects.toMatchObject({ code: 'NOT_A_BUFFER' })
    expect(rescue.paths().some((path) => path.startsWith('/new'))).toBe(false)
  })
})
