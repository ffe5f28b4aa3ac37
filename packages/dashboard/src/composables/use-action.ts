/**
 * Something a person does: one at a time, its failure kept to be shown where it was done.
 */
import { reactive, readonly } from 'vue'
import { type ErrorText, errorText } from '../api/error-text.ts'

export function useAction<Args extends unknown[], T>(run: (...args: Args) => Promise<T>) {
  const state = reactive({ running: false, error: null as ErrorText | null, cause: null as unknown })
  return {
    state: readonly(state),
    /** Resolves with undefined when it failed: the failure is in `state`. */
    async run(...args: Args): Promise<T | undefined> {
      if (state.running) return undefined
      Object.assign(state, { running: true, error: null, cause: null })
      try {
        return await run(...args)
      } catch (error) {
        Object.assign(state, { error: errorText(error), cause: error })
        return undefined
      } finally {
        state.running = false
      }
    },
    reset(): void {
      Object.assign(state, { error: null, cause: null })
    },
  }
}
