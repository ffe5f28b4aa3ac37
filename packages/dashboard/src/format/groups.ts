/** Names of consumer groups as people read them. */

/** What the broker calls the position that consumers without a group share. */
export const QUEUE_MODE = '__QUEUE_MODE__'

export function groupLabel(group: string): string {
  return group === QUEUE_MODE ? 'Queue mode' : group
}
