/** What one route is: where it hangs, who may call it, what it does and how it is documented. The route table is made of these. */
import type { ErrorCode } from '@queen/protocol'
import type { TSchema } from 'typebox'
import type { Exchange } from './exchange.ts'

/** Of bodies that hold settings, not messages. */
export const SMALL_BODY_BYTES_MAX = 1024 * 1024

export type Method = 'GET' | 'POST' | 'DELETE'

/** Public, read, write, administer. */
export type Level = 'P' | 'R' | 'W' | 'A'

export interface Parameter {
  readonly name: string
  readonly schema: TSchema
  readonly description?: string
}

export interface RouteDocument {
  readonly operationId: string
  readonly summary: string
  readonly tag: string
  readonly query?: readonly Parameter[]
  readonly body?: TSchema
  /** By status; null = no body. */
  readonly answers: Readonly<Record<number, TSchema | null>>
  /** Beside those every route can give. */
  readonly errors: readonly ErrorCode[]
}

export interface Route {
  readonly method: Method
  /** Segments that start with `:` are parameters and reach the handler in order. */
  readonly path: string
  readonly level: Level
  /** Whether a body is read: `optional` takes an empty one as `{}`. */
  readonly body: 'none' | 'required' | 'optional'
  /** For routes whose bodies become objects: text of a few bytes can become an object of a hundred. */
  readonly bodyBytesMax?: number
  /** A GET that changes something cannot be asked with HEAD. */
  readonly consumes?: boolean
  /** Answers also while the server is stopping. */
  readonly whileStopping?: boolean
  readonly document: RouteDocument
  handle(exchange: Exchange): void | Promise<void>
}
