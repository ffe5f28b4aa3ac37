/** Set-aside records: durable, counted, bounded, and gone only when an operator says so. */
import { describe, expect, it } from 'vitest'
import { FaultDisk } from '../src/fault-disk.ts'
import { openFileBuffer, type QuarantineEntry } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'

const open = (disk: FaultDisk, quarantineEntriesMax = 100) =>
  openFileBuffer({ directory: '/buffer', disk, bufferBytesMax: 2 ** 30, diskFreeBytesMin: 0, quarantineEntriesMax })
const FILE = '/buffer/00000000000000000001.qbuf'

const entry = (id: string, more: Partial<QuarantineEntry> = {}): QuarantineEntry => ({
  id,
  number: 1,
  lastNumber: 1,
  file: null,
  offset: null,
  acceptedAtMicros: 5,
  quarantinedAtMicros: 10,
  flags: 3,
  attempts: 1,
  reason: 'REJECTED',
  error: 'no such thing',
  sqlState: '22P05',
  bytes: 4,
  body: Buffer.from([0, 255, 1, 10]),
  ...more,
})

describe('G8: quarantine', () => {
  it('entries survive restarts and power cuts with every byte, oldest first, and can be removed', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    expect(await buffer.quarantine.add(entry('b', { quarantinedAtMicros: 20 }))).toBe(true)
    expect(await buffer.quarantine.add(entry('a'))).toBe(true)
    expect(await buffer.quarantine.add(entry('a'))).toBe(false)
    disk.powerLoss(() => 0)
    const again = await open(disk)
    expect(again.stats.quarantinedRecords).toBe(2)
    expect((await again.quarantine.list()).map(({ id }) => id)).toEqual(['a', 'b'])
    expect((await again.quarantine.list({ offset: 1, limit: 1 })).map(({ id }) => id)).toEqual(['b'])
    expect(await again.quarantine.get('a')).toEqual(entry('a'))
    expect(await again.quarantine.remove('a')).toBe(true)
    expect(await again.quarantine.remove('a')).toBe(false)
    expect(await again.quarantine.get('a')).toBe(null)
    await expect(again.quarantine.add(entry('../escape'))).rejects.toThrow(RangeError)
    disk.powerLoss(() => 0)
    const third = await open(disk)
    expect(third.quarantine.count).toBe(1)
    await third.close()
  })

  it('damage that was removed does not come back while its file is still there', async () => {
    const disk = new FaultDisk()
    const first = await open(disk)
    await first.append(sourceOf(['aaa', 'bbb']))
    await first.close()
    disk.flipBit(FILE, (128 + 33) * 8)
    const second = await open(disk)
    const [found] = await second.quarantine.list()
    expect(found).toMatchObject({ number: 1, reason: 'CORRUPT', file: '00000000000000000001.qbuf' })
    await second.quarantine.remove(found!.id)
    await second.close()
    const third = await open(disk)
    expect(third.stats).toMatchObject({ quarantinedRecords: 0, pendingRecords: 1 })
    expect((await readAll(third)).bodies).toEqual(['bbb'])
    expect(third.stats.quarantinedRecords).toBe(0)
    await third.drained(2)
    expect(disk.paths().filter((path) => /qbuf$|gone$|entry$/.test(path))).toEqual([])
    await third.close()
  })

  it('G9: a full quarantine refuses, and a damaged file is then kept instead of unlinked', async () => {
    const disk = new FaultDisk()
    const first = await open(disk, 1)
    await first.quarantine.add(entry('only'))
    await expect(first.quarantine.add(entry('more'))).rejects.toMatchObject({ code: 'QUARANTINE_FULL' })
    await first.append(sourceOf(['aaa', 'bbb']))
    await first.close()
    disk.flipBit(FILE, (128 + 33) * 8)
    const second = await open(disk, 1)
    const all = await readAll(second)
    expect(all.bodies).toEqual(['bbb'])
    expect(all.setAside).toMatchObject([{ number: 1, stored: false }])
    await second.drained(2)
    expect(disk.paths()).toContain(`${FILE}.aside`)
    expect(second.stats).toMatchObject({ pendingRecords: 0, quarantinedRecords: 1 })
    await second.close()
  })

  it('G10: a file that cannot be used stays as it is for as long as there is no room for its entry', async () => {
    const disk = new FaultDisk()
    const first = await open(disk, 1)
    await first.quarantine.add(entry('only'))
    await first.append(sourceOf(['aaa', 'bbb']))
    await first.close()
    disk.put(FILE, Buffer.from(disk.contents(FILE)).fill(0x55, 0, 128))
    const second = await open(disk, 1)
    expect(disk.paths()).toContain(FILE)
    expect((await second.append(sourceOf(['ccc']))).first).toBeGreaterThan(2)
    expect((await readAll(second)).bodies).toEqual(['ccc'])
    await second.quarantine.remove('only')
    await second.close()
    const third = await open(disk, 1)
    expect(await third.quarantine.list()).toMatchObject([{ number: 1, reason: 'CORRUPT' }])
    expect(disk.paths()).toContain(`${FILE}.aside`)
    expect((await readAll(third)).bodies).toEqual(['ccc'])
    await third.close()
  })

  it('G10: an entry that cannot be read stays visible too, and hides no other', async () => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    for (const id of ['a', 'b']) await buffer.quarantine.add(entry(id))
    const lost = { id: 'a', number: null, error: 'the quarantine entry itself is damaged' }
    // The first of the two, and all of it.
    disk.fail('read', 'EIO', { times: 4 })
    expect(await buffer.quarantine.list()).toMatchObject([lost, { id: 'b', error: 'no such thing' }])
    disk.restart()
    // Behind the identity and the two slots of the progress.
    disk.fail('read', 'EIO', { skip: 1, times: 4 })
    const again = await open(disk)
    expect(again.stats.quarantinedRecords).toBe(2)
    disk.heal()
    expect(await again.quarantine.list()).toHaveLength(2)
    expect(await again.quarantine.remove('a')).toBe(true)
    await again.close()
  })

  it.each([
    ['its head', () => 200],
    ['the bytes that were set aside', (bytes: Buffer) => bytes.length * 8 - 1],
  ])('an entry that is itself damaged stays visible and says so (in %s)', async (_, bitOf) => {
    const disk = new FaultDisk()
    const buffer = await open(disk)
    await buffer.quarantine.add(entry('a'))
    const path = '/buffer/quarantine/a.entry'
    disk.flipBit(path, bitOf(disk.contents(path)))
    expect(await buffer.quarantine.list()).toMatchObject([{ id: 'a', error: 'the quarantine entry itself is damaged' }])
    await buffer.close()
    const again = await open(disk)
    expect(again.stats.quarantinedRecords).toBe(1)
    await again.close()
  })
})
