/** The whole tree. */
import type { Spec } from '../command/spec.ts'
import { ACK } from './ack.ts'
import { MAINTENANCE } from './maintenance.ts'
import { PING, VERSION } from './ping.ts'
import { POP } from './pop.ts'
import { PUSH } from './push.ts'
import { QUEUE } from './queue.ts'
import { TAIL } from './tail.ts'

export const COMMANDS: readonly Spec[] = [PING, VERSION, QUEUE, PUSH, POP, ACK, TAIL, MAINTENANCE]
