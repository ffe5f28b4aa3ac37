import { describe, expect, test } from 'vitest'
import { QueueDepth } from '../../src/engine/push/queue-depth.ts'
import { item, place } from './push-stack.ts'

const P = place('a0000000-0000-4000-8000-000000000000', 'p', { maxSize: 10 })
const free = { ...P, queue: { ...P.queue, id: 'other', name: 'free', options: { ...P.queue.options, maxSize: 0 } } }

function bench(count: number) {
  const state = { count, nowMs: 0, asked: 0, away: false }
  const depth = new QueueDepth(
    {
      countUnfinished: async () => {
        state.asked++
        if (state.away) throw new Error('away')
        return state.count
      },
    },
    () => state.nowMs,
  )
  const admit = async (...to: (typeof P)[]) => {
    const items = to.map(({ queue }, i) => item(queue.name, 'p', `${i}`))
    await depth.admit(items, to, 60_000)
    return items.map(({ failure }) => failure?.code ?? null)
  }
  return { state, admit }
}

describe('maxSize', () => {
  test('G9 admits up to the limit and fails what goes over it, other queues untouched', async () => {
    const { admit } = bench(8)
    expect(await admit(P, free, P, P, free)).toEqual([null, null, null, 'QUEUE_FULL', null])
  })

  test('counts its own pushes between two looks at PostgreSQL', async () => {
    const { admit, state } = bench(0)
    for (let i = 0; i < 9; i++) expect(await admit(P)).toEqual([null])
    expect(state.asked).toBe(1)
  })

  test('never refuses on an old count: what was consumed meanwhile makes room', async () => {
    const { admit, state } = bench(10)
    expect(await admit(P)).toEqual(['QUEUE_FULL'])
    state.count = 3
    state.nowMs = 60
    expect(await admit(P)).toEqual([null])
  })

  test('asks PostgreSQL at most every 50 ms while the queue is full', async () => {
    const { admit, state } = bench(10)
    await Promise.all(Array.from({ length: 20 }, () => admit(P)))
    state.nowMs = 40
    await admit(P)
    expect(state.asked).toBe(1)
  })

  test('a count that cannot be had admits', async () => {
    const { admit, state } = bench(10)
    state.away = true
    expect(await admit(P, P)).toEqual([null, null])
    state.away = false
    expect(await admit(P)).toEqual(['QUEUE_FULL'])
  })

  test('a count that does not come in time admits, also after an old one that says full', async () => {
    let answer: Promise<number> = Promise.resolve(10)
    const state = { nowMs: 0 }
    const depth = new QueueDepth({ countUnfinished: () => answer }, () => state.nowMs)
    const refused = item('orders', 'p', 'x')
    await depth.admit([refused], [P], 60_000)
    const slow = Promise.withResolvers<number>()
    answer = slow.promise
    state.nowMs = 60
    const admitted = item('orders', 'p', 'y')
    await depth.admit([admitted], [P], 1)
    slow.resolve(10)
    await slow.promise
    expect([refused.failure?.code, admitted.failure]).toEqual(['QUEUE_FULL', null])
  })

  test('items that failed already take no room', async () => {
    const { state } = bench(9)
    const depth = new QueueDepth({ countUnfinished: async () => state.count }, () => 0)
    const failed = item('orders', 'p', 'x', '1', { status: 'failed' })
    const good = item('orders', 'p', 'y')
    await depth.admit([failed, good], [P, P], 60_000)
    expect([failed.failure, good.failure]).toEqual([null, null])
  })
})
