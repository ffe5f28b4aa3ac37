/**
 * What every part of one client shares. Built once by Queen; parts get it whole and use what they need.
 */
import type { Buffers } from './buffer/buffers.ts'
import type { Emit } from './observe/hooks.ts'
import type { Log } from './observe/logger.ts'
import type { Settings } from './options.ts'
import type { Hands } from './settle/hands.ts'
import type { Lifecycle } from './shutdown/lifecycle.ts'
import type { Send } from './transport/call.ts'

export interface ClientCore {
  readonly settings: Settings
  readonly log: Log
  readonly emit: Emit
  readonly send: Send
  readonly lifecycle: Lifecycle
  readonly buffers: Buffers
  /** Messages that a consumer of this client holds, and which of them are settled. */
  readonly hands: Hands
}
