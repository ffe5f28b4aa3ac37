/** The order of a table in the address: `sort=pending` ascending, `sort=-pending` descending. */
import { computed, type WritableComputedRef } from 'vue'
import type { TableSort } from '../components/table-column.ts'
import { useUrlState } from './use-url-state.ts'

export function useUrlSort(fallback = ''): WritableComputedRef<TableSort | null> {
  const text = useUrlState('sort', fallback)
  return computed({
    get: () =>
      text.value === '' ? null : { key: text.value.replace(/^-/, ''), descending: text.value.startsWith('-') },
    set: (sort) => {
      text.value = sort === null ? '' : `${sort.descending ? '-' : ''}${sort.key}`
    },
  })
}
