/** Lanes over a store that answers as a test says. */
import { MessageIdSource } from '../../src/engine/format/message-id.ts'
import { DedupCache } from '../../src/engine/push/dedup-cache.ts'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import { PushLanes } from '../../src/engine/push/push-lanes.ts'
import { WriteRoute } from '../../src/engine/push/write-route.ts'
import type { PartitionEntry } from '../../src/engine/types.ts'
import type { KnownKeys, PushResult, PushStore, SegmentWrite, WriteOutcome } from '../../src/ports/push-store.ts'
import type { StoreError } from '../../src/ports/store-error.ts'
import { item, place } from './push-stack.ts'

export type Flush = (writes: readonly SegmentWrite[]) => Promise<PushResult> | PushResult

export const A = place('a0000000-0000-4000-8000-000000000000', 'a')
export const B = place('b0000000-0000-4000-8000-000000000000', 'b')

export class Scripted {
  readonly flushes: (readonly SegmentWrite[])[] = []
  /** The first flushes, then every other one is stored. */
  script: Flush[] = []
  readonly next = new Map<string, number>()
  pages: KnownKeys[] = []
  /** Which flushes went the cheap way. */
  readonly cheap: boolean[] = []
  readonly store: PushStore = {
    pushMessages: (writes) => this.#flush(writes, false),
    pushKnown: (writes) => this.#flush(writes, true),
    pushInTransaction: () => Promise.reject(new Error('no transactions here')),
    readKeys: async () => this.pages.splice(0),
    readDrainProgress: async () => 0,
    storedFlushes: async (flushes) => flushes.map(() => false),
  }

  async #flush(writes: readonly SegmentWrite[], cheap: boolean): Promise<PushResult> {
    this.flushes.push(writes)
    this.cheap.push(cheap)
    const scripted = this.script.shift()
    return scripted === undefined ? this.stored(writes) : scripted(writes)
  }

  stored(writes: readonly SegmentWrite[]): PushResult {
    return { status: 'done', outcomes: writes.map((write) => this.storedOne(write)), configVersion: 1 }
  }

  /** The next flushes are under way until it is resolved. */
  hold(flushes = 1): PromiseWithResolvers<void> {
    const held = Promise.withResolvers<void>()
    const flush: Flush = async (writes) => {
      await held.promise
      return this.stored(writes)
    }
    this.script = Array(flushes).fill(flush)
    return held
  }

  storedOne(write: SegmentWrite): WriteOutcome {
    const firstOffset = this.next.get(write.partitionId) ?? 0
    this.next.set(write.partitionId, firstOffset + write.count)
    return { status: 'stored', firstOffset, createdAt: '2026-11-23 00:00:00+00', confirmed: [], gap: [] }
  }
}

export const unsure: WriteOutcome & { status: 'unsure' } = {
  status: 'unsure',
  duplicates: [],
  confirmed: [],
  innocent: [],
  gap: [],
  unknownUpTo: null,
}
export const done = (...outcomes: WriteOutcome[]): PushResult => ({ status: 'done', outcomes, configVersion: 1 })

export function bench() {
  const scripted = new Scripted()
  const route = new WriteRoute()
  route.set('direct')
  const log: string[] = []
  const lost: (string | null)[] = []
  const unavailable: StoreError[] = []
  const defects: unknown[] = []
  const gone = { next: B as PartitionEntry, error: null as Error | null }
  let diverted = 0
  const lanes = new PushLanes({
    store: scripted.store,
    dedup: new DedupCache(1024 * 1024),
    ids: new MessageIdSource(),
    route,
    nowMs: Date.now,
    divert: async (items, lostFlush) => {
      await new Promise((resolve) => setImmediate(resolve))
      for (const entry of items) {
        entry.status = 'buffered'
        log.push(`buffered ${entry.transactionId}`)
        lost.push(lostFlush)
      }
    },
    onDiverted: () => {
      diverted++
    },
    onUnavailable: (error) => {
      unavailable.push(error)
      route.set('buffer')
    },
    onStored: ({ segment }) => log.push(...segment.stored.map(({ transactionId }) => `stored ${transactionId}`)),
    onConfigVersion: () => {},
    onGone: async () => {
      if (gone.error !== null) throw gone.error
      return gone.next
    },
    onDefect: (error) => defects.push(error),
  })
  const add = (to: PartitionEntry, ...names: string[]): Promise<PushItem[]> => {
    const items = names.map((name) => item('orders', to.name, name))
    const { promise, resolve } = Promise.withResolvers<PushItem[]>()
    lanes.add(to, items, { remaining: items.length, startedAtMs: Date.now(), done: () => resolve(items) })
    return promise
  }
  return {
    scripted,
    route,
    lanes,
    log,
    lost,
    unavailable,
    defects,
    gone,
    add,
    get diverted() {
      return diverted
    },
  }
}

export const statuses = (items: readonly PushItem[]) => items.map(({ status }) => status)
