/**
 * A list that grows by key: the first page stays fresh on the ticker, further ones are added when asked for.
 *
 * Invariant: rows are shown once each, in the broker's order. Once further pages were loaded the list stands still, so
 * that nothing moves under the reader's eyes; refresh() starts it over from the top.
 */
import { computed, type MaybeRefOrGetter, reactive, readonly, shallowRef, toValue, type WatchSource, watch } from 'vue'
import { type ErrorText, errorText } from '../api/error-text.ts'
import { type Query, useQuery } from './use-query.ts'

export interface PageOf<Row> {
  readonly rows: readonly Row[]
  /** Of all pages; null = the broker does not say. */
  readonly total: number | null
  /** Where the next page begins; null = this was the last. */
  readonly next: string | null
}

export interface PagesOptions<Row> {
  readonly everyMs: MaybeRefOrGetter<number | null>
  readonly watch?: WatchSource | WatchSource[]
  readonly keep?: boolean
  readonly enabled?: MaybeRefOrGetter<boolean>
  readonly key: (row: Row) => string
}

export function usePages<Row>(
  read: (after: string | undefined, signal: AbortSignal) => Promise<PageOf<Row>>,
  options: PagesOptions<Row>,
) {
  const further = shallowRef<readonly Row[]>([])
  const more = reactive({
    next: undefined as string | null | undefined,
    loading: false,
    error: null as ErrorText | null,
  })
  let abort: AbortController | null = null
  const reset = (): void => {
    abort?.abort()
    further.value = []
    Object.assign(more, { next: undefined, loading: false, error: null })
  }
  // Before the query's own watcher asks anew.
  if (options.watch !== undefined) watch(options.watch, reset, { flush: 'sync' })
  const first: Query<PageOf<Row>> = useQuery((signal) => read(undefined, signal), {
    ...options,
    everyMs: () => (more.next === undefined ? toValue(options.everyMs) : null),
  })
  const rows = computed<readonly Row[]>(() => {
    const seen = new Set<string>()
    return [...(first.data.value?.rows ?? []), ...further.value].filter((row) => {
      const key = options.key(row)
      return !seen.has(key) && seen.add(key)
    })
  })
  const next = computed(() => (more.next === undefined ? (first.data.value?.next ?? null) : more.next))

  const loadMore = async (): Promise<void> => {
    if (more.loading || next.value === null) return
    const own = new AbortController()
    abort = own
    more.loading = true
    try {
      const page = await read(next.value, own.signal)
      if (own.signal.aborted) return
      further.value = [...further.value, ...page.rows]
      more.next = page.next
      more.error = null
    } catch (error) {
      if (!own.signal.aborted) more.error = errorText(error)
    } finally {
      if (!own.signal.aborted) more.loading = false
    }
  }

  return {
    rows,
    total: computed(() => first.data.value?.total ?? null),
    hasMore: computed(() => next.value !== null),
    state: first.state,
    more: readonly(more),
    loadMore,
    async refresh() {
      reset()
      await first.refresh()
    },
  }
}
