import { createSecretKey, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { PayloadCipher } from '../../src/engine/cipher.ts'
import { WRONG_KEY } from '../../src/engine/key-check.ts'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import { prepareTransactionPush } from '../../src/engine/push/push-transaction.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'
import { encryptedQueue, item, PushStack, storeOn } from './push-stack.ts'
import { storedMessages } from './stored-messages.ts'

let opened: OpenedTestDatabase
beforeAll(async () => {
  opened = await openTestDatabase()
})
afterAll(() => opened[Symbol.asyncDispose]())

const statuses = (items: readonly PushItem[]) => items.map(({ status }) => status)
const codes = (items: readonly PushItem[]) => items.map(({ failure }) => failure?.code ?? null)

/** A stack whose database fails at once when told to. */
function failingStack() {
  const real = storeOn(opened.database)
  const state = { error: null as StoreError | null }
  const stack = new PushStack(opened.database, {
    store: {
      ...real,
      pushMessages: (...args) => (state.error === null ? real.pushMessages(...args) : Promise.reject(state.error)),
      pushKnown: (...args) => (state.error === null ? real.pushKnown(...args) : Promise.reject(state.error)),
    },
  })
  return { stack, state }
}

describe('push', () => {
  test('G1 a pushed message is stored with its id, offset and bytes; its repeat is a duplicate of the first', async () => {
    const stack = new PushStack(opened.database)
    const [first, second] = await stack.send(
      item('first', 'p', 'a', '{"z":1,"a":12345678901234567890}'),
      item('first', 'p', 'b'),
    )
    expect([first!.status, second!.status, stack.defects, stack.unavailable]).toEqual(['queued', 'queued', [], []])
    const [again] = await stack.send(item('first', 'p', 'a'))
    expect(again).toMatchObject({ status: 'duplicate', messageId: first!.messageId, partitionId: first!.partitionId })
    const stored = await storedMessages(opened.database, 'first')
    expect(
      stored.map(({ transactionId, payload, messageId, offset }) => [transactionId, payload, messageId, offset]),
    ).toEqual([
      ['a', '{"z":1,"a":12345678901234567890}', first!.messageId, 0],
      ['b', '{"n":1}', second!.messageId, 1],
    ])
  })

  test('G4 what comes while a lane still holds older items goes behind them, also after writes changed their way', async () => {
    const { stack, state } = failingStack()
    await stack.send(item('order', 'p', '0'))
    state.error = new StoreError('unavailable', 'away')
    const first = stack.send(item('order', 'p', '1'), item('order', 'p', '2'))
    stack.route.set('buffer')
    const second = stack.send(item('order', 'p', '3'))
    const other = stack.send(item('order', 'unknown', '4'))
    expect([...statuses(await first), ...statuses(await second), ...statuses(await other)]).toEqual(
      Array(4).fill('buffered'),
    )
    const bodies = stack.listLog.sources.flatMap((source) => source.bodies.map((body) => body.toString('latin1')))
    const names = bodies.filter((body) => !body.includes('unknown')).map((body) => body.at(-'{"n":1}'.length - 1))
    expect(names).toEqual(['1', '2', '3'])
  })

  test('G10 the first push that the buffer takes in a window is told of, a delayed one is not', async () => {
    const stack = new PushStack(opened.database)
    await stack.push.pushMessages([item('filling', 'p', '1')], { bufferMs: 1_000, bufferMax: 100 })
    expect(stack.fillings).toBe(0)
    stack.route.set('buffer')
    await stack.send(item('filling', 'q', '2'))
    Object.assign(stack.listLog.stats, { pendingRecords: 1 })
    await stack.send(item('filling', 'q', '3'))
    expect(stack.fillings).toBe(1)
  })

  test('held writes wait for the gate, then go where it leads', async () => {
    const stack = new PushStack(opened.database)
    stack.route.set('held')
    const waiting = stack.send(item('gate', 'p', '1'))
    await new Promise((resolve) => setImmediate(resolve))
    stack.route.set('direct')
    expect(statuses(await waiting)).toEqual(['queued'])
  })

  test('PostgreSQL away while a partition has to be created: buffered, and the control is told', async () => {
    const stack = new PushStack(opened.database)
    stack.catalog.ensurePartitions = () => Promise.reject(new StoreError('locked', 'locked'))
    expect(statuses(await stack.send(item('new', 'p', '1')))).toEqual(['buffered'])
    expect(stack.unavailable.length).toBe(1)
  })

  test('PostgreSQL too slow to create a partition in time: buffered as well', async () => {
    const stack = new PushStack(opened.database)
    stack.catalog.ensurePartitions = () => new Promise(() => {})
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const sent = stack.send(item('new', 'p', '1'))
      await vi.advanceTimersByTimeAsync(2_000)
      expect([statuses(await sent), stack.unavailable.length]).toEqual([['buffered'], 1])
    } finally {
      vi.useRealTimers()
    }
  })

  test('G9 a full or broken buffer: 507 and 503 only when nothing was stored', async () => {
    const { stack, state } = failingStack()
    await stack.send(item('full', 'p', '0'))
    state.error = new StoreError('unavailable', 'away')
    for (const code of ['BUFFER_FULL', 'BUFFER_UNAVAILABLE']) {
      stack.listLog.failure = { code, times: 1 }
      await expect(stack.send(item('full', 'p', '1'))).rejects.toMatchObject({ code })
    }
    stack.route.set('buffer')
    stack.listLog.failure = { code: 'EIO', times: 1 }
    await expect(stack.send(item('full', 'q', '2'))).rejects.toMatchObject({ code: 'BUFFER_UNAVAILABLE' })
  })

  test('G10 an answer of 5xx says so when PostgreSQL may have stored the messages all the same', async () => {
    const { stack, state } = failingStack()
    await stack.send(item('unheard', 'p', '0'))
    state.error = new StoreError('unavailable', 'connection lost', { outcomeUnknown: true })
    for (const code of ['BUFFER_FULL', 'BUFFER_UNAVAILABLE']) {
      stack.route.set('direct')
      stack.listLog.failure = { code, times: 1 }
      const sent = stack.send(item('unheard', 'p', '1'))
      await expect(sent).rejects.toMatchObject({ code, details: { outcome: 'unknown' } })
    }
    stack.listLog.failure = { code: 'BUFFER_FULL', times: 1 }
    await expect(stack.send(item('unheard', 'q', '2'))).rejects.toMatchObject({ details: undefined })
  })

  test('G3 G9 G10 a disk that stands still: answered within 3 s as unknown, and what it takes later is not stored twice', async () => {
    const { stack } = failingStack()
    const { promise, resolve } = Promise.withResolvers<void>()
    stack.listLog.stalled = promise
    const startedAt = performance.now()
    const delayed = stack.push.pushMessages([item('still', 'p', '1')], { bufferMs: 1_000, bufferMax: 100 })
    const unknown = { code: 'BUFFER_UNAVAILABLE', details: { outcome: 'unknown' } }
    // Not stored directly instead, as what the buffer has refused would be.
    await expect(delayed).rejects.toMatchObject(unknown)
    stack.route.set('buffer')
    await expect(stack.send(item('still', 'q', '2'))).rejects.toMatchObject(unknown)
    expect(performance.now() - startedAt).toBeLessThan(2 * 3_000)
    expect([stack.listLog.sources, await storedMessages(opened.database, 'still')]).toEqual([[], []])
    resolve()
    stack.listLog.stalled = null
    expect(statuses(await stack.send(item('still', 'q', '3')))).toEqual(['buffered'])
    expect(stack.listLog.sources).toHaveLength(3)
  })

  test('part is committed and the rest can go nowhere: the rest fails by itself', async () => {
    const stack = new PushStack(opened.database)
    await stack.send(item('mixed', 'here', '0'))
    stack.delayed.hold([{ queue: 'mixed', partition: 'held' }])
    stack.listLog.failure = { code: 'BUFFER_FULL', times: 1 }
    const items = await stack.send(item('mixed', 'here', '1'), item('mixed', 'held', '2'))
    expect([statuses(items), codes(items)]).toEqual([
      ['queued', 'failed'],
      [null, 'BUFFER_FULL'],
    ])
  })

  test('G8 one item too large for a record does not take its neighbours along', async () => {
    const stack = new PushStack(opened.database)
    stack.route.set('buffer')
    // Refused together, and the second of them refused alone.
    let appended = 0
    const append = stack.listLog.append.bind(stack.listLog)
    stack.listLog.append = (source) => {
      if (source.count === 3 || ++appended === 2)
        return Promise.reject(Object.assign(new Error('large'), { code: 'RECORD_TOO_LARGE' }))
      return append(source)
    }
    const items = await stack.send(item('large', 'p', '1'), item('large', 'p', '2'), item('large', 'p', '3'))
    expect([statuses(items), codes(items)]).toEqual([
      ['buffered', 'failed', 'buffered'],
      [null, 'PAYLOAD_TOO_LARGE', null],
    ])
  })

  test('bufferMs rests items in the buffer, and newer ones behind them', async () => {
    const stack = new PushStack(opened.database)
    await stack.send(item('rest', 'p', '0'), item('rest', 'q', '0'))
    const resting = [item('rest', 'p', '1')]
    await stack.push.pushMessages(resting, { bufferMs: 20, bufferMax: 100 })
    const behind = await stack.send(item('rest', 'p', '2'), item('rest', 'q', '1'))
    expect([statuses(resting), statuses(behind)]).toEqual([['buffered'], ['buffered', 'queued']])
    await expect.poll(() => stack.due).toBe(1)
    stack.delayed.release()
    expect(statuses(await stack.send(item('rest', 'p', '3')))).toEqual(['queued'])
  })

  test('bufferMs beside a busy lane, or without a usable buffer: stored directly', async () => {
    const stack = new PushStack(opened.database)
    await stack.send(item('busy', 'p', '0'))
    const direct = stack.send(item('busy', 'p', '1'))
    const resting = [item('busy', 'p', '2'), item('busy', 'q', '3')]
    await Promise.all([direct, stack.push.pushMessages(resting, { bufferMs: 20, bufferMax: 100 })])
    expect(statuses(resting)).toEqual(['queued', 'buffered'])
    expect((await storedMessages(opened.database, 'busy')).map(({ transactionId }) => transactionId)).toEqual([
      '0',
      '1',
      '2',
    ])
    const broken = new PushStack(opened.database)
    Object.assign(broken.listLog.stats, { usable: false })
    const items = [item('busy', 'r', '4')]
    await broken.push.pushMessages(items, { bufferMs: 20, bufferMax: 100 })
    expect(statuses(items)).toEqual(['queued'])
  })

  test('encryption: per item, refused without a key, readable with it', async () => {
    await encryptedQueue(opened.database, 'secret')
    const keyless = new PushStack(opened.database)
    const items = await keyless.send(item('secret', 'p', '1'), item('clear', 'p', '2'))
    expect([statuses(items), codes(items)]).toEqual([
      ['failed', 'queued'],
      ['ENCRYPTION_NOT_CONFIGURED', null],
    ])
    const cipher = new PayloadCipher(createSecretKey(randomBytes(32)))
    const stack = new PushStack(opened.database, { cipher })
    expect(statuses(await stack.send(item('secret', 'p', '1', '{"card":4111}')))).toEqual(['queued'])
    const [message] = await storedMessages(opened.database, 'secret')
    expect([message!.flags & 4, message!.payload.includes('4111')]).toEqual([4, false])
  })

  test('encryption with a wrong key: refused before anything is stored, buffered only where nobody knows the queue', async () => {
    await encryptedQueue(opened.database, 'sealed')
    const key = { isWrong: true }
    const stack = new PushStack(opened.database, { cipher: new PayloadCipher(createSecretKey(randomBytes(32))), key })
    const unknown = [item('sealed', 'p', '0')]
    await stack.push.buffer(unknown, null)
    expect([statuses(unknown), unknown[0]!.encrypted]).toEqual([['buffered'], true])
    const direct = await stack.send(item('sealed', 'p', '1'), item('clear', 'q', '2'))
    const behind = [item('sealed', 'p', '3'), item('clear', 'p', '4')]
    await stack.push.buffer(behind, null)
    expect([...statuses(direct), ...statuses(behind)]).toEqual(['failed', 'queued', 'failed', 'buffered'])
    expect(direct[0]).toMatchObject({ failure: { code: 'ENCRYPTION_NOT_CONFIGURED', error: WRONG_KEY } })
    expect(await storedMessages(opened.database, 'sealed')).toEqual([])
    key.isWrong = false
    expect(statuses(await stack.send(item('sealed', 'p', '1')))).toEqual(['queued'])
  })

  test('G3 a transaction that pushes behind messages of another instance makes none of their ids forgotten', async () => {
    const other = new PushStack(opened.database)
    const stack = new PushStack(opened.database)
    const [first] = await other.send(item('behind', 'p', 'a'))
    const items = [item('behind', 'p', 'b')]
    const push = await prepareTransactionPush(
      {
        store: stack.store,
        dedup: stack.dedup,
        ids: stack.ids,
        nowMs: Date.now,
        prepare: (each) => stack.push.prepare(each),
        forget: (queue) => stack.catalog.forget(queue),
        onStored: () => {},
      },
      items,
    )
    await opened.database.transaction('hot', (session) => push.run({ session }))
    push.committed()
    const again = await stack.send(item('behind', 'p', 'a'), item('behind', 'p', 'b'))
    expect(again).toMatchObject([
      { status: 'duplicate', messageId: first!.messageId },
      { status: 'duplicate', messageId: items[0]!.messageId },
    ])
  })

  test('what was encrypted because nobody knew its queue is not stored so when the buffer has no room', async () => {
    await encryptedQueue(opened.database, 'known-secret')
    const cipher = new PayloadCipher(createSecretKey(randomBytes(32)))
    const stack = new PushStack(opened.database, { cipher })
    await stack.send(item('known-secret', 'p', '1'))
    const delayed = async (entry: PushItem) => {
      stack.listLog.failure = { code: 'BUFFER_FULL', times: 1 }
      const pushed = await stack.push.pushMessages([entry], { bufferMs: 20, bufferMax: 100 }).catch((error) => error)
      return [entry.status, entry.failure?.code ?? null, pushed?.code]
    }
    expect(await delayed(item('never-heard-of', 'p', '1'))).toEqual(['failed', 'BUFFER_FULL', 'BUFFER_FULL'])
    expect(await storedMessages(opened.database, 'never-heard-of')).toEqual([])
    expect(await delayed(item('known-secret', 'p', '2'))).toEqual(['queued', null, undefined])
  })

  test('a payload encrypted twice is never the same, and any changed bit is noticed', () => {
    const cipher = new PayloadCipher(createSecretKey(randomBytes(32)))
    const plain = Buffer.from('{"a":1}')
    const seen = new Set(Array.from({ length: 600 }, () => cipher.encrypt(plain).toString('hex')))
    expect(seen.size).toBe(600)
    const bytes = cipher.encrypt(plain)
    expect(cipher.decrypt(bytes).equals(plain)).toBe(true)
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at]! ^= 1
      expect(() => cipher.decrypt(changed)).toThrow()
    }
    expect(() => cipher.decrypt(Buffer.alloc(5))).toThrow()
  })
})
