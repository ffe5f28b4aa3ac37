/** OpenTelemetry's messaging attributes of what the client does. */
import type { Attributes } from './hooks.ts'

export type OperationType = 'send' | 'receive' | 'process' | 'settle'

export interface Destination {
  type?: OperationType | undefined
  queue?: string | null | undefined
  consumerGroup?: string | null | undefined
  messageCount?: number | undefined
}

export function messagingAttributes(destination: Destination, url?: string): Attributes {
  const attributes: Attributes = { 'messaging.system': 'queen' }
  if (destination.queue) attributes['messaging.destination.name'] = destination.queue
  if (destination.type !== undefined) attributes['messaging.operation.type'] = destination.type
  if (destination.messageCount !== undefined) attributes['messaging.batch.message_count'] = destination.messageCount
  if (destination.consumerGroup) attributes['messaging.consumer.group.name'] = destination.consumerGroup
  if (url !== undefined) {
    const { hostname, port, protocol } = new URL(url)
    attributes['server.address'] = hostname
    attributes['server.port'] = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
  }
  return attributes
}
