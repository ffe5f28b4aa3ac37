/** The drain from a real file buffer into a real PostgreSQL, killed at every await. */
import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import type { FileBuffer } from '@queen/file-buffer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PayloadCipher } from '../../src/engine/cipher.ts'
import type { DrainEnd } from '../../src/engine/drain/drain.ts'
import { StepSize } from '../../src/engine/drain/step-size.ts'
import { WRONG_KEY } from '../../src/engine/key-check.ts'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import type { PushStore } from '../../src/ports/push-store.ts'
import type { RecordLog } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import { createQuarantineStore } from '../../src/store/quarantine.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { type OpenedTestDatabase, openTestDatabase } from '../store/test-database.ts'
import { buffered, type DrainBench, type DrainBenchOptions, drainBenchOn, refusingPoison } from './drain-bench.ts'
import { encryptedQueue, isOnePiece, item, PushStack, storeOn } from './push-stack.ts'
import { storedMessages } from './stored-messages.ts'
import { TestBuffers } from './test-buffers.ts'

let opened: OpenedTestDatabase
let buffers: TestBuffers

beforeAll(async () => {
  opened = await openTestDatabase()
  buffers = await TestBuffers.make()
})
afterAll(async () => {
  await buffers[Symbol.asyncDispose]()
  await opened[Symbol.asyncDispose]()
})

const openBuffer = (name?: string): Promise<FileBuffer> => buffers.open(name)

const benchOn = (buffer: FileBuffer, options: DrainBenchOptions = {}): DrainBench =>
  drainBenchOn(opened.database, buffer, options)

const always = () => true
/** Set aside of a queue; or, without a name, what could not be read of a buffer. */
async function quarantined(queue: string | null, bufferId: string | null = null, offset = 0) {
  const store = createQuarantineStore(opened.database)
  const { rows, total } = await store.list({ queue, instance: 'an-instance', limit: 1_000, offset, after: null })
  return { total, rows: rows.filter((row) => bufferId === null || (row.queue === null && row.id.startsWith(bufferId))) }
}
const namesOf = async (queue: string) =>
  (await storedMessages(opened.database, queue)).map(({ transactionId }) => transactionId)

/** As the maintenance control does it: what was too much for one statement is less the next time. */
async function runAgain({ drain }: DrainBench): Promise<DrainEnd> {
  for (;;) {
    try {
      return await drain.run(always)
    } catch (error) {
      if (!(error instanceof StoreError) || error.failure !== 'locked') throw error
    }
  }
}

