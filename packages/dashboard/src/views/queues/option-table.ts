/**
 * The 16 options of a queue as an operator reads them: what each is called, what it does, in which unit, and what its
 * extremes mean. Types, ranges and defaults come from the protocol, so they cannot differ from what the broker takes.
 */
import { QUEUE_OPTIONS, type QueueOptionName, type QueueOptionSpec } from '@queen/protocol'
import { plural, UNKNOWN } from '../../format/numbers.ts'
import { duration } from '../../format/times.ts'

export interface OptionText {
  readonly name: QueueOptionName
  readonly label: string
  readonly help: string
  readonly unit?: 's' | 'ms' | 'messages'
  /** What 0 means, where it is no quantity. */
  readonly zero?: string
  /** Has an effect only while this is on. */
  readonly needs?: QueueOptionName
}

export interface OptionSection {
  readonly title: string
  readonly text: string
  readonly options: readonly OptionText[]
}

export const OPTION_SECTIONS: readonly OptionSection[] = [
  {
    title: 'Delivery',
    text: 'How consumers get messages, and what happens when they fail.',
    options: [
      {
        name: 'leaseTime',
        label: 'Lease time',
        unit: 's',
        zero: '60 s',
        help: 'How long a consumer has for the messages of one pop. What is not acknowledged by then is delivered again.',
      },
      {
        name: 'retryLimit',
        label: 'Retry limit',
        zero: 'first failure',
        help: 'Failed acknowledgements of a message before it goes to the dead letters. With 0 the first failure does.',
      },
      {
        name: 'retryDelay',
        label: 'Retry delay',
        unit: 'ms',
        zero: 'at once',
        help: 'After a failure the partition is withheld from the group for this long.',
      },
      {
        name: 'delayedProcessing',
        label: 'Delivery delay',
        unit: 's',
        zero: 'at once',
        help: 'A message can be delivered only this long after it was stored; those behind it in its partition wait too.',
      },
      {
        name: 'windowBuffer',
        label: 'Quiet window',
        unit: 's',
        zero: 'off',
        help: 'A partition is offered only when its newest message is at least this old: every push starts the wait anew.',
      },
      {
        name: 'priority',
        label: 'Priority',
        help: 'Where one pop serves a namespace or task, queues with the higher number are served first.',
      },
    ],
  },
  {
    title: 'Intake',
    text: 'What is accepted from producers.',
    options: [
      {
        name: 'dedupWindowSeconds',
        label: 'Deduplication window',
        unit: 's',
        zero: 'off',
        help: 'A transaction id that was accepted in the same partition within this time is stored only once.',
      },
      {
        name: 'maxSize',
        label: 'Size limit',
        unit: 'messages',
        zero: 'unlimited',
        help: 'Most messages that are not yet completed by every group. Beyond it pushes are refused with QUEUE_FULL.',
      },
      {
        name: 'encryptionEnabled',
        label: 'Encryption at rest',
        help: 'New payloads are encrypted in the database (AES-256-GCM). The broker needs a key for it.',
      },
    ],
  },
  {
    title: 'Retention',
    text: 'When messages are removed by themselves.',
    options: [
      {
        name: 'retentionEnabled',
        label: 'Retention',
        help: 'The gate for the next two: while it is off they remove nothing.',
      },
      {
        name: 'retentionSeconds',
        label: 'Keep messages for',
        unit: 's',
        zero: 'for ever',
        needs: 'retentionEnabled',
        help: 'Messages of this age are deleted, consumed or not.',
      },
      {
        name: 'completedRetentionSeconds',
        label: 'Keep completed messages for',
        unit: 's',
        zero: 'for ever',
        needs: 'retentionEnabled',
        help: 'Messages of this age that every group has completed are deleted.',
      },
      {
        name: 'maxWaitTimeSeconds',
        label: 'Longest wait',
        unit: 's',
        zero: 'off',
        help: 'A message that waits this long is removed, whether retention is on or not.',
      },
      {
        name: 'deadLetterQueue',
        label: 'Dead-letter what waited too long',
        needs: 'maxWaitTimeSeconds',
        help: 'What exceeds the longest wait goes to the dead letters instead of being deleted. Failed messages go there in any case.',
      },
    ],
  },
  {
    title: 'Compatibility',
    text: 'Stored and given back for older clients. They change nothing.',
    options: [
      {
        name: 'dlqAfterMaxRetries',
        label: 'Dead-letter after the last retry',
        help: 'No effect: exhausted messages always go to the dead letters.',
      },
      { name: 'ttl', label: 'Time to live', unit: 's', help: 'No effect: use the retention options.' },
    ],
  },
]

export const OPTION_NAMES: readonly QueueOptionName[] = OPTION_SECTIONS.flatMap(({ options }) =>
  options.map(({ name }) => name),
)

export function optionSpec(name: QueueOptionName): QueueOptionSpec {
  return QUEUE_OPTIONS[name]
}

/** "5m", "unlimited", "on": a value in words. */
export function optionWords({ unit, zero }: OptionText, value: unknown): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  if (typeof value !== 'number') return UNKNOWN
  if (value === 0 && zero !== undefined) return zero
  if (unit === 's') return duration(value * 1_000)
  if (unit === 'ms') return duration(value)
  return unit === 'messages' ? plural(value, 'message') : value.toLocaleString('en')
}
