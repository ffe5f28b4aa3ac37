/** Names to offer in filters, as the broker lists them. A few of each: whoever wants another types on. */
import { groupLabel } from '../components/group-names.ts'
import { admin } from './queen.ts'

const OFFERED_MAX = 20

interface Suggestion {
  readonly value: string
  readonly label?: string
}

export async function suggestQueues(part: string, signal: AbortSignal): Promise<Suggestion[]> {
  const { queues } = await admin.listQueues({ search: part || undefined, limit: OFFERED_MAX }, { signal })
  return queues.map(({ name }) => ({ value: name }))
}

/** Of one queue; without it there are too many that mean nothing. */
export async function suggestPartitions(queue: string, part: string, signal: AbortSignal): Promise<Suggestion[]> {
  if (queue === '') return []
  const params = { queue, search: part || undefined, limit: OFFERED_MAX }
  const { partitions } = await admin.getPartitions(params, { signal })
  return partitions.map(({ name }) => ({ value: name }))
}

export async function suggestGroups(queue: string, part: string, signal: AbortSignal): Promise<Suggestion[]> {
  const groups = await admin.listConsumerGroups({ signal })
  const names = groups.filter((each) => queue === '' || each.queueName === queue).map(({ name }) => name)
  return containing([...new Set(names)], part).map((name) => ({ value: name, label: groupLabel(name) }))
}

export async function suggestNamespaces(part: string, signal: AbortSignal): Promise<Suggestion[]> {
  const { namespaces } = await admin.getNamespaces({ signal })
  return containing(
    namespaces.map(({ namespace }) => namespace),
    part,
  ).map((name) => ({ value: name }))
}

export async function suggestTasks(part: string, signal: AbortSignal): Promise<Suggestion[]> {
  const { tasks } = await admin.getTasks({ signal })
  return containing(
    tasks.map(({ task }) => task),
    part,
  ).map((name) => ({ value: name }))
}

function containing(names: readonly string[], part: string): string[] {
  const wanted = part.toLowerCase()
  return names.filter((name) => name.toLowerCase().includes(wanted)).slice(0, OFFERED_MAX)
}
