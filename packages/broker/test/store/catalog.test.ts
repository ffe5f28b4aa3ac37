import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Catalog } from '../../src/engine/queues/catalog.ts'
import { createConfiguration } from '../../src/engine/queues/configure.ts'
import type { ConfigureRequest } from '../../src/engine/types.ts'
import type { QueueStore } from '../../src/ports/queue-store.ts'
import { createQueueStore } from '../../src/store/queues.ts'
import { type OpenedTestDatabase, openTestDatabase, silent } from './test-database.ts'

/** One instance: its catalog, its configuration verbs and how often it asked the database what. */
function instance(opened: OpenedTestDatabase, limits: { queuesMax?: number; partitionsMax?: number } = {}) {
  const calls: Record<string, number> = {}
  const real = createQueueStore(opened.database)
  const store = new Proxy(real, {
    get(target, name: keyof QueueStore) {
      const method = target[name] as (...values: unknown[]) => unknown
      return (...values: unknown[]) => {
        calls[name] = (calls[name] ?? 0) + 1
        return method(...values)
      }
    },
  })
  const clock = { nowMs: 1_000_000 }
  const catalog = new Catalog({ store, log: silent, nowMs: () => clock.nowMs, ...limits })
  const configuration = createConfiguration({ store, catalog, encryption: false, log: silent })
  return { calls, clock, catalog, configuration, store }
}

const request = (queue: string, more: Partial<ConfigureRequest> = {}): ConfigureRequest => ({
  queue,
  namespace: null,
  task: null,
  options: {},
  mode: 'merge',
  ...more,
})

let opened: OpenedTestDatabase
let a: ReturnType<typeof instance>
let b: ReturnType<typeof instance>
let number = 0
let name = ''

