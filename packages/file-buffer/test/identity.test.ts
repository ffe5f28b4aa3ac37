/** Which buffer a directory is: what an older copy of it, or an owner that was robbed of it, may do to the records. */
import { describe, expect, it } from 'vitest'
import { diceOf, FaultDisk } from '../src/fault-disk.ts'
import type { FileBufferEvent } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'
import { DIRECTORY, FILE, open } from './faulty-buffer.ts'

describe('the identity of a buffer', () => {
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
    const progress = disk.contents(`${DIRECTORY}/progress`)
    await first.append(sourceOf(['later']))
    const [own] = disk.paths().filter((path) => path.endsWith('.qbuf') && path !== FILE)
    const late = disk.contents(own!)
    await disk.unlink(own!)
    disk.restart()
    // Robbed it takes no note of what it acknowledges to nobody.
    disk.put(`${DIRECTORY}/progress`, progress)
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
