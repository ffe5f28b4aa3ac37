/** What all requests of one server share. Made by the server, handed to the routes that need it. */
import type { Engine } from '../engine/engine.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { Cors } from './cors.ts'
import type { Exchange } from './exchange.ts'
import type { HttpCounters } from './http-counters.ts'
import type { ProcessGauges } from './process-gauges.ts'
import type { HttpLimits, HttpSettings } from './settings.ts'
import type { UnreadAnswers } from './unread-answers.ts'

export interface HttpContext {
  readonly engine: Engine
  readonly settings: HttpSettings
  readonly limits: HttpLimits
  readonly cors: Cors
  readonly counters: HttpCounters
  readonly gauges: ProcessGauges
  /** Bytes of request bodies in memory. */
  readonly bodies: ByteBudget
  /** Bytes of answers not taken yet. */
  readonly answers: ByteBudget
  readonly unread: UnreadAnswers
  /** Requests whose answer has not left yet. */
  readonly running: Set<Exchange>
  /** Called when the last of them is done while the server is stopping. */
  idle: (() => void) | null
  /** True from the moment the server was told to close. */
  stopping: boolean
}
