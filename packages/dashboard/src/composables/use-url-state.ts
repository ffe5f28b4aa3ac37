/**
 * Filters that live in the address: they survive a reload, the back button and being sent to somebody.
 *
 * Several that are set at once reach the address together: each alone would write over the others.
 */
import { computed, nextTick, type WritableComputedRef } from 'vue'
import { type LocationQuery, useRoute, useRouter } from 'vue-router'

let pending: LocationQuery | null = null

/** One parameter of the query; equal to `fallback` it is left out of the address. */
export function useUrlState(name: string, fallback = ''): WritableComputedRef<string> {
  const route = useRoute()
  const router = useRouter()
  return computed({
    get() {
      const value = route.query[name]
      return (Array.isArray(value) ? value[0] : value) ?? fallback
    },
    set(value) {
      if (pending === null) {
        pending = { ...route.query }
        void nextTick(() => {
          const query = pending!
          pending = null
          void router.replace({ query, hash: route.hash })
        })
      }
      if (value === fallback) delete pending[name]
      else pending[name] = value
    },
  })
}
