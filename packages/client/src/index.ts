/**
 * The one public door of the package.
 *
 * Programs written for version 0.15 of Queen's JavaScript client run on this one after a change of the import. Where a
 * comment names "client 0.15", its behaviour is the reason.
 */
export { Admin } from './admin/admin.ts'
export { BUFFER_DEFAULTS, CLIENT_DEFAULTS, CONSUME_DEFAULTS, POP_DEFAULTS, QUEUE_DEFAULTS } from './defaults.ts'
export {
  QueenAuthError,
  QueenBufferFullError,
  QueenClosedError,
  QueenConflictError,
  QueenConnectionError,
  QueenLeaseLostError,
  QueenNotFoundError,
  QueenPushError,
  QueenRateLimitError,
  QueenServerError,
  QueenTimeoutError,
  QueenTooLargeError,
  QueenTransactionError,
  QueenUnavailableError,
  QueenUnsentError,
  QueenUsageError,
  QueenValidationError,
} from './errors/classes.ts'
export { isQueenError, QueenError } from './errors/queen-error.ts'
export type {
  Attributes,
  ProcessInfo,
  QueenEvent,
  QueenEventType,
  QueenHooks,
  RequestInfo,
  ResponseInfo,
  TracedMessage,
} from './observe/hooks.ts'
export type { QueenLogger } from './observe/logger.ts'
export type { BearerToken, JsonCodec, LoadBalancingStrategy, QueenOptions } from './options.ts'
export { Queen } from './queen.ts'
export type { Renewable } from './settle/renew.ts'
export type { ConsumeBuilder } from './terminals/consume.ts'
export type { DlqBuilder } from './terminals/dlq.ts'
export type { Operation } from './terminals/operation.ts'
export type { PushBuilder } from './terminals/push.ts'
export type { QueueBuilder } from './terminals/queue-builder.ts'
export type { TransactionBuilder, TransactionQueue } from './transaction/transaction.ts'
export type * from './types/admin.ts'
export type { CloseOptions, CloseReport } from './types/close.ts'
export type { ConsumeEnd, ConsumeOptions, ConsumeSummary, HandlerContext } from './types/consume.ts'
export type * from './types/maintenance.ts'
export type {
  AckContext,
  AckItemResult,
  AckResult,
  AckStatus,
  DlqMessage,
  DlqPage,
  Message,
  MessageRef,
  PopOptions,
  RenewOptions,
  RenewResult,
  TraceInput,
  TraceResult,
} from './types/message.ts'
export type {
  BufferedPush,
  BufferOptions,
  BufferStats,
  PushEnvelope,
  PushedItem,
  PushItem,
  PushItemResult,
  PushResults,
  PushStatus,
} from './types/push.ts'
export type { OperationFailed, QueueConfig, QueueConfigured, QueueDeleted, SubscriptionMode } from './types/queue.ts'
export type * from './types/reports.ts'
export type { CommitOptions, TransactionItemResult, TransactionResult } from './types/transaction.ts'
