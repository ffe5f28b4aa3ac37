/** A disk of the file buffer that runs short is told before it refuses anything. */
import { nodeDisk } from '@queen/file-buffer'
import { expect, test } from 'vitest'
import { until } from '../../../../test/support/until.ts'
import { DiskSpace } from '../../src/engine/disk-space.ts'
import { runBroker } from '../reads/running-broker.ts'

const MIB = 1024 * 1024

test('each change is one line, what comes and goes around the limit none, and unknown is no change', () => {
  const lines: string[] = []
  const log = {
    debug() {},
    info: (_: object, message: string) => lines.push(`info: ${message}`),
    warn: (_: object, message: string) => lines.push(`warn: ${message}`),
    error() {},
  }
  const space = new DiskSpace({ bufferDiskFreeBytesMin: 100 * MIB, bufferDiskFreeBytesWarn: 200 * MIB }, log)
  const warned = (freeMiB: number | null) => space.look(freeMiB === null ? null : freeMiB * MIB) !== null
  expect([null, 1_000, 200].map(warned)).toEqual([false, false, false])
  expect(space.look(199.9 * MIB)).toBe(
    'the disk of the file buffer has 199 MiB free; with less than 100 MiB it takes no pushes',
  )
  expect([50, 201, null, 199, 210, null, 205, 199].map(warned)).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
    false,
    true,
  ])
  expect(lines).toEqual([
    'warn: the disk of the file buffer has 199 MiB free; with less than 100 MiB it takes no pushes',
    'info: the disk of the file buffer has 210 MiB free again',
    'warn: the disk of the file buffer has 199 MiB free; with less than 100 MiB it takes no pushes',
  ])
  const never = new DiskSpace({ bufferDiskFreeBytesMin: 0, bufferDiskFreeBytesWarn: 0 }, log)
  expect(never.look(0)).toBeNull()
})

test('/health warns while the buffer still takes pushes, and no longer when there is room again', async () => {
  let freeBytes = 5_000 * MIB
  const disk = { ...nodeDisk, freeBytes: async () => freeBytes }
  const env = { FILE_BUFFER_DISK_FREE_BYTES_MIN: '1GiB' }
  await using broker = await runBroker(env, { disk })
  const health = () => broker.get('/health')
  expect(await health()).toMatchObject({ status: 'healthy', warnings: [] })
  freeBytes = 1_500 * MIB
  await until('the warning is there', async () => (await health()).warnings.length > 0)
  expect(await health()).toMatchObject({
    status: 'healthy',
    warnings: [{ code: 'LOW_DISK_SPACE' }],
    buffer: { available: true, diskFreeBytes: freeBytes },
  })
  await broker.post('/api/v1/system/maintenance', { enabled: true })
  expect(await broker.post('/api/v1/push', { items: [{ queue: 'q' }] })).toMatchObject([{ status: 'buffered' }])
  freeBytes = 5_000 * MIB
  await until('the warning is gone', async () => (await health()).warnings.length === 0)
})

test('G11 a disk that does not tell what is free keeps no broker from starting; unknown is shown as unknown', async () => {
  const answer = Promise.withResolvers<number>()
  await using broker = await runBroker({}, { disk: { ...nodeDisk, freeBytes: () => answer.promise } })
  await broker.post('/api/v1/system/maintenance', { enabled: true })
  expect(await broker.post('/api/v1/push', { items: [{ queue: 'q' }] })).toMatchObject([{ status: 'buffered' }])
  expect((await broker.get('/health')).buffer).toMatchObject({ available: true, diskFreeBytes: null })
  answer.resolve(5_000 * MIB)
  await until('the space is known', async () => (await broker.get('/health')).buffer.diskFreeBytes !== null)
})

test.each([
  ['0', 1_100, []],
  ['4GiB', 3_000, [{ code: 'LOW_DISK_SPACE' }]],
  // Below what must stay free it says nothing that a refused push would not.
  ['512MiB', 600, []],
])('FILE_BUFFER_DISK_FREE_BYTES_WARN=%s with %i MiB free', async (warn, freeMiB, warnings) => {
  const disk = { ...nodeDisk, freeBytes: async () => freeMiB * MIB }
  const env = { FILE_BUFFER_DISK_FREE_BYTES_MIN: '1GiB', FILE_BUFFER_DISK_FREE_BYTES_WARN: warn }
  await using broker = await runBroker(env, { disk })
  await until('the space is known', async () => (await broker.get('/health')).buffer.diskFreeBytes === freeMiB * MIB)
  expect((await broker.get('/health')).warnings).toMatchObject(warnings)
})
