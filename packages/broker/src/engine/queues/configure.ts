/**
 * The verbs that change queues: configure, delete, clear. Each is one statement in the store; the catalog of this
 * instance knows at once, the others' within a second.
 *
 * All three may be repeated after an answer that was lost: the second time finds the work done.
 */
import { QUEUE_OPTIONS, type QueueOptionName } from '@queen/protocol'
import type { Log } from '../../ports/log.ts'
import type { QueueStore } from '../../ports/queue-store.ts'
import type { Engine } from '../engine.ts'
import { Refusal } from '../refusal.ts'
import { answering } from '../store-refusal.ts'
import type { ConfigureRequest } from '../types.ts'
import type { Catalog } from './catalog.ts'

export interface ConfigureParts {
  readonly store: QueueStore
  readonly catalog: Catalog
  /** Whether this server has a key for encryption at rest. */
  readonly encryption: boolean
  readonly log: Log
  /** A queue is gone. The other instances hear of it by the version of the configuration. */
  readonly onDelete?: () => void
}

export type Configuration = Pick<Engine, 'configureQueue' | 'deleteQueue' | 'clearQueue'> & {
  /** Deletes what is left of deleted queues and cleared partitions. One run at a time; never rejects. */
  purge(): Promise<void>
}

// A lease of no time would never let a consumer finish; older clients send 0 for "the usual".
const LEASE_SECONDS_FOR_ZERO = 60
// A bite takes some milliseconds for small segments and about a second for the largest.
const PURGE_SEGMENTS = 1_000

export function createConfiguration(parts: ConfigureParts): Configuration {
  const { store, catalog, log } = parts
  let purging: Promise<void> | null = null

  async function purgeAll(): Promise<void> {
    try {
      while (await store.purgeSegments(PURGE_SEGMENTS)) {}
    } catch (error) {
      // The entries stay; the next deletion or the next run goes on with them.
      log.warn({ error: (error as Error).message }, 'deleted messages could not be purged yet')
    }
  }

  const purge = (): Promise<void> => {
    purging ??= purgeAll().finally(() => {
      purging = null
    })
    return purging
  }

  return {
    async configureQueue(request) {
      if (request.options.encryptionEnabled === true && !parts.encryption)
        throw new Refusal('ENCRYPTION_NOT_CONFIGURED')
      const { set, unset } = sparseOptions(request.options)
      const configured = await answering(() =>
        store.configureQueue({
          name: request.queue,
          namespace: request.namespace,
          task: request.task,
          set,
          unset,
          replace: request.mode === 'replace',
        }),
      )
      catalog.put(configured.queue, configured.version)
      const { queue, created, partitionId } = configured
      return { created, queue, partitionId }
    },

    async deleteQueue(name) {
      const existed = await answering(() => store.deleteQueue(name))
      catalog.forget(name)
      parts.onDelete?.()
      if (existed) void purge()
      return existed
    },

    async clearQueue(name, partition) {
      const outcome = await answering(() => store.clearQueue(name, partition))
      if (outcome.status === 'queue_not_found') throw new Refusal('QUEUE_NOT_FOUND')
      if (outcome.status === 'partition_not_found') throw new Refusal('PARTITION_NOT_FOUND')
      void purge()
      const { deletedMessages, deletedDeadLetters } = outcome
      return { deletedMessages, deletedDeadLetters }
    },

    purge,
  }
}

/** Splits requested options into values to store and names that go back to their default. */
function sparseOptions(options: ConfigureRequest['options']): {
  set: Record<string, number | boolean>
  unset: string[]
} {
  const set: Record<string, number | boolean> = {}
  const unset: string[] = []
  for (const [name, requested] of Object.entries(options)) {
    const value = name === 'leaseTime' && requested === 0 ? LEASE_SECONDS_FOR_ZERO : requested
    if (value === null || value === QUEUE_OPTIONS[name as QueueOptionName].default) unset.push(name)
    else if (value !== undefined) set[name] = value
  }
  return { set, unset }
}
