/** Creating, configuring and deleting queues over the wire. */
import type { ClientCore } from '../client-core.ts'
import { QueenError } from '../errors/queen-error.ts'
import { segment } from '../transport/path.ts'
import type { QueueConfig, QueueConfigured, QueueDeleted } from '../types/queue.ts'

export interface ConfigureRequest {
  readonly namespace: string | null
  readonly task: string | null
  /** null: none are sent, an existing queue keeps its own. */
  readonly options: Partial<QueueConfig> | null
}

export async function configureQueue(
  core: ClientCore,
  queue: string | null,
  { namespace, task, options }: ConfigureRequest,
  call: { signal?: AbortSignal | undefined; timeoutMillis?: number | undefined } = {},
): Promise<QueueConfigured> {
  core.lifecycle.assertOpen()
  const { body } = await core.send({
    ...call,
    operation: 'QueueBuilder.create',
    method: 'POST',
    path: '/api/v1/configure',
    body: JSON.stringify({ queue, namespace, task, ...(options === null ? {} : { options }) }),
    destination: { queue },
  })
  return body as QueueConfigured
}

/** A queue that does not exist is no error: it is gone, as asked. */
export async function deleteQueue(core: ClientCore, queue: string): Promise<QueueDeleted> {
  core.lifecycle.assertOpen()
  try {
    const { body } = await core.send({
      operation: 'QueueBuilder.delete',
      method: 'DELETE',
      path: `/api/v1/resources/queues/${segment(queue)}`,
      destination: { queue },
    })
    return body as QueueDeleted
  } catch (error) {
    if (!(error instanceof QueenError) || error.status !== 404) throw error
    return { deleted: true, existed: false, queue }
  }
}
