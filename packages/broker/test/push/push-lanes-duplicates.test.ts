/** Lanes over a scripted store: what is written once PostgreSQL has said what it knows of the keys. */
import { describe, expect, test } from 'vitest'
import { A, B, bench, done, statuses, unsure } from './scripted-lanes.ts'

describe('duplicates in lanes', () => {
  test('duplicates that PostgreSQL finds are answered, the rest is written anew', async () => {
    const { scripted, add, log } = bench()
    const id = '01a20857-5575-7000-b149-000000000001'
    scripted.script = [() => done({ ...unsure, duplicates: [{ index: 1, messageId: id }] })]
    const items = await add(A, '1', '2', '3')
    expect(statuses(items)).toEqual(['queued', 'duplicate', 'queued'])
    expect([items[1]!.messageId, items[1]!.partitionId, log]).toEqual([id, A.id, ['stored 1', 'stored 3']])
  })

  test('a repeat within one request is its first one’s duplicate', async () => {
    const { add, scripted } = bench()
    const items = await add(A, '1', '1', '2', '1')
    expect(statuses(items)).toEqual(['queued', 'duplicate', 'queued', 'duplicate'])
    expect([items[1]!.messageId, items[3]!.messageId]).toEqual([items[0]!.messageId, items[0]!.messageId])
    // From now on it is suspected where it lies.
    await add(B, 'other')
    scripted.script = [
      (writes) => {
        expect(writes[0]).toMatchObject({ count: 0, knownTo: 2, suspects: [{ offset: 0 }] })
        return done({
          status: 'stored',
          firstOffset: 2,
          createdAt: '',
          confirmed: [{ index: 0, messageId: items[0]!.messageId! }],
          gap: [],
        })
      },
    ]
    expect(await add(A, '1')).toMatchObject([{ status: 'duplicate', messageId: items[0]!.messageId }])
  })

  test('G3 an innocent suspect is stored, but not past a message that came meanwhile', async () => {
    const { add, scripted } = bench()
    const [first] = await add(A, '1')
    let keys: Uint8Array | null = null
    scripted.script = [
      (writes) => {
        keys = writes[0]!.suspects[0]!.key
        // The old one has left the window, but another instance stored the same id at offset 5 just now.
        return done({ ...unsure, innocent: [0], gap: [{ firstOffset: 5, createdAtMs: 0, keys: Buffer.from(keys) }] })
      },
      (writes) => {
        expect(writes[0]).toMatchObject({ count: 0, knownTo: 6, suspects: [{ offset: 5 }] })
        return done({
          status: 'stored',
          firstOffset: 6,
          createdAt: '',
          confirmed: [{ index: 0, messageId: first!.messageId! }],
          gap: [],
        })
      },
    ]
    expect(statuses(await add(A, '1'))).toEqual(['duplicate'])
  })

  test('G3 a suspect that was innocent in a partition that vanished is judged anew in the one that takes its place', async () => {
    const { add, scripted } = bench()
    await add(A, '1')
    const [there] = await add(B, '1')
    scripted.script = [
      () => done({ ...unsure, innocent: [0] }),
      () => done({ status: 'gone' }),
      (writes) => {
        expect(writes[0]).toMatchObject({ partitionId: B.id, count: 0, suspects: [{ offset: 0 }] })
        const confirmed = [{ index: 0, messageId: there!.messageId! }]
        return done({ status: 'stored', firstOffset: 1, createdAt: '', confirmed, gap: [] })
      },
    ]
    expect(await add(A, '1')).toMatchObject([{ status: 'duplicate', messageId: there!.messageId, partitionId: B.id }])
  })

  test('a gap too large is read in pages before the next try', async () => {
    const { add, scripted } = bench()
    scripted.script = [
      () => done({ ...unsure, unknownUpTo: 100_000 }),
      (writes) => {
        expect(writes[0]).toMatchObject({ knownTo: 100_000 })
        return scripted.stored(writes)
      },
    ]
    scripted.pages = [{ firstOffset: 40_000, createdAtMs: 0, keys: Buffer.alloc(160, 7) }]
    scripted.next.set(A.id, 100_000)
    expect(statuses(await add(A, '1'))).toEqual(['queued'])
  })

  test('a database behind what is known here makes the lane forget', async () => {
    const { add, scripted } = bench()
    await add(A, '1', '2', '3')
    scripted.next.set(A.id, 1)
    scripted.script = [
      () => done({ ...unsure, unknownUpTo: 1 }),
      (writes) => {
        expect(writes[0]).toMatchObject({ knownTo: 0, suspects: [] })
        return scripted.stored(writes)
      },
    ]
    expect(statuses(await add(A, '3'))).toEqual(['queued'])
  })
})
