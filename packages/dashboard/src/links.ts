/** Addresses of views that others point to, in one place: names are encoded here. */
import type { RouteLocationRaw } from 'vue-router'

export type QueueTab = 'overview' | 'partitions' | 'groups' | 'messages' | 'settings'

export function queueLink(queue: string, tab: QueueTab = 'overview'): RouteLocationRaw {
  return { name: 'queue', params: { queue }, query: tab === 'overview' ? {} : { tab } }
}

/** With `queue`: that queue's partitions are chosen there. */
export function groupLink(group: string, queue?: string): RouteLocationRaw {
  return { name: 'consumer-group', params: { group }, query: queue === undefined ? {} : { queue } }
}

/** Of any age: what waits or has failed may be older than the hour that the list begins with. */
export function messagesLink(filters: { queue: string; partition?: string; status?: string }): RouteLocationRaw {
  return { path: '/messages', query: { ...filters, range: '' } }
}

export function messageLink(partitionId: string, transactionId: string): RouteLocationRaw {
  return { path: `/messages/${encodeURIComponent(partitionId)}/${encodeURIComponent(transactionId)}` }
}

export function deadLettersLink(queue: string): RouteLocationRaw {
  return { path: '/dead-letters', query: { queue } }
}
