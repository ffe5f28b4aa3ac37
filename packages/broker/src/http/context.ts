/** What all requests of one server share. Made by the server, handed to the routes that need it. */
import { Arrivals } from '../engine/arrivals.ts'
import type { Engine } from '../engine/engine.ts'
import { GatheredWarning } from '../engine/gathered-warning.ts'
import { ByteBudget } from './byte-budget.ts'
import { Cors } from './cors.ts'
import type { Exchange } from './exchange.ts'
import { HttpCounters } from './http-counters.ts'
import { ProcessGauges } from './process-gauges.ts'
import { HTTP_LIMITS, type HttpLimits, type HttpSettings } from './settings.ts'
import { UnreadAnswers } from './unread-answers.ts'

export interface HttpContext {
  readonly engine: Engine
  readonly settings: HttpSettings
  readonly limits: HttpLimits
  readonly cors: Cors
  readonly counters: HttpCounters
  readonly gauges: ProcessGauges
  /** Bytes of request bodies in memory. */
  readonly bodies: ByteBudget
  readonly unread: UnreadAnswers
  /** Messages that autoAck completed and nobody got. */
  readonly lost: GatheredWarning
  /** Whose answer has not left yet. */
  readonly running: Arrivals<Exchange>
  /** Called when the last of them is done while the server is stopping. */
  idle: (() => void) | null
  /** True from the moment the server was told to close. */
  stopping: boolean
}

export function httpContext(engine: Engine, settings: HttpSettings): HttpContext {
  const limits = { ...HTTP_LIMITS, ...settings.limits }
  return {
    engine,
    settings,
    limits,
    cors: new Cors(settings.corsOrigins),
    counters: new HttpCounters(),
    gauges: new ProcessGauges(),
    bodies: new ByteBudget(limits.bodiesBytesMax),
    unread: new UnreadAnswers(
      new ByteBudget(limits.answersBytesMax),
      limits.answerStallTimeMs,
      limits.answerSlowTimeMs,
    ),
    lost: new GatheredWarning(settings.log, 'autoAck completed messages of a consumer that had gone'),
    running: new Arrivals(),
    idle: null,
    stopping: false,
  }
}
