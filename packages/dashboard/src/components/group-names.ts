/** How consumer groups and their states are called on the page. */

/** The group of consumers that name none. */
export const QUEUE_MODE = '__QUEUE_MODE__'

export function groupLabel(group: string): string {
  return group === QUEUE_MODE ? 'Queue mode' : group
}

export interface GroupStateText {
  readonly label: string
  readonly tone: 'neutral' | 'good' | 'warn' | 'bad'
  readonly help: string
}

export const GROUP_STATES: Readonly<Record<string, GroupStateText>> = {
  Stable: { label: 'Stable', tone: 'good', help: 'Its oldest unfinished message is at most 5 minutes old' },
  Lagging: { label: 'Lagging', tone: 'bad', help: 'Its oldest unfinished message is older than 5 minutes' },
  Dead: { label: 'Dead', tone: 'neutral', help: 'It never completed a message and holds none' },
}

export function groupState(state: string): GroupStateText {
  return GROUP_STATES[state] ?? { label: state, tone: 'neutral', help: state }
}

/** Where the group began, as far as that was recorded. */
export function subscriptionText(mode: string | null): string {
  if (mode === 'new') return 'new messages'
  if (mode === 'timestamp') return 'from a time'
  return 'all messages'
}
