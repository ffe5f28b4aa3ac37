/**
 * Whether this instance's encryption key is the one this database is used with. A payload that does not open says
 * nothing about that by itself: the message may be damaged, or the key may be another one, and then so is everything.
 *
 * The first instance with a key leaves a few sealed bytes in PostgreSQL; a key that opens them is the right one.
 * Invariant: what is not known is never taken for "right", nor for "wrong" (G11).
 */
import type { Log } from '../ports/log.ts'
import type { PayloadCipher } from './cipher.ts'

export type KeyVerdict = 'right' | 'wrong' | 'unknown'

/** Why nothing is sealed with a wrong key. */
export const WRONG_KEY = 'QUEEN_ENCRYPTION_KEY is not the key this database is used with'

export interface KeyCheckParts {
  readonly cipher: PayloadCipher | null
  /** Keeps `sealed` unless something is kept already; what is kept. @throws StoreError */
  readonly keepSealed: (sealed: string) => Promise<string>
  readonly log: Log
}

const PLAIN = Buffer.from('queen')
// A key is right for as long as it is the same database; a wrong one may be looked at again when an operator has removed
// what is kept.
const LOOK_AGAIN_MS = 5_000

export class KeyCheck {
  readonly #parts: KeyCheckParts
  #verdict: KeyVerdict = 'unknown'
  #askedAtMs = Number.NEGATIVE_INFINITY
  #asking: Promise<KeyVerdict> | null = null
  #databases = 0

  constructor(parts: KeyCheckParts) {
    this.#parts = parts
  }

  /** As far as is known without asking; null = there is no key. */
  get known(): KeyVerdict | null {
    return this.#parts.cipher === null ? null : this.#verdict
  }

  /** Nothing more may be sealed with this key: whoever has the right one could not open it. */
  get isWrong(): boolean {
    return this.known === 'wrong'
  }

  async verdict(): Promise<KeyVerdict> {
    const { cipher } = this.#parts
    if (cipher === null) return 'wrong'
    if (this.#asking !== null) return this.#asking
    if (this.#verdict === 'right' || performance.now() - this.#askedAtMs < LOOK_AGAIN_MS) return this.#verdict
    const asking = this.#ask(cipher).finally(() => {
      if (this.#asking === asking) this.#asking = null
    })
    this.#asking = asking
    return asking
  }

  /** It may be another database now, a restored one, with another key: what is asked from now on asks that. */
  askAgain(): void {
    if (this.#verdict === 'right') this.#verdict = 'unknown'
    this.#askedAtMs = Number.NEGATIVE_INFINITY
    this.#asking = null
    this.#databases++
  }

  async #ask(cipher: PayloadCipher): Promise<KeyVerdict> {
    const { keepSealed, log } = this.#parts
    this.#askedAtMs = performance.now()
    const before = this.#verdict
    const database = this.#databases
    try {
      const kept = Buffer.from(await keepSealed(cipher.encrypt(PLAIN).toString('base64')), 'base64')
      if (database !== this.#databases) return this.verdict()
      this.#verdict = opens(cipher, kept) ? 'right' : 'wrong'
    } catch (error) {
      this.#askedAtMs = Number.NEGATIVE_INFINITY
      log.debug({ err: error }, 'the encryption key could not be checked')
    }
    if (this.#verdict === 'wrong') {
      log.error(
        {},
        `${WRONG_KEY}: encrypted messages are held and pushes to encrypted queues are refused until it is. To change the key on purpose, see docs/operating/encryption.md`,
      )
    } else if (before === 'wrong') log.info({}, 'QUEEN_ENCRYPTION_KEY is the key this database is used with')
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
