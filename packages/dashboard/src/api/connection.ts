/**
 * Whether the broker answers. Learnt from every request the page makes, so it costs none of its own.
 *
 *   online ──request fails──▶ offline ──any answer──▶ online
 *
 * An error answer is an answer: a broker that says 503 is there.
 */
import { reactive, readonly } from 'vue'
import { signInNeeded } from './session.ts'

const state = reactive<{ online: boolean; offlineSince: number | null; lastAnswerAt: number | null }>({
  online: true,
  offlineSince: null,
  lastAnswerAt: null,
})

export const connection = readonly(state)

export function watchAnswers(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return async (...request) => {
    try {
      const response = await fetch(...request)
      state.online = true
      state.offlineSince = null
      state.lastAnswerAt = Date.now()
      if (response.status === 401) signInNeeded.value = true
      return response
    } catch (error) {
      // Given up by ourselves: says nothing about the broker.
      if (request[1]?.signal?.aborted !== true || isTimeout(request[1].signal.reason)) {
        state.online = false
        state.offlineSince ??= Date.now()
      }
      throw error
    }
  }
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.message === 'timeout'
}
