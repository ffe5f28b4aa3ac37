/**
 * Whether this instance's encryption key is the one this database is used with. A payload that does not open says
 * nothing about that by itself: the message may be damaged, or the key may be another one, and then so is everything.
 *
 * The first instance with a key leaves a few sealed bytes in PostgreSQL; a key that opens them is the right one.
 * Invariant: what is not known is never taken for "right".
 */
import type { Log } from '../ports/log.ts'
import type { PayloadCipher } from './cipher.ts'

export type KeyVerdict = 'right' | 'wrong' | 'unknown'

export interface KeyCheckParts {
  readonly cipher: PayloadCipher | null
  /** Keeps `sealed` unless something is kept already; what is kept. @throws StoreError */
  readonly keepSealed: (sealed: string) => Promise<string>
  readonly log: Log
}

const PLAIN = Buffer.from('queen')
// A key is right for good; a wrong one may be looked at again when an operator has removed what is kept.
const LOOK_AGAIN_MS = 5_000

export class KeyCheck {
  readonly #parts: KeyCheckParts
  #verdict: KeyVerdict = 'unknown'
  #askedAtMs = Number.NEGATIVE_INFINITY

  constructor(parts: KeyCheckParts) {
    this.#parts = parts
  }

  async verdict(): Promise<KeyVerdict> {
    const { cipher, keepSealed, log } = this.#parts
    if (cipher === null) return 'wrong'
    const nowMs = performance.now()
    if (this.#verdict === 'right' || nowMs - this.#askedAtMs < LOOK_AGAIN_MS) return this.#verdict
    this.#askedAtMs = nowMs
    try {
      const kept = Buffer.from(await keepSealed(cipher.encrypt(PLAIN).toString('base64')), 'base64')
      this.#verdict = opens(cipher, kept) ? 'right' : 'wrong'
    } catch (error) {
      this.#askedAtMs = Number.NEGATIVE_INFINITY
      log.debug({ err: error }, 'the encryption key could not be checked')
    }
    if (this.#verdict === 'wrong') {
      log.error(
        {},
        'QUEEN_ENCRYPTION_KEY is not the key this database is used with: encrypted messages are held until it is',
      )
    }
    return this.#verdict
  }
}

function opens(cipher: PayloadCipher, sealed: Buffer): boolean {
  try {
    return cipher.decrypt(sealed).equals(PLAIN)
  } catch {
    return false
  }
}
