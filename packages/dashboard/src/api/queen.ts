/**
 * The one way from the page to the broker: the client package, set up for a person who looks at a page.
 *
 * A failed read is not repeated here, because the ticker asks again anyway and should say at once that it is stale.
 */
import { type Admin, Queen, type QueenOptions } from '@queen/client'
import { jsonCodec } from '../json/json-codec.ts'
import { watchAnswers } from './connection.ts'
import { token } from './session.ts'

const OPTIONS: QueenOptions = {
  url: window.location.origin,
  timeoutMillis: 12_000,
  retryAttempts: 1,
  handleSignals: false,
  bearerToken: () => token.value,
  fetch: watchAnswers((...request: Parameters<typeof fetch>) => window.fetch(...request)),
}

export const queen: Queen = new Queen(OPTIONS)

/** Counters, lists, settings. Numbers beyond 2^53 are rounded: use `exact` for answers with payloads. */
export const admin: Admin = queen.admin

/** The same, but payloads travel as their text (JsonText), character by character as they are stored. */
export const exactQueen: Queen = new Queen({ ...OPTIONS, json: jsonCodec })
export const exact: Admin = exactQueen.admin
