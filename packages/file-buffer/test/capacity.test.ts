/** How much a buffer takes: its cap, the free bytes of the disk, what waits for its turn, and when it will be full. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { FaultDisk } from '../src/fault-disk.ts'
import type { FileBufferEvent } from '../src/index.ts'
import { readAll, sourceOf } from './bodies.ts'
import { open } from './faulty-buffer.ts'

describe('capacity', () => {
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

  it('G10 G11: a disk that does not tell what is free holds no start up, and is asked until it does', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const answer = Promise.withResolvers<number>()
    const asked = Promise.withResolvers<void>()
    const freeBytes = () => {
      asked.resolve()
      return answer.promise
    }
    const opening = open(Object.assign(new FaultDisk(), { freeBytes }), { diskFreeBytesMin: 9_000 })
    await asked.promise
    vi.advanceTimersByTime(60_000)
    const buffer = await opening
    expect(buffer.stats).toMatchObject({ diskFreeBytes: null, full: false })
    await buffer.append(sourceOf(['x']))
    answer.resolve(8_000)
    await vi.waitUntil(() => buffer.stats.diskFreeBytes === 8_000)
    await expect(buffer.append(sourceOf(['x']))).rejects.toMatchObject({ code: 'BUFFER_FULL' })
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
})
