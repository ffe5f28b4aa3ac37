/**
 * What to do with claimed messages whose payloads cannot be decrypted, so that they neither fail every pop nor hold up
 * what can be delivered (docs/decisions/undecryptable.md).
 *
 *   the key is right          the message is damaged: it goes to the group's dead letters, with what it has
 *   the key is wrong, or      everything of that partition is given back: nothing is moved because of a mistake in a
 *   nobody can tell           setting, and another instance may have the right key
 *
 * With autoAck the messages are completed already; only the log tells.
 */
import type { Cipher } from '../../ports/cipher.ts'
import type { Log } from '../../ports/log.ts'
import { viewFrame } from '../format/frame-view.ts'
import type { KeyCheck } from '../key-check.ts'
import type { AckItem, PopAnswer, PoppedRun } from '../types.ts'
import type { Consumer } from './consumer.ts'

export interface UndecryptableParts {
  readonly cipher: Cipher | null
  readonly key: Pick<KeyCheck, 'verdict'>
  readonly consumer: Pick<Consumer, 'ackMessages' | 'releaseClaim'>
  readonly log: Log
}

const ERROR = 'DECRYPT: the payload cannot be decrypted'

/** The answer without them. Empty with `lease_held` = they were given back. @throws Refusal DATABASE_UNAVAILABLE */
export async function withoutUndecryptable(parts: UndecryptableParts, answer: PopAnswer): Promise<PopAnswer> {
  const { consumer, log } = parts
  const sorted = answer.runs.map((run) => sortRun(run, parts.cipher))
  const bad = sorted.filter(({ closed }) => closed.length > 0)
  if (bad.length === 0) return answer
  const messages = bad.reduce((sum, { closed }) => sum + closed.length, 0)
  const { name } = bad[0]!.run.partition.queue
  const readable = sorted.flatMap(({ run, open }) => (open.length === 0 ? [] : [{ ...run, indices: open }]))
  if (answer.leaseId === '') {
    log.error({ queue: name, messages }, 'messages taken with autoAck cannot be decrypted; they are completed')
    return answerOf(answer, readable, 'no_message')
  }
  if ((await parts.key.verdict()) === 'right') {
    log.error({ queue: name, messages }, 'messages cannot be decrypted; they are dead-lettered')
    await consumer.ackMessages(bad.flatMap((each) => deadLetters(answer, each.run, each.closed)))
    return answerOf(answer, readable, 'no_message')
  }
  log.warn({ queue: name, messages }, 'messages cannot be decrypted; they are given back')
  const held = new Set(bad.map(({ run }) => run.partition.id))
  await consumer.releaseClaim({ ...answer, runs: answer.runs.filter(({ partition }) => held.has(partition.id)) })
  return answerOf(
    answer,
    answer.runs.filter(({ partition }) => !held.has(partition.id)),
    'lease_held',
  )
}

function sortRun(run: PoppedRun, cipher: Cipher | null): { run: PoppedRun; open: number[]; closed: number[] } {
  const { frames, starts } = run.segment
  const open: number[] = []
  const closed: number[] = []
  for (const index of run.indices) {
    const { encrypted, stored } = viewFrame(frames, starts[index]!)
    const list = !encrypted || opens(cipher, stored) ? open : closed
    list.push(index)
  }
  return { run, open, closed }
}

function opens(cipher: Cipher | null, stored: Uint8Array): boolean {
  try {
    return cipher !== null && cipher.decrypt(stored) !== null
  } catch {
    return false
  }
}

function deadLetters({ consumerGroup, leaseId }: PopAnswer, run: PoppedRun, indices: readonly number[]): AckItem[] {
  const { frames, starts } = run.segment
  return indices.map((index) => ({
    transactionId: viewFrame(frames, starts[index]!).transactionId,
    partitionId: run.partition.id,
    status: 'dlq',
    leaseId,
    consumerGroup,
    error: ERROR,
  }))
}

function answerOf(answer: PopAnswer, runs: readonly PoppedRun[], reason: PopAnswer['emptyReason']): PopAnswer {
  return { ...answer, runs, emptyReason: runs.length === 0 ? reason : null }
}
