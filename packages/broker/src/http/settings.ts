/** What the HTTP layer is told at start. Every limit has a default here; the configuration may replace each. */
import type { IncomingMessage } from 'node:http'
import { LIMITS } from '@queen/protocol'
import type { Logger } from 'pino'
import type { Cipher } from '../ports/cipher.ts'
import type { PageFiles } from './page/page-files.ts'
import type { Level } from './route.ts'

/** On whose behalf a request runs. */
export interface Caller {
  /** Verified subject of the token; null without authentication. Stamped on every message the caller pushes. */
  readonly subject: string | null
}

/** Decides who is calling and whether the level is allowed; throws a Refusal of 401 or 403. */
export type Authenticate = (request: IncomingMessage, level: Level) => Caller | Promise<Caller>

export interface HttpLimits {
  /** Of one request. */
  readonly bodyBytesMax: number
  /** Of all requests whose answer is not finished, together. Beyond it requests are answered 503 OVERLOADED. */
  readonly bodiesBytesMax: number
  readonly payloadBytesMax: number
  readonly itemsMax: number
  readonly batchDefault: number
  readonly connectionsMax: number
  /** Unanswered requests on one connection. */
  readonly pipelinedMax: number
  /** Request line and headers, bytes. */
  readonly headersBytesMax: number
  readonly headersTimeMs: number
  /** From a request's first byte to its last: ends bodies that stop half-way. */
  readonly requestTimeMs: number
  readonly keepAliveTimeMs: number
  /** Bytes of answers that clients have not taken yet, together. Beyond it pops are answered 503 OVERLOADED. */
  readonly answersBytesMax: number
  /** A client that takes nothing of its answer for this long is cut off; half of it is allowed in any case. */
  readonly answerStallTimeMs: number
  /** A client that has not taken all of its answer after this long is cut off when others need the room. */
  readonly answerSlowTimeMs: number
  /** How long a stopping server waits for running requests. */
  readonly stopGraceMs: number
}

const MIB = 1024 * 1024

export const HTTP_LIMITS: HttpLimits = {
  bodyBytesMax: LIMITS.bodyBytesMax,
  // Four of the largest bodies at once. Lower refuses honest producers of large messages, higher risks the heap.
  bodiesBytesMax: 256 * MIB,
  payloadBytesMax: LIMITS.payloadBytesMax,
  itemsMax: LIMITS.itemsMax,
  batchDefault: 1,
  // A waiting consumer holds one; an idle connection costs a few kB.
  connectionsMax: 20_000,
  // Real clients send one at a time; load tools pipeline a few dozen.
  pipelinedMax: 100,
  // Two names of 255 characters outside ASCII take 6 kB percent-encoded, and a token takes a few kB more.
  headersBytesMax: 32 * 1024,
  headersTimeMs: 10_000,
  // 64 MiB at 1 MiB/s.
  requestTimeMs: 64_000,
  // The contract asks for 65 s at least: load balancers in front close at 60.
  keepAliveTimeMs: 75_000,
  answersBytesMax: 256 * MIB,
  answerStallTimeMs: 30_000,
  // 32 MiB, the largest answer of a pop, at 0.5 MiB/s.
  answerSlowTimeMs: 64_000,
  // Longer than any request but a long poll may take (10 s) and shorter than the usual kill delay (30 s).
  stopGraceMs: 12_000,
}

export interface HttpSettings {
  readonly limits?: Partial<HttpLimits>
  /** Web origins that may use the API from a browser; empty = any may, except for administrative routes. */
  readonly corsOrigins: readonly string[]
  readonly version: string
  readonly instanceId: string
  readonly log: Logger
  /** What a consumer group that names no mode starts with. */
  readonly subscriptionModeDefault?: 'all' | 'new'
  /** null = no encryption key is configured. */
  readonly cipher?: Cipher | null
  /** Absent = authentication is off. */
  readonly authenticate?: Authenticate
  /** The dashboard's files. Empty = it was not built, and a plain page says so; absent = no page at all. */
  readonly pageFiles?: PageFiles
  /** Further families for /metrics/prometheus, in its text format. */
  readonly metrics?: { metrics(): Promise<string> }
}
