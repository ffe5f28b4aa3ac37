/** What each stage is called and looks like, everywhere. */
/**
 * What a person sees it as: the broker's phase, with the way into a window named. `open` = a window of which we may not
 * know whether it is safe to migrate; `outage` = PostgreSQL is away and nobody opened a window.
 */
export type Stage = 'normal' | 'entering' | 'safe' | 'open' | 'draining' | 'outage' | 'unknown'

export const STAGES: Readonly<
  Record<
    Stage,
    {
      readonly label: string
      readonly tone: 'neutral' | 'good' | 'warn' | 'bad' | 'info' | 'window'
      readonly text: string
    }
  >
> = {
  normal: { label: 'Normal', tone: 'good', text: 'Messages go straight to PostgreSQL.' },
  entering: {
    label: 'Entering',
    tone: 'window',
    text: 'The switch is on. New messages go to disk; writes that began before are still ending.',
  },
  safe: {
    label: 'Safe to migrate',
    tone: 'window',
    text: 'No instance can write a message to PostgreSQL. Migrate, upgrade or restart it now; producers notice nothing.',
  },
  open: {
    label: 'Maintenance',
    tone: 'window',
    text: 'A window is open: new messages go to disk and are stored when it is closed.',
  },
  draining: {
    label: 'Draining',
    tone: 'info',
    text: 'The switch is off. Buffered messages are being stored in their order; new ones queue up behind them.',
  },
  outage: {
    label: 'Outage',
    tone: 'bad',
    text: 'PostgreSQL is not reachable. New messages are kept on disk and stored by themselves when it is back.',
  },
  unknown: { label: 'Unknown', tone: 'neutral', text: 'The broker has not said yet.' },
}
