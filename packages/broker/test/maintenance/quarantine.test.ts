/** Damage of an instance's disk on its way to PostgreSQL, over a buffer on a disk in memory and a store that is a map. */
import { type FileBuffer, openFileBuffer } from '@queen/file-buffer'
import { FaultDisk } from '@queen/file-buffer/fault-disk'
import { afterEach, describe, expect, it } from 'vitest'
import { createQuarantine } from '../../src/engine/drain/quarantine.ts'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import type { TransactionPush } from '../../src/engine/settle/transaction.ts'
import type { QuarantineStore, QuarantineWrite } from '../../src/ports/quarantine-store.ts'
import type { SetAsideRecord } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'

const DAMAGE: SetAsideRecord = {
  id: 'damage-00000000000000000001-128-1',
  number: 1,
  lastNumber: 1,
  file: '00000000000000000001.qbuf',
  offset: 128,
  acceptedAtMicros: null,
  quarantinedAtMicros: 1,
  flags: null,
  attempts: 0,
  reason: 'CORRUPT',
  error: 'fails its checksum',
  sqlState: null,
  bytes: 3,
  body: Buffer.from('bad'),
}

const buffers: FileBuffer[] = []
afterEach(async () => {
  for (const buffer of buffers.splice(0)) await buffer.close()
})

async function bench(preparePush?: (items: readonly PushItem[]) => Promise<TransactionPush>) {
  const disk = new FaultDisk()
  const buffer = await openFileBuffer({
    directory: '/buffer',
    disk,
    bufferBytesMax: 2 ** 30,
    diskFreeBytesMin: 0,
  })
  buffers.push(buffer)
  await buffer.quarantine.add(DAMAGE)
  const stored = new Map<string, QuarantineWrite>()
  const state = { away: false }
  const store = {
    add: async (_: string, records: readonly QuarantineWrite[]) => {
      for (const record of records) stored.set(record.id, record)
      return 'added'
    },
    drop: async (id: string) => {
      if (state.away) throw new StoreError('unavailable', 'away')
      return stored.delete(id)
    },
    get: async (id: string) => stored.get(id) ?? null,
    dropWith: async (id: string, work: (session: unknown) => Promise<void>) => {
      await work(null)
      return stored.delete(id)
    },
  } as unknown as QuarantineStore
  const quarantine = createQuarantine({
    store,
    log: buffer,
    cipher: null,
    instanceId: 'a',
    phase: () => 'normal',
    instances: () => [],
    preparePush: preparePush ?? (() => Promise.reject(new Error('not asked for'))),
  })
  return { buffer, disk, quarantine, stored, state, id: `${buffer.bufferId}.${DAMAGE.id}` }
}

describe('G8 a damaged record that is dropped', () => {
  it('is dropped from the disk and from PostgreSQL, when handing over ended between the two', async () => {
    const { buffer, id, quarantine, stored } = await bench()
    await quarantine.handOver()
    expect([[...stored.keys()], buffer.quarantine.count]).toEqual([[id], 0])
    // As the process finds it that died before it could remove the entry.
    await buffer.quarantine.add(DAMAGE)
    await quarantine.dropQuarantined(id)
    expect([stored.size, buffer.quarantine.count]).toEqual([0, 0])
    await expect(quarantine.dropQuarantined(id)).rejects.toMatchObject({ code: 'QUARANTINE_NOT_FOUND' })
  })

  it('leaves the disk also while PostgreSQL is away', async () => {
    const { buffer, id, quarantine, state } = await bench()
    state.away = true
    await quarantine.dropQuarantined(id)
    expect(buffer.quarantine.count).toBe(0)
    await expect(quarantine.dropQuarantined(id)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  })

  it('is not handed over any more while it is dropped', async () => {
    const { buffer, id, quarantine, stored } = await bench()
    await Promise.all([quarantine.handOver(), quarantine.dropQuarantined(id)])
    expect([stored.size, buffer.quarantine.count]).toEqual([0, 0])
  })
})

describe('G8 an entry that the disk does not give back', () => {
  it('is not handed over, holds up no other, and is handed over whole when the disk gives it back', async () => {
    const { buffer, disk, id, quarantine, stored } = await bench()
    await buffer.quarantine.add({ ...DAMAGE, id: 'another', quarantinedAtMicros: 2 })
    disk.fail('read', 'EIO')
    await quarantine.handOver()
    expect([...stored.keys()].sort()).toEqual([id, 'another'].sort())
    expect(stored.get(id)).toMatchObject({ error: DAMAGE.error, body: DAMAGE.body })
    await buffer.quarantine.add(DAMAGE)
    stored.clear()
    disk.fail('read', 'EIO', { times: 1_000 })
    await quarantine.handOver()
    expect([stored.size, buffer.quarantine.count]).toEqual([0, 1])
  })
})

describe('G8 a record that is stored after all', () => {
  it('is stored in the queue of the name that there is now, when this instance still knew one that was deleted', async () => {
    let tries = 0
    let committed = 0
    const { id, quarantine, stored } = await bench(async () => ({
      run: async () => {
        tries++
        if (tries === 1) throw new StoreError('conflict', 'the queue was deleted meanwhile')
        return null
      },
      committed: () => {
        committed++
      },
    }))
    const overrides = { queue: 'orders', partition: null, payload: Buffer.from('1') }
    expect(await quarantine.retryQuarantined(id, overrides)).toMatchObject({ queue: 'orders' })
    expect([tries, committed, stored.size]).toEqual([2, 1, 0])
  })
})
