/** The whole tree, in the order of its help. */
import type { Spec } from '../command/spec.ts'
import { ACK } from './ack.ts'
import { ANALYTICS, METRICS } from './analytics.ts'
import { APPLY } from './apply.ts'
import { BENCH } from './bench.ts'
import { BUFFER } from './buffer.ts'
import { COMPLETION, completeCommand } from './completion.ts'
import { CONFIG } from './config.ts'
import { CONSUMER_GROUP, REPLAY } from './consumer-group.ts'
import { DLQ } from './dead-letters.ts'
import { HELP } from './help.ts'
import { LOGIN, LOGOUT } from './login.ts'
import { MAINTENANCE } from './maintenance.ts'
import { MESSAGES } from './messages.ts'
import { PARTITION_GROUP } from './partition.ts'
import { PING, VERSION } from './ping.ts'
import { POP } from './pop.ts'
import { PUSH } from './push.ts'
import { QUEUE } from './queue.ts'
import { LAG, NAMESPACE_GROUP, STATUS, TASK_GROUP } from './status.ts'
import { TAIL } from './tail.ts'
import { TOP } from './top.ts'
import { TRACES } from './traces.ts'
import { LEASE, TX } from './transaction.ts'

export interface Section {
  readonly heading: string
  readonly commands: readonly Spec[]
}

export const SECTIONS: readonly Section[] = [
  { heading: 'At a glance', commands: [PING, STATUS, LAG, TOP, VERSION] },
  { heading: 'Send and read', commands: [PUSH, POP, TAIL, ACK, TX, LEASE] },
  { heading: 'Maintenance windows', commands: [MAINTENANCE, BUFFER] },
  {
    heading: 'What there is',
    commands: [
      QUEUE,
      PARTITION_GROUP,
      MESSAGES,
      CONSUMER_GROUP,
      REPLAY,
      DLQ,
      NAMESPACE_GROUP,
      TASK_GROUP,
      TRACES,
      APPLY,
    ],
  },
  { heading: 'Numbers', commands: [METRICS, ANALYTICS, BENCH] },
  {
    heading: 'queenctl itself',
    commands: [CONFIG, LOGIN, LOGOUT, COMPLETION, HELP, completeCommand(() => COMMANDS)],
  },
]
export const COMMANDS: readonly Spec[] = SECTIONS.flatMap((section) => section.commands)
