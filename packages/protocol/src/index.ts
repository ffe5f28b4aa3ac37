export { type ErrorBody, type ErrorCode, ERRORS, type ErrorSpec, ITEM_ERRORS, type ItemErrorCode } from './errors.ts'
export { DEFAULT_PARTITION, LIMITS, QUEUE_MODE_GROUP } from './limits.ts'
export { isName, isUuid } from './names.ts'
export { QUEUE_OPTIONS, type QueueOptionName, type QueueOptionSpec, type QueueOptions } from './queue-options.ts'
