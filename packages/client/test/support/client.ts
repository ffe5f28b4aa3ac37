/** A client for tests: no signal handlers, retries without long waits, everything it says kept. Closed after the test. */
import { onTestFinished } from 'vitest'
import type { QueenEvent } from '../../src/index.ts'
import { Queen, type QueenOptions } from '../../src/index.ts'

export interface TestClient {
  queen: Queen
  events: QueenEvent[]
  /** Log lines, with their level in front. */
  lines: string[]
  eventTypes(): string[]
  /** Resolves when an event of this type was there this often. */
  event(type: QueenEvent['type'], times?: number): Promise<QueenEvent>
}

export function testClient(url: string | string[], options: QueenOptions = {}): TestClient {
  const events: QueenEvent[] = []
  const lines: string[] = []
  const waiting = new Set<() => void>()
  const line = (level: string) => (text: string) => void lines.push(`${level} ${text}`)
  const queen = new Queen({
    urls: [url].flat(),
    handleSignals: false,
    retryDelayMillis: 2,
    retryMaxDelayMillis: 8,
    logger: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
    ...options,
    hooks: {
      ...options.hooks,
      event(event) {
        events.push(event)
        options.hooks?.event?.(event)
        for (const wake of waiting) wake()
      },
    },
  })
  onTestFinished(async () => {
    await queen.close({ timeoutMillis: 50 })
  })
  return {
    queen,
    events,
    lines,
    eventTypes: () => events.map(({ type }) => type),
    event: (type, times = 1) =>
      new Promise((resolve) => {
        const wake = () => {
          const found = events.filter((event) => event.type === type)[times - 1]
          if (found === undefined) return
          waiting.delete(wake)
          resolve(found)
        }
        waiting.add(wake)
        wake()
      }),
  }
}

/** The error a promise rejects with. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into it
export async function rejection(promise: PromiseLike<unknown>): Promise<any> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('The promise did not reject')
}
