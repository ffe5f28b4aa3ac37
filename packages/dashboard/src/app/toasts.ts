/** Short news that nobody has to answer. Failures of an action belong where it was done, not here. */
import { reactive, readonly } from 'vue'

export interface Toast {
  readonly id: number
  readonly tone: 'good' | 'bad' | 'info'
  readonly text: string
}

const SHOWN_MS = 5_000
// More than a few at once is a flood that nobody reads.
const TOASTS_MAX = 4

const list = reactive<Toast[]>([])
let nextId = 1

export const toasts = readonly(list) as readonly Toast[]

export function toast(text: string, tone: Toast['tone'] = 'good'): void {
  const id = nextId++
  list.push({ id, tone, text })
  if (list.length > TOASTS_MAX) list.shift()
  setTimeout(() => dismiss(id), SHOWN_MS)
}

export function dismiss(id: number): void {
  const index = list.findIndex((each) => each.id === id)
  if (index >= 0) list.splice(index, 1)
}
