/** `ping` and `version`: is somebody there, and who. */
import { type Health, isQueenError } from '@queen/client'
import { EXIT } from '../command/exit-codes.ts'
import { duration, toggle } from '../command/flag.ts'
import type { CommandSpec } from '../command/spec.ts'
import type { Cell } from '../output/table.ts'
import { age } from '../output/values.ts'
import type { Session } from '../session.ts'

export const PING: CommandSpec = {
  name: 'ping',
  summary: 'ask the broker whether it is healthy',
  about: 'Asks one broker for its health. Ends with 0 only when it is healthy; degraded and unhealthy end with 2.',
  flags: [duration('--timeout <duration>', 'longest time to wait for the answer', '5s')],
  examples: ['ping', 'ping --url https://queen.example.com --timeout 2s'],
  async run(session, call) {
    const queen = await session.connect({ retryAttempts: 1, timeoutMs: Math.max(1, call.numberOf('timeout')) })
    const startedAtMs = performance.now()
    const health = await healthOf(() => queen.admin.health({ signal: session.signal }))
    const latencyMs = performance.now() - startedAtMs
    const latency = latencyMs < 10 ? `${latencyMs.toFixed(1)}ms` : age(latencyMs)
    const phase: Cell = typeof health.phase === 'string' ? health.phase : null
    await session.out.record({ ...health, latencyMs: Math.round(latencyMs * 10) / 10 }, [
      ['Status', health.status],
      ['Database', health.database],
      ['Version', health.version],
      ['Phase', phase],
      ['Latency', latency],
      ...(health.warnings ?? []).map(({ message }): [string, Cell] => ['Warning', message]),
    ])
    return health.status === 'healthy' ? EXIT.done : EXIT.broker
  },
}

/** An unhealthy broker answers with an error that carries the same body. */
async function healthOf(ask: () => Promise<Health>): Promise<Health> {
  try {
    return await ask()
  } catch (error) {
    const body = isQueenError(error) ? (error.details as Partial<Health> | null | undefined) : null
    if (typeof body?.status === 'string') return body as Health
    throw error
  }
}

export const VERSION: CommandSpec = {
  name: 'version',
  summary: 'versions of queenctl and of the broker',
  flags: [toggle('--short', 'only that of queenctl; asks nobody')],
  examples: ['version', 'version --short'],
  async run(session, call) {
    if (call.on('short')) {
      await session.out.line(session.version)
      return EXIT.done
    }
    const broker = await brokerVersion(session)
    const answer = { client: session.version, broker: broker.version, problem: broker.problem }
    await session.out.record(answer, [
      ['queenctl', session.version],
      ['broker', broker.version ?? (broker.problem === null ? null : `unknown: ${broker.problem}`)],
    ])
    return broker.problem === null ? EXIT.done : EXIT.broker
  },
}

async function brokerVersion(session: Session): Promise<{ version: string | null; problem: string | null }> {
  const queen = await session.connect({ retryAttempts: 1 })
  try {
    const health = await healthOf(() => queen.admin.health({ signal: session.signal }))
    return { version: health.version, problem: null }
  } catch (error) {
    if (!isQueenError(error)) throw error
    return { version: null, problem: error.message }
  }
}
