/**
 * What happens when a view's file does not come: the broker was replaced by one with another build (the page is loaded
 * anew, at the address that was wanted), or it does not answer (then it is said, and nothing is lost).
 */
import type { Router } from 'vue-router'
import { toast } from './toasts.ts'

/** Once: a file that is missing in the new build too must not reload the page for ever. */
const RELOADED = 'queen.reloaded'
const AGAIN_AFTER_MS = 30_000

export function reloadForMissingViews(router: Router): void {
  router.onError(async (_error, to) => {
    const answers = await window.fetch('/', { method: 'HEAD' }).then(
      ({ ok }) => ok,
      () => false,
    )
    if (answers && mayReload()) window.location.assign(to.fullPath)
    else toast('This view could not be loaded. Try again when the broker answers.', 'bad')
  })
}

function mayReload(): boolean {
  try {
    const last = Number(sessionStorage.getItem(RELOADED) ?? 0)
    if (Date.now() - last < AGAIN_AFTER_MS) return false
    sessionStorage.setItem(RELOADED, String(Date.now()))
    return true
  } catch {
    return false
  }
}
