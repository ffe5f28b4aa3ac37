/**
 * What of a list is opened beside it. Opening is a step of its own in the browser's history, so that "back" closes it
 * and the address can be sent to somebody.
 */
import { type ComputedRef, computed } from 'vue'
import { useRoute, useRouter } from 'vue-router'

export interface UrlSelection {
  readonly selected: ComputedRef<string | null>
  open(value: string): void
  close(): void
}

export function useUrlSelection(name: string): UrlSelection {
  const route = useRoute()
  const router = useRouter()
  let pushed = false
  const selected = computed(() => {
    const value = route.query[name]
    return (Array.isArray(value) ? value[0] : value) ?? null
  })
  return {
    selected,
    open(value) {
      const to = { query: { ...route.query, [name]: value }, hash: route.hash }
      if (selected.value !== null) void router.replace(to)
      else {
        pushed = true
        void router.push(to)
      }
    },
    close() {
      if (selected.value === null) return
      if (pushed) router.back()
      else {
        const { [name]: _, ...query } = route.query
        void router.replace({ query, hash: route.hash })
      }
      pushed = false
    },
  }
}