/** Waits until `check` is true; each round lets the background refresh go on. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) await new Promise((resolve) => setTimeout(resolve, 5))
}

beforeAll(async () => {
  opened = await openTestDatabase()
})
afterAll(() => opened[Symbol.asyncDispose]())
beforeEach(() => {
  a = instance(opened)
  b = instance(opened)
  name = `ns${++number}.task.rest`
})

describe('the catalog', () => {
  it('makes a queue with the namespace and task of its name, and partitions, at the first push', async () => {
    const entry = await a.catalog.ensurePartition(name, 'p1')
    expect(entry).toMatchObject({ name: 'p1', queue: { name, namespace: `ns${number}`, task: 'task' } })
    expect(a.catalog.peekPartition(name, 'p1')).toBe(entry)
    expect(a.catalog.partitionById(entry.id)).toBe(entry)
    expect(a.catalog.peekPartition(name, 'p2')).toBeUndefined()
    const seen = await b.catalog.queue(name)
    expect(seen!.id).toBe(entry.queue.id)
    expect((await b.catalog.partition(seen!, 'p1'))!.id).toBe(entry.id)
    expect(await b.catalog.partition(seen!, 'p2')).toBeNull()
    const [plain] = await a.catalog.ensureQueues([`plain${number}`])
    expect(plain).toMatchObject({ namespace: `plain${number}`, task: '' })
  })

  it('creates ten thousand partitions of concurrent callers in a few statements', async () => {
    const names = Array.from({ length: 10_000 }, (_, i) => ({ queue: name, partition: `p${i}` }))
    const [all, some] = await Promise.all([
      a.catalog.ensurePartitions(names),
      ...names.slice(0, 200).map((each) => a.catalog.ensurePartitions([each])),
    ])
    expect(all!.map((entry) => entry.name)).toEqual(names.map(({ partition }) => partition))
    expect(some![0]).toBe(all![0])
    expect(a.calls).toEqual({ ensureQueues: 1, ensurePartitions: 1 })
  })

  it('creates three thousand queues of concurrent callers in a few statements', async () => {
    const names = Array.from({ length: 3_000 }, (_, i) => ({ queue: `t${i}.job.${name}`, partition: `p${i % 2}` }))
    const [all, same] = await Promise.all([
      a.catalog.ensurePartitions(names),
      a.catalog.ensurePartitions(names.toReversed()),
      b.catalog.ensurePartitions(names.toReversed()),
    ])
    expect(all!.map((entry) => ({ queue: entry.queue.name, partition: entry.name }))).toEqual(names)
    expect(same!.map(({ id }) => id).toReversed()).toEqual(all!.map(({ id }) => id))
    expect(all![1]!.queue).toMatchObject({ namespace: 't1', task: 'job' })
    // A thousand each; the second caller of this instance finds the queues known.
    expect(a.calls).toEqual({ ensureQueues: 3, ensurePartitions: 6 })
  })

  it('makes a queue anew that another instance deleted while it made many', async () => {
    const names = Array.from({ length: 20 }, (_, i) => ({ queue: `${name}-${i}`, partition: 'p' }))
    const before = await a.catalog.ensurePartitions(names)
    await b.store.deleteQueue(names[7]!.queue)
    const after = await a.catalog.ensurePartitions(names.map(({ queue }) => ({ queue, partition: 'q' })))
    const same = after.map(({ queue }, index) => queue.id === before[index]!.queue.id)
    expect(same).toEqual(names.map((_, index) => index !== 7))
  })

  it('keeps the order asked for over several queues', async () => {
    const names = Array.from({ length: 300 }, (_, i) => ({ queue: `${name}-${i % 100}`, partition: `p${i % 7}` }))
    const entries = await a.catalog.ensurePartitions(names)
    expect(entries.map((entry) => ({ queue: entry.queue.name, partition: entry.name }))).toEqual(names)
  })

  it('asks once for what many miss at the same time, and does not ask again soon for what is missing', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => a.catalog.queue(name)))
    expect(new Set(answers)).toEqual(new Set([null]))
    expect(a.calls.readQueues).toBe(1)
    // The first answer taught the version, which forgets misses; the second is kept.
    await a.catalog.queue(name)
    const asked = a.calls.readQueues!
    await a.catalog.queue(name)
    expect(a.calls.readQueues).toBe(asked)
    a.clock.nowMs += 501
    await a.catalog.queue(name)
    expect(a.calls.readQueues).toBe(asked + 1)
  })

  it('finds a queue that another instance made as soon as the version is noticed', async () => {
    await a.catalog.queue(name)
    await a.catalog.queue(name)
    const { version } = await b.store.configureQueue({
      name,
      namespace: null,
      task: null,
      set: {},
      unset: [],
      replace: false,
    })
    a.catalog.noticeVersion(version)
    expect(await a.catalog.queue(name)).toMatchObject({ name })
  })

  it('shows options that another instance changed, in the entries people hold, when the version is noticed', async () => {
    const entry = await a.catalog.ensurePartition(name, 'p')
    await b.configuration.configureQueue(request(name, { options: { leaseTime: 7 }, namespace: 'new' }))
    const { version } = await b.store.readQueues([])
    a.catalog.noticeVersion(version)
    await until(() => entry.queue.options.leaseTime === 7)
    expect(entry.queue.namespace).toBe('new')
    expect(a.catalog.peekPartition(name, 'p')).toBe(entry)
  })

  it('follows the configuration of an older copy of its database, whose versions are lower', async () => {
    const older = instance(opened)
    const entry = (await older.catalog.ensureQueues([name]))[0]!
    const readLater = older.store.readQueues
    await older.configuration.configureQueue(request(name, { options: { leaseTime: 77 } }))
    // As far as this instance had come in the database that is gone.
    older.catalog.put({ ...entry, options: { ...entry.options, leaseTime: 99 } }, 1_000_000)
    older.catalog.startOver()
    older.catalog.noticeVersion((await readLater([name])).version)
    await until(() => older.catalog.peekQueue(name)?.options.leaseTime === 77)
    await a.configuration.configureQueue(request(name, { options: { leaseTime: 78 } }))
    older.catalog.noticeVersion((await readLater([name])).version)
    await until(() => older.catalog.peekQueue(name)?.options.leaseTime === 78)
  })

  it('forgets a queue that another instance deleted, tells so, and makes it anew', async () => {
    const entry = await a.catalog.ensurePartition(name, 'p')
    const gone: string[] = []
    a.catalog.onQueueGone((queue) => gone.push(queue.id))
    await b.configuration.deleteQueue(name)
    a.catalog.noticeVersion((await b.store.readQueues([])).version)
    await until(() => a.catalog.peekQueue(name) === undefined)
    expect(gone).toEqual([entry.queue.id])
    expect(a.catalog.partitionById(entry.id)).toBeUndefined()
    expect((await a.catalog.ensurePartition(name, 'p')).id).not.toBe(entry.id)
  })

  it('creates partitions although the cached queue was deleted behind its back', async () => {
    const entry = await a.catalog.ensurePartition(name, 'p')
    await b.configuration.deleteQueue(name)
    const fresh = await a.catalog.ensurePartition(name, 'q')
    expect(fresh.queue.id).not.toBe(entry.queue.id)
    expect(a.catalog.peekPartition(name, 'p')).toBeUndefined()
  })

  it('repeats a refresh that failed', async () => {
    const entry = await a.catalog.ensurePartition(name, 'p')
    const { readQueues } = a.store
    let failures = 1
    a.store.readQueues = (names) => {
      if (failures-- > 0) return Promise.reject(new Error('away'))
      return readQueues(names)
    }
    await b.configuration.configureQueue(request(name, { options: { priority: 3 } }))
    a.catalog.noticeVersion((await b.store.readQueues([])).version)
    await until(() => entry.queue.options.priority === 3)
  })

  it('matches by namespace and task, and notices new queues and priorities', async () => {
    const ns = `match${number}`
    await a.configuration.configureQueue(request(`${name}1`, { namespace: ns, task: 't' }))
    expect((await b.catalog.match(ns, null)).map((queue) => queue.name)).toEqual([`${name}1`])
    await a.configuration.configureQueue(request(`${name}2`, { namespace: ns, options: { priority: 1 } }))
    expect((await a.catalog.match(ns, null)).map((queue) => queue.name)).toEqual([`${name}2`, `${name}1`])
    b.catalog.noticeVersion((await a.store.readQueues([])).version)
    expect((await b.catalog.match(ns, null)).map((queue) => queue.name)).toEqual([`${name}2`, `${name}1`])
    expect((await b.catalog.match(ns, 't')).map((queue) => queue.name)).toEqual([`${name}1`])
    const { matchQueues } = b.calls
    await b.catalog.match(ns, 't')
    expect(b.calls.matchQueues).toBe(matchQueues)
  })

  it('G9 stays within its bounds, keeps what is used, and still answers for the rest', async () => {
    const small = instance(opened, { queuesMax: 3, partitionsMax: 5 })
    const used = await small.catalog.ensurePartition(name, 'used')
    for (let i = 0; i < 20; i++) {
      await small.catalog.ensurePartition(name, `p${i}`)
      small.catalog.peekPartition(name, 'used')
    }
    expect(small.catalog.peekPartition(name, 'used')).toBe(used)
    const kept = Array.from({ length: 20 }, (_, i) => small.catalog.peekPartition(name, `p${i}`)).filter(Boolean)
    expect(kept.length).toBeLessThanOrEqual(4)
    const entries = await small.catalog.ensurePartitions(
      Array.from({ length: 20 }, (_, i) => ({ queue: name, partition: `p${i}` })),
    )
    expect(new Set(entries.map((entry) => entry.id)).size).toBe(20)
    for (let i = 0; i < 10; i++) await small.catalog.ensureQueues([`${name}-${i}`])
    const queues = Array.from({ length: 10 }, (_, i) => small.catalog.peekQueue(`${name}-${i}`)).filter(Boolean)
    expect(queues.length).toBeLessThanOrEqual(3)
  })

  it('finds partitions by their ids, with their queues in two reads', async () => {
    const entry = await a.catalog.ensurePartition(name, 'p')
    const other = await a.catalog.ensurePartition(`${name}-other`, 'p')
    const unknown = '00000000-0000-4000-8000-000000000000'
    const found = await b.catalog.partitionsById([entry.id, unknown, other.id])
    expect(b.calls).toEqual({ readPartitionsById: 1, readQueues: 1 })
    expect(new Set(found.keys())).toEqual(new Set([entry.id, other.id]))
    expect(found.get(entry.id)).toMatchObject({ name: 'p', queue: { name } })
    expect(b.catalog.partitionById(entry.id)).toBe(found.get(entry.id))
  })
})

describe('the verbs of configuration', () => {
  it('answer with all effective options', async () => {
    const result = await a.configuration.configureQueue(request(name, { options: { leaseTime: 60, priority: null } }))
    expect(result).toMatchObject({ created: true, queue: { options: { leaseTime: 60, priority: 0 } } })
    expect(a.catalog.peekQueue(name)!.options.leaseTime).toBe(60)
  })

  it('refuse encryption without a key, and what does not exist', async () => {
    await expect(
      a.configuration.configureQueue(request(name, { options: { encryptionEnabled: true } })),
    ).rejects.toMatchObject({ code: 'ENCRYPTION_NOT_CONFIGURED' })
    await expect(a.configuration.clearQueue(name, null)).rejects.toMatchObject({ code: 'QUEUE_NOT_FOUND' })
    await a.catalog.ensureQueues([name])
    await expect(a.configuration.clearQueue(name, 'p')).rejects.toMatchObject({ code: 'PARTITION_NOT_FOUND' })
    expect(await a.configuration.deleteQueue(name)).toBe(true)
    expect(await a.configuration.deleteQueue(name)).toBe(false)
  })

  it('say that the database is unavailable in the words the clients know', async () => {
    await opened.database.transaction('admin', async (sql) => {
      await sql.run('lock', 'LOCK TABLE queen.queues IN ACCESS EXCLUSIVE MODE', [])
      await expect(a.configuration.configureQueue(request(name))).rejects.toMatchObject({
        code: 'DATABASE_UNAVAILABLE',
        message: /connection refused.*ECONNREFUSED/,
      })
    })
  })
})
