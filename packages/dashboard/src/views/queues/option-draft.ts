/**
 * Settings of a queue while they are being edited.
 *
 * Invariant: a field the person has touched keeps what was typed, whatever the broker says meanwhile; all others follow
 * the broker. Only touched fields are sent, so two people who edit different options do not undo each other.
 */
import type { QueueOptionName, QueueOptions } from '@queen/protocol'
import { computed, type MaybeRefOrGetter, reactive, toValue } from 'vue'
import { OPTION_NAMES, optionSpec } from './option-table.ts'

/** Numbers stay text while they are typed. */
export type DraftValue = string | boolean

export function useOptionDraft(stored: MaybeRefOrGetter<Partial<QueueOptions> | undefined>) {
  const touched = reactive(new Map<QueueOptionName, DraftValue>())
  const base = (name: QueueOptionName): DraftValue => {
    const value = toValue(stored)?.[name] ?? optionSpec(name).default
    return typeof value === 'boolean' ? value : String(value)
  }
  const changed = computed(() => OPTION_NAMES.filter((name) => touched.has(name) && touched.get(name) !== base(name)))
  const problems = computed(() => {
    const found = new Map<QueueOptionName, string>()
    for (const name of changed.value) {
      const problem = problemOf(name, touched.get(name)!)
      if (problem !== null) found.set(name, problem)
    }
    return found
  })
  return {
    changed,
    problems,
    value: (name: QueueOptionName): DraftValue => touched.get(name) ?? base(name),
    set: (name: QueueOptionName, value: DraftValue): void => {
      touched.set(name, value)
    },
    reset: (): void => touched.clear(),
    /** What would be sent; only when there are no problems. */
    options: computed<Partial<QueueOptions>>(() =>
      Object.fromEntries(changed.value.map((name) => [name, parsed(touched.get(name)!)])),
    ),
  }
}

export type OptionDraft = ReturnType<typeof useOptionDraft>

function parsed(value: DraftValue): number | boolean {
  return typeof value === 'boolean' ? value : Number(value)
}

/** null when the broker would take it. */
export function problemOf(name: QueueOptionName, value: DraftValue): string | null {
  const spec = optionSpec(name)
  if (spec.type === 'boolean' || typeof value === 'boolean') return null
  if (!/^-?\d+$/.test(value.trim())) return 'A whole number is needed'
  const number = Number(value)
  if (number < spec.min) return `At least ${spec.min.toLocaleString('en')}`
  if (number > spec.max) return `At most ${spec.max.toLocaleString('en')}`
  return null
}
