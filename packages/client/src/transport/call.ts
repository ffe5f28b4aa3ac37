/** One request as the rest of the client asks for it, and what came of it. */
import type { Destination } from '../observe/attributes.ts'
import type { TracedMessage } from '../observe/hooks.ts'

/**
 * JSON text whose middle is a list of texts with commas between them, not joined yet: a transport that can write bytes
 * spares two copies of a large body, and their garbage.
 */
export interface BodyPieces {
  readonly before: string
  readonly texts: readonly string[]
  readonly after: string
  /** Every character is one byte. */
  readonly isAscii: boolean
}

export interface Call {
  /** Name in the log and the hooks, e.g. `Queen.ack`. */
  readonly operation: string
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below the base URL, query included. */
  readonly path: string
  /** JSON text, in one piece or in the pieces it is made of. */
  readonly body?: string | BodyPieces | undefined
  readonly timeoutMillis?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** What decides the URL; without one the client's own key. */
  readonly affinityKey?: string | undefined
  /** Rounds over the URLs; default `retryAttempts`. */
  readonly rounds?: number | undefined
  /** The body as text instead of parsed. */
  readonly asText?: boolean | undefined
  readonly destination?: Destination | undefined
  /** Asked only when a hook wants to know. */
  readonly messages?: (() => readonly TracedMessage[]) | undefined
}

export interface Answer {
  readonly status: number
  /** Parsed JSON, or the text when asked for; null when empty or no JSON. */
  readonly body: unknown
  readonly headers: { get(name: string): string | null }
  readonly retryAfterMillis: number | undefined
}

/** `attempts` > 1: an earlier attempt may have done its work before its answer was lost. */
export interface FinalAnswer extends Answer {
  readonly attempts: number
}

export type Send = (call: Call) => Promise<FinalAnswer>
