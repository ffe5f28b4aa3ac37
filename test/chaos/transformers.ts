/**
 * Consumers that work in transactions: what they take from one queue they ack in the same breath as they push its
 * successor into another. The target does not deduplicate, so a successor that is there twice, or not at all, was
 * written by a transaction that was not one.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { pop, type ReaderOptions } from './readers.ts'

export interface TransformerOptions extends Omit<ReaderOptions, 'habit'> {
  readonly target: string
}

/** Windows leave little time for transactions: what can be done in one is. */
const BATCH_MAX = 100
const RETRY_MS = 100
/** A lease may run out while a window refuses transactions; then the messages come again. */
const LEASE_SHARE = 0.8

/** The id of the message that follows from another. */
export const successorOf = (id: string): string => `after-${id}`

export class Transformer {
  readonly #options: TransformerOptions
  #main: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(options: TransformerOptions) {
    this.#options = options
  }

  start(): this {
    this.#main = this.#run()
    return this
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#main
  }

  async #run(): Promise<void> {
    const { random, traffic } = this.#options
    while (!this.#stopped) {
      const index = traffic.running(random)
      if (index === null) {
        await pause(RETRY_MS)
        continue
      }
      const popped = await pop(this.#options, index)
      if (popped === null) continue
      for (let at = 0; at < popped.messages.length && !this.#stopped; at += BATCH_MAX) {
        const messages = popped.messages.slice(at, at + BATCH_MAX)
        const deliveries = popped.deliveries.slice(at, at + BATCH_MAX)
        await this.#move({ messages, deliveries })
      }
    }
  }

  async #move({ deliveries, messages }: NonNullable<Awaited<ReturnType<typeof pop>>>): Promise<void> {
    const { group, history, instances, leaseMs, random, target, traffic } = this.#options
    const endsAtMs = deliveries[0]!.claimedAtMs + leaseMs * LEASE_SHARE
    while (!this.#stopped && history.nowMs < endsAtMs) {
      const index = traffic.pick(random)
      if (index === null) {
        await pause(RETRY_MS)
        continue
      }
      const successors = messages.map(({ partition, transactionId }) =>
        history.message(successorOf(transactionId), target, partition),
      )
      const tries = successors.map((message) => history.send(message, index))
      const operations = [
        ...messages.map(({ leaseId, partitionId, transactionId }) => ({
          type: 'ack',
          transactionId,
          partitionId,
          leaseId,
          consumerGroup: group,
          status: 'completed',
        })),
        {
          type: 'push',
          items: successors.map(({ id, partition }) => ({
            queue: target,
            partition,
            transactionId: id,
            payload: { id },
          })),
        },
      ]
      const now = history.nowMs
      for (const delivery of deliveries) delivery.releasedAtMs = Math.min(delivery.releasedAtMs, now)
      history.did('transaction')
      const answer = await traffic.through(index, () =>
        instances[index]!.api.post('/api/v1/transaction', { operations }).catch(() => null),
      )
      const outcome =
        answer === null ? 'broken' : answer.status === 200 ? 'queued' : `${answer.status} ${answer.body?.code}`
      for (const [at, attempt] of tries.entries()) history.answer(successors[at]!, attempt, outcome)
      if (answer?.status === 200) {
        for (const delivery of deliveries) delivery.completedAtMs = history.nowMs
        return
      }
      // The lease has gone to somebody else, or the answer of a commit was lost: whoever gets them next will see.
      if (answer?.status === 409) return
      if (answer !== null && answer.status !== 503)
        history.wrongAnswers.push(`a transaction was answered ${answer.status} ${JSON.stringify(answer.body)}`)
      await pause(RETRY_MS)
    }
  }
}
