/**
 * The one clock of the page. Everything that polls or shows an age hangs on it; it stands still while nobody can see the
 * page, and beats at once when it is seen again.
 */
import { getCurrentScope, onScopeDispose, readonly, ref } from 'vue'

const BEAT_MS = 500

const now = ref(Date.now())
const listeners = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | undefined

function beat(): void {
  now.value = Date.now()
  for (const listener of listeners) listener()
}

function follow(): void {
  clearInterval(timer)
  timer = undefined
  if (document.hidden || listeners.size === 0) return
  beat()
  timer = setInterval(beat, BEAT_MS)
}

document.addEventListener('visibilitychange', follow)

/** Calls on every beat until the component is gone (or the returned function is called). */
export function onBeat(listener: () => void): () => void {
  listeners.add(listener)
  if (timer === undefined) follow()
  const stop = (): void => {
    listeners.delete(listener)
    if (listeners.size === 0) follow()
  }
  if (getCurrentScope() !== undefined) onScopeDispose(stop)
  return stop
}

/** The present, to the half second. */
export function useNow(): Readonly<typeof now> {
  onBeat(() => {})
  return readonly(now) as Readonly<typeof now>
}
