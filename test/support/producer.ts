/**
 * A producer as the guarantees mean it: it sends the next message when the last one was acknowledged, repeats what was
 * not (with the same transactionIds), and goes from instance to instance as a load balancer would.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { ItemResult } from './api.ts'
import type { Instance } from './instance.ts'
import type { Recorder } from './recorder.ts'

/** Where pushes go. */
export type Target = Pick<Instance, 'api' | 'url' | 'isRunning'>

export interface ProducerOptions {
  readonly name: string
  readonly queue: string
  readonly partition: string
  /** Each push goes to the next one that runs. */
  readonly instances: readonly Target[]
  readonly recorder: Recorder
  /** Messages a push. */
  readonly batch?: number
  /** Payload bytes beside the numbers. */
  readonly padding?: number
}

/** A breath between two pushes: the machine is shared, and no test needs more messages than it can count quickly. */
const PACE_MS = 2
/** After a refusal: real clients wait a second, this one wants to be there when the answer changes. */
const RETRY_MS = 20

export class Producer {
  readonly #options: ProducerOptions
  #stopped = false
  #sequence = 0
  #turn = 0
  #running: Promise<void> = Promise.resolve()

  constructor(options: ProducerOptions) {
    this.#options = options
  }

  start(): this {
    this.#running = this.#run()
    this.#running.catch(() => {})
    return this
  }

  /** The message under way is still finished, or given up when nobody answers. Rejects if an answer was wrong. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    const { batch = 1, name, padding = 0, partition, queue } = this.#options
    while (!this.#stopped) {
      const items = Array.from({ length: batch }, () => {
        const sequence = this.#sequence++
        const payload = { producer: name, sequence, padding: 'x'.repeat(padding) }
        return { queue, partition, transactionId: `${name}-${sequence}`, payload }
      })
      for (const item of items) this.#options.recorder.attempt(item.transactionId)
      while (!(await this.#send(items))) {
        if (this.#stopped) return
        await pause(RETRY_MS)
      }
      await pause(PACE_MS)
    }
  }

  async #send(items: { queue: string; partition: string; transactionId: string; payload: object }[]): Promise<boolean> {
    const { instances, name, partition, recorder } = this.#options
    const running = instances.filter((instance) => instance.isRunning)
    const instance = running[this.#turn++ % Math.max(1, running.length)]
    if (instance === undefined) return false
    const sentAtMs = Date.now()
    const started = performance.now()
    const answer = await instance.api.push(items).catch(() => null)
    const tookMs = performance.now() - started
    recorder.answer({ status: answer?.status ?? 0, code: answer?.body?.code ?? null, tookMs, sentAtMs })
    if (answer === null || answer.status === 503 || answer.status === 507) return false
    if (answer.status !== 201) throw new Error(`a push was answered ${answer.status} ${JSON.stringify(answer.body)}`)
    const results = answer.body as ItemResult[]
    const failed = results.find((result) => result.status === 'failed')
    if (failed !== undefined) {
      if (failed.code !== 'BUFFER_FULL' && failed.code !== 'BUFFER_UNAVAILABLE')
        throw new Error(`a message was refused: ${JSON.stringify(failed)}`)
      return false
    }
    const first = Number(items[0]!.transactionId.slice(name.length + 1))
    for (const { index, status, transactionId } of results) {
      if (status === 'failed') continue
      const place = { producer: name, sequence: first + index, partition, transactionId }
      recorder.acknowledge({ ...place, status, instance: instance.url, sentAtMs, answeredAtMs: Date.now() })
    }
    return true
  }
}

/** `count` producers with a partition each, all started. */
export function startProducers(count: number, options: Omit<ProducerOptions, 'name' | 'partition'>): Producer[] {
  return Array.from({ length: count }, (_, index) =>
    new Producer({ ...options, name: `producer-${index}`, partition: `partition-${index}` }).start(),
  )
}

export async function stopAll(producers: readonly { stop(): Promise<void> }[]): Promise<void> {
  await Promise.all(producers.map((producer) => producer.stop()))
}
