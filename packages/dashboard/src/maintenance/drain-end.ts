/**
 * What is said when a drain has ended. Pure.
 *
 * Never claims that everything is stored unless that is known: the window's own counts tell what became of its messages,
 * the status what waits set aside now, also from earlier. null is unknown.
 */
import { count, type Maybe, plural } from '../format/numbers.ts'

/** Of the window that has drained. */
export interface DrainedWindow {
  readonly drainedMessages: number | null
  readonly quarantinedMessages: number | null
}

const DIRECT = 'Messages go straight to PostgreSQL again.'

export function drainEndText(window: DrainedWindow | null, setAsideNow: Maybe): string {
  const setAside = window?.quarantinedMessages ?? null
  if (setAside === null) {
    const now = typeof setAsideNow === 'number' && setAsideNow > 0 ? ` ${waiting(setAsideNow)}.` : ''
    return `The buffers are empty.${now} ${DIRECT}`
  }
  if (setAside > 0) {
    const stored = `${plural(window?.drainedMessages ?? Number.NaN, 'message was', 'messages were')} stored`
    return `${stored}, ${count(setAside)} could not be stored and ${setAside === 1 ? 'was' : 'were'} set aside. ${DIRECT}`
  }
  const earlier = typeof setAsideNow === 'number' && setAsideNow > 0 ? ` ${waiting(setAsideNow)} from earlier.` : ''
  return `Every buffered message is stored.${earlier} ${DIRECT}`
}

const waiting = (messages: number): string =>
  `${plural(messages, 'message')} that could not be stored ${messages === 1 ? 'is' : 'are'} set aside`
