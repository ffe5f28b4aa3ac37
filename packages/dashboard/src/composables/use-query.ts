/**
 * A read that keeps itself fresh.
 *
 *   loading ──answer──▶ fresh ──failure──▶ stale ──answer──▶ fresh
 *      └──────failure──▶ failed ──answer──▶ fresh
 *
 * Invariants: at most one request of a query is under way; an answer that was overtaken (by other parameters or by the
 * end of the component) is never shown; while the page is hidden nothing is asked; what was shown stays when an answer
 * fails, and says since when it is stale.
 */

import type { MaybeRefOrGetter, Ref, WatchSource } from 'vue'
import { computed, getCurrentScope, onScopeDispose, reactive, readonly, shallowRef, toValue, watch } from 'vue'
import { type ErrorText, errorText } from '../api/error-text.ts'
import { token } from '../api/session.ts'
import { onBeat } from './ticker.ts'

/** While something is going on that people wait for. */
export const BUSY_MS = 2_000
/** For what people glance at. */
export const CALM_MS = 5_000
/** For what changes slowly. */
export const SLOW_MS = 10_000
/** A broker that fails is asked less often, up to this. */
const BACK_OFF_MS_MAX = 15_000

export interface QueryOptions {
  /** Time from one answer to the next question; null = ask once and on refresh(). */
  readonly everyMs: MaybeRefOrGetter<number | null>
  /** What the read depends on. When it changes, the old data is dropped and the read asked anew at once. */
  readonly watch?: WatchSource | WatchSource[]
  /** Keep showing the old data until the new is there, e.g. while somebody types into a filter. */
  readonly keep?: boolean
  /** Nothing is asked while false. */
  readonly enabled?: MaybeRefOrGetter<boolean>
}

export interface Query<T> {
  readonly data: Readonly<Ref<T | undefined>>
  readonly state: {
    /** Nothing has been answered yet and nothing has failed. */
    readonly loading: boolean
    /** A request is under way. */
    readonly fetching: boolean
    /** Of the last answer, when it was a failure. */
    readonly error: ErrorText | null
    /** The failure itself, for its code and details. */
    readonly cause: unknown
    readonly updatedAt: number | null
    /** Time of the last good answer, once a later one failed; null while fresh. */
    readonly staleSince: number | null
  }
  /** Asks now; resolves when the answer (or its failure) is shown. */
  refresh(): Promise<void>
}

export function useQuery<T>(read: (signal: AbortSignal) => Promise<T>, options: QueryOptions): Query<T> {
  const data = shallowRef<T>()
  const state = reactive({
    loading: true,
    fetching: false,
    error: null as ErrorText | null,
    cause: null as unknown,
    updatedAt: null as number | null,
    staleSince: null as number | null,
  })
  const enabled = computed(() => toValue(options.enabled) ?? true)
  let dueAt = 0
  let failures = 0
  let running: { abort: AbortController; done: Promise<void> } | null = null

  const ask = (): Promise<void> => {
    if (running !== null) return running.done
    const abort = new AbortController()
    const mine = { abort, done: fetchOnce(abort.signal) }
    running = mine
    void mine.done.finally(() => {
      if (running === mine) {
        running = null
        state.fetching = false
      }
    })
    return mine.done
  }

  const fetchOnce = async (signal: AbortSignal): Promise<void> => {
    state.fetching = true
    try {
      const answer = await read(signal)
      if (signal.aborted) return
      data.value = answer
      failures = 0
      Object.assign(state, { loading: false, error: null, cause: null, updatedAt: Date.now(), staleSince: null })
    } catch (error) {
      if (signal.aborted) return
      failures++
      Object.assign(state, { loading: false, error: errorText(error), cause: error, staleSince: state.updatedAt })
    }
    const every = toValue(options.everyMs)
    const pause = every === null ? Number.POSITIVE_INFINITY : every
    dueAt = Date.now() + (failures > 1 ? Math.min(pause * failures, Math.max(pause, BACK_OFF_MS_MAX)) : pause)
  }

  const restart = (): void => {
    running?.abort.abort()
    running = null
    dueAt = 0
    if (enabled.value && !document.hidden) void ask()
  }

  const stopBeat = onBeat(() => {
    if (enabled.value && running === null && Date.now() >= dueAt && !document.hidden) void ask()
  })
  if (options.watch !== undefined) {
    watch(options.watch, () => {
      if (options.keep !== true) {
        data.value = undefined
        Object.assign(state, { loading: true, error: null, cause: null, updatedAt: null, staleSince: null })
      }
      restart()
    })
  }
  // A new token may see what the old one could not; a faster pace begins now and not after the old pause.
  watch(token, restart)
  watch(
    () => toValue(options.everyMs),
    (every) => {
      if (every !== null) dueAt = Math.min(dueAt, Date.now() + every)
    },
  )
  watch(enabled, (on) => {
    if (on) restart()
  })
  if (getCurrentScope() !== undefined) {
    onScopeDispose(() => {
      stopBeat()
      running?.abort.abort()
    })
  }
  if (enabled.value && !document.hidden) void ask()
  return {
    data: data as Readonly<Ref<T | undefined>>,
    state: readonly(state) as Query<T>['state'],
    async refresh() {
      running?.abort.abort()
      running = null
      await ask()
    },
  }
}
