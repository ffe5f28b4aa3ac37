/** A drain of a real file buffer into a real PostgreSQL, with what it tells on the way. */
import type { FileBuffer } from '@queen/file-buffer'
import { expect } from 'vitest'
import type { PayloadCipher } from '../../src/engine/cipher.ts'
import { Drain, type DrainParts } from '../../src/engine/drain/drain.ts'
import { StepSize } from '../../src/engine/drain/step-size.ts'
import type { PushItem } from '../../src/engine/push/push-item.ts'
import type { PushStore } from '../../src/ports/push-store.ts'
import type { QuarantineWrite } from '../../src/ports/quarantine-store.ts'
import type { RecordLog } from '../../src/ports/record-log.ts'
import { StoreError } from '../../src/ports/store-error.ts'
import type { QueenDatabase } from '../../src/store/pool/pool.ts'
import { PushStack, storeOn } from './push-stack.ts'

export interface DrainBench {
  readonly drain: Drain
  readonly stack: PushStack
  readonly setAside: QuarantineWrite[]
  readonly progress: number[]
  readonly deleted: Map<string, number>
}

export interface DrainBenchOptions {
  readonly store?: PushStore
  readonly log?: RecordLog
  readonly cipher?: PayloadCipher | null
  readonly key?: { readonly isWrong: boolean }
  readonly stack?: PushStack
  readonly stepSize?: StepSize
  readonly endLostFlushes?: DrainParts['endLostFlushes']
  readonly onProgress?: (records: number) => void
  readonly sendsAhead?: boolean
}

export function drainBenchOn(database: QueenDatabase, buffer: FileBuffer, options: DrainBenchOptions = {}): DrainBench {
  const log = options.log ?? buffer
  const stack =
    options.stack ?? new PushStack(database, { log, ...(options.cipher == null ? {} : { cipher: options.cipher }) })
  const setAside: QuarantineWrite[] = []
  const progress: number[] = []
  const deleted = new Map<string, number>()
  const parts: DrainParts = {
    store: options.store ?? storeOn(database),
    log,
    catalog: {
      queues: (names) => stack.catalog.queues(names),
      ensurePartitions: (names) => stack.catalog.ensurePartitions(names),
      forget: (queue) => stack.catalog.forget(queue),
      deletedAtMicros: async (names) => new Map([...deleted].filter(([name]) => names.includes(name))),
    },
    dedup: stack.dedup,
    ids: stack.ids,
    stepSize: options.stepSize ?? new StepSize(),
    cipher: options.cipher ?? null,
    key: options.key ?? { isWrong: false },
    nowMs: Date.now,
    endLostFlushes: options.endLostFlushes ?? (async () => {}),
    sendsAhead: options.sendsAhead ?? true,
    onStored: () => {},
    onProgress: (records) => {
      progress.push(records)
      options.onProgress?.(records)
    },
    onSetAside: (entries) => setAside.push(...entries),
  }
  return { drain: new Drain(parts), stack, setAside, progress, deleted }
}

export async function buffered(bench: DrainBench, ...items: PushItem[]): Promise<void> {
  await bench.stack.push.buffer(items, null)
  expect(items.every(({ status }) => status === 'buffered')).toBe(true)
}

/** A store whose PostgreSQL refuses what says poison. */
export function refusingPoison(real: PushStore): PushStore {
  return {
    ...real,
    pushMessages: async (writes, step) => {
      if (writes.some(({ body }) => Buffer.from(body).includes('poison')))
        throw new StoreError('rejected', 'not this one', { sqlState: '22021' })
      return real.pushMessages(writes, step)
    },
  }
}