describe('the drain', () => {
  test('stores records in order with everything they had, then frees them', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    const items = Array.from({ length: 500 }, (_, i) =>
      item('order', `p${i % 3}`, `t${i}`, JSON.stringify({ i }), {
        traceId: i % 2 === 0 ? '01a20857-5575-7000-b149-144250048d64' : null,
        producerSub: i % 5 === 0 ? 'ümit' : null,
      }),
    )
    for (let i = 0; i < 500; i += 50) await buffered(bench, ...items.slice(i, i + 50))
    expect(await bench.drain.run(always)).toBe('empty')
    const stored = await storedMessages(opened.database, 'order')
    expect(stored.length).toBe(500)
    for (const partition of ['p0', 'p1', 'p2']) {
      const ours = items.filter((entry) => entry.partition === partition)
      expect(
        stored
          .filter((message) => message.partition === partition)
          .map(({ transactionId, payload, flags }) => [transactionId, payload, flags]),
      ).toEqual(
        ours.map((entry) => [
          entry.transactionId,
          entry.source.toString(),
          (entry.traceId === null ? 0 : 1) | (entry.producerSub === null ? 0 : 2),
        ]),
      )
    }
    expect([bench.progress.reduce((sum, records) => sum + records, 0), buffer.stats.pendingRecords]).toEqual([500, 0])
    expect(await bench.drain.run(always)).toBe('empty')
    expect((await namesOf('order')).length).toBe(500)
  })

  test('the segments of a step are one piece of memory, in the order in which they are locked', async () => {
    const real = storeOn(opened.database)
    const steps: { ids: string[]; isOnePiece: boolean }[] = []
    const store: PushStore = {
      ...real,
      pushMessages: (writes, step) => {
        steps.push({ ids: writes.map(({ partitionId }) => partitionId), isOnePiece: isOnePiece(writes) })
        return real.pushMessages(writes, step)
      },
    }
    const bench = benchOn(await openBuffer(), { store })
    const names = ['p0', 'p1', 'p2', 'p3']
    for (const [index, list] of [names, names.toReversed()].entries()) {
      await buffered(bench, ...list.map((name) => item('one-piece', name, `${name}.${index}`)))
      expect(await bench.drain.run(always)).toBe('empty')
    }
    expect(steps.map(({ ids }) => ids.length)).toEqual([4, 4])
    for (const { ids, isOnePiece } of steps) expect([isOnePiece, ids]).toEqual([true, ids.toSorted()])
  })

  test('G3 every record once and in order, whatever await the process dies at', async () => {
    // How many awaits a run has is found by running it without a death.
    for (let death = 1, survived = false; !survived; death++) {
      const queue = `death-${death}`
      const name = randomUUID()
      let buffer = await openBuffer(name)
      let left = death
      const real = storeOn(opened.database)
      const die = () => {
        if (--left === 0) throw new StoreError('unavailable', 'killed', { outcomeUnknown: true })
      }
      /** Dies before the work, or after it was done and before anybody heard. */
      const mortal =
        <Args extends unknown[], T>(work: (...args: Args) => Promise<T>) =>
        async (...args: Args): Promise<T> => {
          die()
          const result = await work(...args)
          die()
          return result
        }
      const store: PushStore = {
        ...real,
        pushMessages: mortal(real.pushMessages),
        readKeys: mortal(real.readKeys),
        readDrainProgress: mortal(real.readDrainProgress),
      }
      const mortalLog = (of: FileBuffer) =>
        new Proxy(of as RecordLog, {
          get(target, name) {
            const value: unknown = Reflect.get(target, name, target)
            if (typeof value !== 'function') return value
            const bound = value.bind(target) as (...args: unknown[]) => Promise<unknown>
            return ['read', 'drained', 'setDrainedThrough'].includes(String(name)) ? mortal(bound) : bound
          },
        })
      const writer = benchOn(buffer)
      // A live message, and its duplicate in the buffer.
      await writer.stack.send(item(queue, 'a', 'live'))
      await buffered(
        writer,
        item(queue, 'a', '1'),
        item(queue, 'a', 'live'),
        item(queue, 'b', '2'),
        item(queue, 'a', '3'),
        item(queue, 'a', '1'),
      )
      let runs = 0
      for (;;) {
        const { drain } = benchOn(buffer, { store, log: mortalLog(buffer) })
        try {
          if ((await drain.run(always)) === 'empty') break
        } catch (error) {
          if (!(error instanceof StoreError)) throw error
        }
        // A new process: it remembers nothing but what lies on disk.
        await buffer.close()
        buffer = await openBuffer(name)
        if (++runs > 3) throw new Error('the drain does not come to an end')
      }
      expect(await namesOf(queue), `death at ${death}`).toEqual(['live', '1', '3', '2'])
      expect(buffer.stats.pendingRecords).toBe(0)
      survived = left > 0
      if (survived) expect(death).toBeGreaterThan(8)
    }
  })

  test('G3 the same instance goes on after a lost answer without storing anything twice', async () => {
    const buffer = await openBuffer()
    const real = storeOn(opened.database)
    let lose = true
    const store: PushStore = {
      ...real,
      pushMessages: async (writes, step) => {
        const result = await real.pushMessages(writes, step)
        if (!lose) return result
        lose = false
        throw new StoreError('unavailable', 'connection lost', { outcomeUnknown: true })
      },
    }
    const bench = benchOn(buffer, { store })
    await buffered(bench, item('lost', 'p', '1'), item('lost', 'p', '2'))
    await expect(bench.drain.run(always)).rejects.toThrow('connection lost')
    await buffered(bench, item('lost', 'p', '3'))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('lost')).toEqual(['1', '2', '3'])
  })

  test('G3 a record whose original has left the window since is still its duplicate, judged by when it was accepted', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    await createQueueStore(opened.database).configureQueue({
      name: 'judged',
      namespace: null,
      task: null,
      set: { dedupWindowSeconds: 1 },
      unset: [],
      replace: false,
    })
    await bench.stack.send(item('judged', 'p', 'a'))
    await buffered(bench, item('judged', 'p', 'a'))
    // Both sides of memory forget: the window of now has passed.
    await new Promise((resolve) => setTimeout(resolve, 1_300))
    await bench.stack.send(item('judged', 'p', 'b'))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('judged')).toEqual(['a', 'b'])
    // Sent live now it is a new message.
    const [late] = await bench.stack.send(item('judged', 'p', 'a'))
    expect(late!.status).toBe('queued')
  })

  test('live pushes of another instance meanwhile: one of each key', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    const live = new PushStack(opened.database)
    const names = Array.from({ length: 400 }, (_, i) => `k${i}`)
    for (let i = 0; i < 400; i += 10)
      await buffered(bench, ...names.slice(i, i + 10).map((name) => item('both', 'p', name)))
    const pushes = (async () => {
      const items: PushItem[] = []
      for (let i = 399; i >= 0; i -= 5) items.push(...(await live.send(item('both', 'p', `k${i}`))))
      return items
    })()
    expect(await bench.drain.run(always)).toBe('empty')
    const items = await pushes
    const stored = await storedMessages(opened.database, 'both')
    expect(stored.map(({ transactionId }) => transactionId).toSorted()).toEqual(names.toSorted())
    for (const entry of items)
      expect(entry.messageId).toBe(stored.find(({ transactionId }) => transactionId === entry.transactionId)!.messageId)
  })

  test('G5 stops at the switch with every record in place, goes on after it', async () => {
    const buffer = await openBuffer()
    const real = storeOn(opened.database)
    let on = true
    const bench = benchOn(buffer, {
      store: { ...real, pushMessages: async (...args) => (on ? { status: 'diverted' } : real.pushMessages(...args)) },
    })
    await buffered(bench, item('switch', 'p', '1'))
    expect([await bench.drain.run(always), buffer.stats.pendingRecords]).toEqual(['diverted', 1])
    on = false
    expect([await bench.drain.run(() => false), buffer.stats.pendingRecords]).toEqual(['stopped', 1])
    expect([await bench.drain.run(always), await namesOf('switch')]).toEqual(['empty', ['1']])
  })

  test('a step that is too much for one statement is stored in halves, and the next are no larger', async () => {
    const buffer = await openBuffer()
    const real = storeOn(opened.database)
    const sent: number[] = []
    const store: PushStore = {
      ...real,
      pushMessages: async (writes, step) => {
        sent.push(writes.length)
        if (writes.length > 300)
          throw new StoreError('locked', 'canceling statement due to statement timeout', { tooLong: true })
        return real.pushMessages(writes, step)
      },
    }
    const stepSize = new StepSize()
    const bench = benchOn(buffer, { store, stepSize })
    const names = (from: number) => Array.from({ length: 1_000 }, (_, i) => `${from + i}`)
    await buffered(bench, ...names(1_000).map((name, i) => item('wide', `p${i}`, name)))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(sent).toEqual([1_000, 500, 250, 250, 500, 250, 250])
    // Every merge of what several instances hold is a drain of its own.
    for (let i = 0; i < 10; i++) stepSize.tookTooLong()
    sent.length = 0
    await buffered(bench, ...names(2_000).map((name, i) => item('wide', `p${i}`, name)))
    expect(await benchOn(buffer, { store, stepSize, stack: bench.stack }).drain.run(always)).toBe('empty')
    expect([sent[0], sent.filter((many) => many > 300).length < 4]).toEqual([100, true])
    expect((await namesOf('wide')).toSorted()).toEqual([...names(1_000), ...names(2_000)])
  })

  test('G8 a record PostgreSQL refuses is set aside alone', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer, { store: refusingPoison(storeOn(opened.database)) })
    const names = Array.from({ length: 40 }, (_, i) => (i === 17 || i === 39 ? `poison-${i}` : `${i}`))
    await buffered(bench, ...names.map((name, i) => item('poison', `p${i % 2}`, name)))
    expect(await bench.drain.run(always)).toBe('empty')
    expect((await namesOf('poison')).length).toBe(38)
    expect(bench.setAside.map(({ reason, error, sqlState, number }) => [reason, error, sqlState, number])).toEqual([
      ['REJECTED', 'not this one', '22021', 18],
      ['REJECTED', 'not this one', '22021', 40],
    ])
    expect([
      buffer.stats.pendingRecords,
      (await quarantined('poison')).total,
      bench.progress.reduce((sum, n) => sum + n, 0),
    ]).toEqual([0, 2, 40])
  })

  test('G8 records of a deleted queue and unreadable ones are set aside, once, also when the drain is repeated', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    await buffered(bench, item('deleted', 'p', 'early'), item('kept', 'p', '1'))
    await buffer.append({
      count: 1,
      bytesMax: 3,
      flags: () => 0,
      write: (_index, target, at) => target.fill(9, at, at + 3) && at + 3,
    })
    await buffered(bench, item('kept', 'p', '2'))
    // A first attempt whose answer is lost: nobody knows that it was committed.
    const real = storeOn(opened.database)
    let lost = true
    const failing = benchOn(buffer, {
      store: {
        ...real,
        pushMessages: async (...args) => {
          const result = await real.pushMessages(...args)
          if (lost) throw new StoreError('unavailable', 'away', { outcomeUnknown: true })
          return result
        },
      },
    })
    failing.deleted.set('deleted', Date.now() * 1000 + 1_000_000)
    await expect(failing.drain.run(always)).rejects.toThrow('away')
    lost = false
    expect(await failing.drain.run(always)).toBe('empty')
    expect(await namesOf('kept')).toEqual(['1', '2'])
    const entries = [...(await quarantined('deleted')).rows, ...(await quarantined(null, buffer.bufferId)).rows]
    expect(entries.map(({ reason, number, queue, id }) => [reason, number, queue, id])).toEqual([
      ['QUEUE_DELETED', 1, 'deleted', `${buffer.bufferId}.1`],
      ['CORRUPT', 3, null, `${buffer.bufferId}.3`],
    ])
    expect(failing.setAside).toEqual([])
    // Accepted after the deletion: the queue comes into being again.
    failing.deleted.set('deleted', 0)
    await buffered(bench, item('deleted', 'p', 'later'))
    expect([await failing.drain.run(always), await namesOf('deleted')]).toEqual(['empty', ['later']])
  })

  test('G8 G9 G10 thousands of records that cannot be stored hold up nothing, and are all there', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    const many = 25_000
    for (let i = 0; i < many; i += 5_000) {
      await buffered(bench, ...Array.from({ length: 5_000 }, (_, k) => item('gone-in-numbers', 'p', `${i + k}`)))
    }
    await buffered(bench, item('behind-them', 'p', '1'))
    bench.deleted.set('gone-in-numbers', Date.now() * 1000 + 1_000_000)
    expect(await runAgain(bench)).toBe('empty')
    expect(await namesOf('behind-them')).toEqual(['1'])
    expect([buffer.stats.pendingRecords, buffer.quarantine.count, bench.setAside.length]).toEqual([0, 0, many])
    const { rows, total } = await quarantined('gone-in-numbers', null, many - 2)
    expect([total, ...rows.map(({ number }) => number)]).toEqual([many, many - 1, many])
    // By key nothing is skipped, although what was listed is dropped meanwhile.
    const store = createQuarantineStore(opened.database)
    const seen: (number | null)[] = []
    let after: string | null = null
    do {
      const page = await store.list({ queue: 'gone-in-numbers', instance: null, limit: 999, offset: 0, after })
      seen.push(...page.rows.map(({ number }) => number))
      await store.drop(page.rows[0]!.id)
      after = page.next
    } while (after !== null)
    expect(seen).toEqual(Array.from({ length: many }, (_, i) => i + 1))
  })

  test('a step asks for all its queues at once', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    const names = Array.from({ length: 200 }, (_, i) => `unheard-${i}`)
    await buffered(bench, ...names.flatMap((name) => [item(name, 'p', '1'), item(name, 'p', '2')]))
    const asked: number[] = []
    const queues = bench.stack.catalog.queues.bind(bench.stack.catalog)
    bench.stack.catalog.queues = (some) => {
      asked.push(some.size)
      return queues(some)
    }
    bench.stack.catalog.queue = () => Promise.reject(new Error('one at a time'))
    bench.deleted.set(names[7]!, Date.now() * 1000 + 60_000_000)
    expect([await bench.drain.run(always), asked]).toEqual(['empty', [200]])
    expect([(await namesOf(names[8]!)).length, bench.setAside.length]).toEqual([2, 2])
  })

  test('a partition deleted between two attempts is replaced', async () => {
    const buffer = await openBuffer()
    const bench = benchOn(buffer)
    await bench.stack.send(item('vanished', 'p', 'old'))
    await createQueueStore(opened.database).deleteQueue('vanished')
    await buffered(bench, item('vanished', 'p', 'new'))
    expect([await bench.drain.run(always), await namesOf('vanished')]).toEqual(['empty', ['new']])
  })

  test('payloads are encrypted on disk and in the table as the queue asks, and come back the same', async () => {
    const cipher = new PayloadCipher(createSecretKey(randomBytes(32)))
    const buffer = await openBuffer()
    const bench = benchOn(buffer, { cipher })
    const configure = (name: string, encryptionEnabled: boolean) =>
      createQueueStore(opened.database).configureQueue({
        name,
        namespace: null,
        task: null,
        set: { encryptionEnabled },
        unset: [],
        replace: false,
      })
    await configure('secret', true)
    await configure('open', false)
    const payload = '{"card":"4111 1111"}'
    // The queues are not known to this instance: it has to assume the worst.
    const items = [
      item('secret', 'p', 's', payload),
      item('open', 'p', 'o', payload),
      item('newborn', 'p', 'n', payload),
    ]
    await buffered(bench, ...items)
    const { records } = await buffer.read({ records: 10, bytes: 1e6 })
    expect(records.map(({ body }) => body.includes('4111'))).toEqual([false, false, false])
    buffer.rewind()
    expect(await bench.drain.run(always)).toBe('empty')
    const [secret] = await storedMessages(opened.database, 'secret')
    expect([secret!.flags & 4, secret!.payload.includes('4111')]).toEqual([4, false])
    const clear = [
      ...(await storedMessages(opened.database, 'open')),
      ...(await storedMessages(opened.database, 'newborn')),
    ]
    expect(clear.map(({ flags, payload }) => [flags, payload])).toEqual([
      [0, payload],
      [0, payload],
    ])
    const [live] = await bench.stack.send(item('secret', 'p', 's2', payload))
    expect(live!.status).toBe('queued')
    const row = await opened.database.admin.run<{ body: Buffer }>(
      'test_body',
      `SELECT s.body FROM queen.segments s WHERE s.partition_id = $1::uuid AND s.first_offset = 1`,
      [live!.partitionId],
    )
    const stored = row[0]!.body
    expect(stored.includes('4111')).toBe(false)
    // iv, tag and ciphertext are the last bytes of the only frame.
    expect(cipher.decrypt(stored.subarray(stored.length - payload.length - 28)).toString()).toBe(payload)
  })

  test('G8 a payload that cannot be decrypted is set aside', async () => {
    const buffer = await openBuffer()
    const writer = benchOn(buffer, { cipher: new PayloadCipher(createSecretKey(randomBytes(32))) })
    await buffered(writer, item('undecryptable', 'p', '1'), item('undecryptable', 'p', '2'))
    const bench = benchOn(buffer, {
      cipher: new PayloadCipher(createSecretKey(randomBytes(32))),
      stack: new PushStack(opened.database, { log: buffer }),
    })
    await buffered(bench, item('undecryptable', 'p', '3'))
    expect(await bench.drain.run(always)).toBe('empty')
    expect(await namesOf('undecryptable')).toEqual(['3'])
    expect(bench.setAside.map(({ reason }) => reason)).toEqual(['DECRYPT', 'DECRYPT'])
  })

  test('G8 under a wrong key only what this key sealed, or would seal, is set aside', async () => {
    await encryptedQueue(opened.database, 'sealed')
    const buffer = await openBuffer()
    const cipher = () => new PayloadCipher(createSecretKey(randomBytes(32)))
    const wrong = cipher()
    const key = { isWrong: true }
    // The queues are not known to these instances.
    await buffered(benchOn(buffer, { cipher: cipher() }), item('sealed', 'p', 'with-the-right-key'))
    await buffered(benchOn(buffer, { cipher: wrong, key }), item('sealed', 'p', 'with-the-wrong-key'))
    await buffered(benchOn(buffer), item('sealed', 'p', 'in-clear'), item('sealed-not', 'p', 'in-clear-too'))
    const bench = benchOn(buffer, { cipher: wrong, key })
    expect(await bench.drain.run(always)).toBe('empty')
    expect([await namesOf('sealed'), await namesOf('sealed-not')]).toEqual([['with-the-right-key'], ['in-clear-too']])
    expect(bench.setAside.map(({ number, reason }) => [number, reason])).toEqual([
      [2, 'DECRYPT'],
      [3, 'DECRYPT'],
    ])
    expect(bench.setAside.every(({ error }) => error.includes(WRONG_KEY))).toBe(true)
  })
})
