/** Records a step of a message's way. Never throws and never rejects: a lost trace must not fail a message. */
import type { ClientCore } from '../client-core.ts'
import { isRecord } from '../errors/from-answer.ts'
import { isQueenError } from '../errors/queen-error.ts'
import type { Message, TraceResult } from '../types/message.ts'

const DEFAULT_EVENT_TYPE = 'info'

export async function trace(core: ClientCore, message: Message, input: unknown): Promise<TraceResult> {
  try {
    core.lifecycle.assertAlive()
    if (!isRecord(input) || typeof input.data !== 'object' || input.data === null) {
      return fail(core, 'Trace data must be an object', 'USAGE')
    }
    const { body } = await core.send({
      operation: 'Message.trace',
      method: 'POST',
      path: '/api/v1/traces',
      body: core.settings.json.stringify({
        transactionId: message.transactionId,
        partitionId: message.partitionId,
        consumerGroup: message.consumerGroup,
        traceNames: traceNames(input.traceName),
        eventType: typeof input.eventType === 'string' && input.eventType !== '' ? input.eventType : DEFAULT_EVENT_TYPE,
        data: input.data,
      }),
      destination: { queue: message.queue, consumerGroup: message.consumerGroup },
      messages: () => [{ transactionId: message.transactionId, id: message.id }],
    })
    return isRecord(body) ? { ...body, success: body.success !== false } : { success: true }
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    return fail(core, text, isQueenError(error) ? error.code : undefined)
  }
}

function fail(core: ClientCore, error: string, code: string | undefined): TraceResult {
  core.log.error('Message.trace', { error, code })
  return { success: false, error, ...(code === undefined ? {} : { code }) }
}

function traceNames(names: unknown): string[] | null {
  const list = (Array.isArray(names) ? names : [names]).filter((name) => typeof name === 'string' && name !== '')
  return list.length === 0 ? null : (list as string[])
}
