/** What becomes of one line of input. Pure. */
import type { PushItem } from '@queen/client'
import { CliError } from '../command/failure.ts'
import { scalarText } from '../input/json.ts'
import type { Line } from '../input/lines.ts'
import { parseJsonLine } from './message-line.ts'

export interface PushShape {
  readonly partition: string | undefined
  /** Path into the payload. */
  readonly partitionKey: readonly string[] | undefined
  readonly wrapped: boolean
  readonly traceId: string | undefined
  /** Of the first line. */
  readonly transactionId: string | undefined
}

export interface PushLine {
  readonly line: number
  readonly item: PushItem<unknown>
  /** undefined = the queue's default partition. */
  readonly partition: string | undefined
}

const DEFAULT_PARTITION = 'Default'
export const partitionOf = (line: PushLine): string => line.partition ?? DEFAULT_PARTITION

export function pushLine(line: Line, shape: PushShape, isFirst: boolean): PushLine {
  const value = parseJsonLine(line)
  const wrapper = shape.wrapped ? readWrapper(value, line.number) : { data: value }
  const transactionId = (isFirst ? shape.transactionId : undefined) ?? wrapper.transactionId
  const traceId = wrapper.traceId ?? shape.traceId
  const keyed = shape.partitionKey === undefined ? undefined : keyOf(wrapper.data, shape.partitionKey, line.number)
  return {
    line: line.number,
    partition: wrapper.partition ?? keyed ?? shape.partition,
    item: {
      data: wrapper.data,
      ...(transactionId === undefined ? {} : { transactionId }),
      ...(traceId === undefined ? {} : { traceId }),
    },
  }
}

interface Wrapper {
  readonly data: unknown
  readonly transactionId?: string | undefined
  readonly traceId?: string | undefined
  readonly partition?: string | undefined
}

function readWrapper(value: unknown, number: number): Wrapper {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !('data' in value)) {
    throw new CliError(`line ${number} is no object with "data"`, { code: 'INVALID_INPUT' })
  }
  const fields = value as Record<string, unknown>
  const textOf = (name: string): string | undefined => {
    const field = fields[name]
    if (field === undefined || field === null) return undefined
    if (typeof field === 'string') return field
    throw new CliError(`line ${number}: "${name}" is no string`, { code: 'INVALID_INPUT' })
  }
  return {
    data: fields.data,
    transactionId: textOf('transactionId'),
    traceId: textOf('traceId'),
    partition: textOf('partition'),
  }
}

function keyOf(data: unknown, path: readonly string[], number: number): string {
  let value: unknown = data
  for (const step of path) {
    const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, step)
    value = isThere ? (value as Record<string, unknown>)[step] : undefined
  }
  const key = scalarText(value)
  if (key !== null && key !== '') return key
  throw new CliError(`line ${number} has no string, number or boolean at ${path.join('.')}`, { code: 'INVALID_INPUT' })
}
