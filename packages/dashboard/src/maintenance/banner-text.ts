/** What the banner says while something is not as usual. Pure; null is unknown. */
import { type Maybe, plural } from '../format/numbers.ts'
import { duration } from '../format/times.ts'
import type { Stage } from './stages.ts'

export interface BannerFacts {
  readonly stage: Stage
  readonly bufferedMessages: Maybe
  readonly reason: string | null
  readonly etaSeconds: number | null
}

/** null = all is as usual. */
export function bannerText(facts: BannerFacts): { readonly title: string; readonly text: string } | null {
  const { stage, bufferedMessages, etaSeconds, reason } = facts
  const buffered = `${plural(bufferedMessages, 'message')} buffered`
  switch (stage) {
    case 'entering':
      return {
        title: 'Maintenance is on, not safe to migrate yet.',
        text: `${buffered}. Waiting for writes that began before.`,
      }
    case 'safe':
      return {
        title: 'Maintenance is on: safe to migrate.',
        text: `${buffered}${reason ? ` · ${reason}` : ''}`,
      }
    case 'open':
      return { title: 'Maintenance is on.', text: `${buffered}.` }
    case 'draining': {
      const left = etaSeconds === null ? '' : `, about ${duration(etaSeconds * 1_000)}`
      return { title: 'Draining the buffers.', text: `${plural(bufferedMessages, 'message')} left${left}.` }
    }
    case 'outage': {
      const waiting = plural(bufferedMessages, 'message waits', 'messages wait')
      const all = bufferedMessages === 1 ? 'it' : 'they'
      return {
        title: 'PostgreSQL is not reachable.',
        text: `${waiting} on disk; ${all} and all new ones are stored by themselves when it is back.`,
      }
    }
    default:
      return null
  }
}
