/**
 * Doing something to many dead letters, in steps that are small enough to be stopped between.
 *
 * Invariant: a run by filter ends. It takes only what had failed when it began, so a message that fails again at once is
 * not redriven over and over.
 */
import type { DlqFilter } from '@queen/client'
import { reactive, readonly } from 'vue'
import { type ErrorText, errorText } from '../../api/error-text.ts'
import { admin } from '../../api/queen.ts'

export interface DeadLetterKey {
  readonly partitionId: string
  readonly transactionId: string
  readonly consumerGroup: string
}

/** What a run by filter is about to do, counted before it is asked for. */
export interface BulkPlan {
  readonly filter: DlqFilter
  readonly total: number
}

/** Of one request: some seconds of work, so that progress is seen and "stop" is heard. */
const STEP = 1_000
/** Single requests under way at once. */
const PARALLEL = 4

export interface BulkState {
  readonly running: boolean
  readonly done: number
  readonly total: number | null
  /** Of single ones: how many were refused, and the first refusal. */
  readonly failed: number
  readonly error: ErrorText | null
  readonly stopped: boolean
}

export function useBulkRun() {
  const state = reactive({
    running: false,
    done: 0,
    total: null as number | null,
    failed: 0,
    error: null as ErrorText | null,
    stopped: false,
  })
  let stopping = false

  async function run(total: number, work: () => Promise<void>): Promise<void> {
    stopping = false
    Object.assign(state, { running: true, done: 0, total, failed: 0, error: null, stopped: false })
    try {
      await work()
    } catch (error) {
      state.error = errorText(error)
    } finally {
      Object.assign(state, { running: false, stopped: stopping })
    }
  }

  return {
    state: readonly(state) as BulkState,
    /** Ends after the step that is under way. */
    stop(): void {
      stopping = true
    },
    reset(): void {
      Object.assign(state, { done: 0, total: null, failed: 0, error: null, stopped: false })
    },
    byFilter(what: 'retry' | 'purge', { filter, total }: BulkPlan): Promise<void> {
      return run(total, async () => {
        for (;;) {
          const step = { ...filter, limit: STEP }
          const answer = what === 'retry' ? await admin.retryDLQ(step) : await admin.purgeDLQ(step)
          const done = answer.retried ?? answer.deleted ?? 0
          state.done += done
          state.total = state.done + answer.remaining
          if (stopping || answer.remaining === 0) return
          if (done === 0) throw new Error(`The broker took none of the ${answer.remaining} that remain`)
        }
      })
    },
    retryEach(letters: readonly DeadLetterKey[]): Promise<void> {
      return run(letters.length, async () => {
        const queue = [...letters]
        const work = async (): Promise<void> => {
          for (let each = queue.shift(); each !== undefined && !stopping; each = queue.shift()) {
            try {
              const { consumerGroup } = each
              await admin.retryMessage(each.partitionId, each.transactionId, { consumerGroup })
              state.done++
            } catch (error) {
              // One that somebody else has retried already must not keep the others.
              state.failed++
              state.error ??= errorText(error)
            }
          }
        }
        await Promise.all(Array.from({ length: PARALLEL }, work))
      })
    },
  }
}

/** Counts what a filter holds now and closes it above: what fails later is not part of it. */
export async function planBulk(filter: DlqFilter): Promise<BulkPlan> {
  const { messages, total } = await admin.listDLQ({ ...filter, limit: 1 })
  const newest = messages[0]?.failedAt
  const isEmpty = Object.values(filter).every((value) => value === undefined)
  const closed: DlqFilter = newest === undefined ? filter : { ...filter, to: afterMillis(newest) }
  return { filter: newest === undefined && isEmpty ? { all: true } : closed, total: total ?? 0 }
}

/** Answers carry milliseconds, the broker compares microseconds: the whole millisecond is meant. */
function afterMillis(time: string): string {
  return time.replace(/\.(\d{3})Z$/, '.$1999Z')
}
