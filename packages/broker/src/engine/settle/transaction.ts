/**
 * Transactions: acks and pushes in one PostgreSQL transaction, all or nothing.
 *
 * Invariant: cursors are locked before partitions, each kind in its one order, so transactions, acks and pushes cannot
 * deadlock. Any refused ack, dead required lease or refused push rolls everything back; nothing of this instance's
 * memory changes before the commit.
 */
import { randomUUID } from 'node:crypto'
import type { ItemErrorCode } from '@queen/protocol'
import type { AckEntry, TransactionScope } from '../../ports/consume-store.ts'
import { StoreError } from '../../ports/store-error.ts'
import type { PushItem } from '../push/push-item.ts'
import { toRefusal } from '../store-refusal.ts'
import type { AckItem, AckResult, TransactionOperation, TransactionOutcome } from '../types.ts'
import { type AckParts, type LeaseEnd, leaseEndOf, writeWithFrames } from './ack.ts'
import { refused } from './ack-plan.ts'
import { RESOLVE_MS_MAX, resolveAcks } from './ack-resolve.ts'
import { combine, prepareWrite, settle } from './ack-write.ts'

/** The push half, made by the push side for the items of one transaction. */
export interface TransactionPush {
  /**
   * Runs inside the transaction. Finishes every item; returns the index of the first refused one (its code and error
   * set), or null when all are stored or duplicates. Safe to be run again after a rollback.
   */
  run(scope: Pick<TransactionScope, 'session'>): Promise<number | null>
  /** After the commit: wakes consumers, fills caches. */
  committed(): void
}

/** @throws Refusal, StoreError */
export type PrepareTransactionPush = (items: readonly PushItem[]) => Promise<TransactionPush>

interface Rejection {
  /** Of the flattened operation; -1 = a required lease. */
  readonly index: number
  readonly code: ItemErrorCode
  readonly error: string
}

/** Carries a rejection out of the transaction, so that it is rolled back. */
class Rejected extends Error {
  readonly rejection: Rejection
  readonly acks: ReadonlyMap<number, AckResult>

  constructor(rejection: Rejection, acks: ReadonlyMap<number, AckResult>) {
    super(rejection.error)
    this.rejection = rejection
    this.acks = acks
  }
}

const ATTEMPTS_MAX = 3
const DEADLINE_MS = 8_000

/** @throws Refusal DATABASE_UNAVAILABLE; with details.outcome unknown when nobody knows whether it was committed */
export async function executeTransaction(
  parts: AckParts,
  preparePush: PrepareTransactionPush,
  operations: readonly TransactionOperation[],
  requiredLeases: readonly string[],
): Promise<TransactionOutcome> {
  const transactionId = randomUUID()
  const deadlineMs = performance.now() + DEADLINE_MS
  for (let attempt = 1; ; attempt++) {
    try {
      const { acks, ends } = await attemptOnce(parts, preparePush, operations, requiredLeases)
      for (const end of ends) parts.onLeaseEnded(end)
      return { transactionId, results: resultsOf(operations, acks, operations.length), rejected: null }
    } catch (error) {
      if (error instanceof Rejected) {
        const { rejection, acks } = error
        return { transactionId, results: resultsOf(operations, acks, rejection.index + 1), rejected: rejection }
      }
      // What was rolled back may run again at once after a conflict. What may have been committed must not: a push
      // without a transactionId of the producer's would be stored twice.
      const again = error instanceof StoreError && error.failure === 'conflict' && !error.outcomeUnknown
      if (!again || attempt >= ATTEMPTS_MAX || performance.now() >= deadlineMs) throw toRefusal(error)
    }
  }
}

async function attemptOnce(
  parts: AckParts,
  preparePush: PrepareTransactionPush,
  operations: readonly TransactionOperation[],
  requiredLeases: readonly string[],
): Promise<{ acks: Map<number, AckResult>; ends: LeaseEnd[] }> {
  const ackItems: AckItem[] = []
  const ackPlaces: number[] = []
  const pushItems: PushItem[] = []
  const pushPlaces: number[] = []
  operations.forEach((operation, index) => {
    if (operation.type === 'ack') {
      ackItems.push(operation.item)
      ackPlaces.push(index)
    } else {
      pushItems.push(operation.item)
      pushPlaces.push(index)
    }
  })
  const plan = await resolveAcks(parts, ackItems, requiredLeases, performance.now() + RESOLVE_MS_MAX)
  const acks = new Map<number, AckResult>()
  const checkAcks = (): void => {
    acks.clear()
    plan.results.forEach((result, place) => {
      acks.set(ackPlaces[place]!, result)
    })
    for (const [index, { success, code, error }] of acks) {
      if (!success) throw new Rejected({ index, code: code!, error: error! }, acks)
    }
  }
  checkAcks()
  const writes = combine([plan])
  const entries: AckEntry[] = []
  for (const write of writes) entries.push(await prepareWrite(parts, write))
  const push = pushItems.length === 0 ? null : await preparePush(pushItems)

  const ends = await parts.store.transaction(async (scope) => {
    if (requiredLeases.length > 0) {
      const live = await scope.holdLeases(requiredLeases, entries)
      if (!requiredLeases.every((leaseId) => live.has(leaseId)))
        throw new Rejected({ index: -1, code: 'INVALID_LEASE', error: refused('INVALID_LEASE', null).error! }, acks)
    }
    const found: LeaseEnd[] = []
    if (entries.length > 0) {
      const outcomes = await scope.ackMessages(entries)
      for (let i = 0; i < writes.length; i++) {
        const write = writes[i]!
        let outcome = outcomes[i]!
        if (outcome.state === 'frames') outcome = await writeWithFrames(parts, scope, write, outcome)
        settle(write, outcome, false)
        const end = leaseEndOf(write, outcome, false)
        if (end !== null) found.push(end)
      }
      checkAcks()
    }
    const refusedPush = push === null ? null : await push.run(scope)
    if (refusedPush !== null) {
      const { code, error } = pushItems[refusedPush]!.failure ?? { code: 'INTERNAL', error: 'Internal error' }
      throw new Rejected({ index: pushPlaces[refusedPush]!, code, error }, acks)
    }
    return found
  })
  push?.committed()
  return { acks, ends }
}

function resultsOf(
  operations: readonly TransactionOperation[],
  acks: ReadonlyMap<number, AckResult>,
  count: number,
): TransactionOutcome['results'] {
  return operations.slice(0, count).map((operation, index) => {
    if (operation.type === 'push') return operation
    return { type: 'ack', item: operation.item, result: acks.get(index) ?? refused('INTERNAL', null) }
  })
}
