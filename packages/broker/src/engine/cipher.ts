/** Encryption at rest: AES-256-GCM per message. Output: iv(12) tag(16) ciphertext. */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'

const IV_BYTES = 12
const TAG_BYTES = 16
// Random bytes are drawn for many ivs at once: a draw costs a microsecond, whatever its size.
const POOL_BYTES = IV_BYTES * 256

export class PayloadCipher {
  readonly #key: KeyObject
  #pool = Buffer.alloc(0)
  #used = 0

  /** `key` is a secret of 32 bytes. */
  constructor(key: KeyObject) {
    if (key.symmetricKeySize !== 32) throw new Error('an AES-256 key has 32 bytes')
    this.#key = key
  }

  encrypt(plain: Uint8Array): Buffer {
    if (this.#used + IV_BYTES > this.#pool.length) {
      this.#pool = randomBytes(POOL_BYTES)
      this.#used = 0
    }
    const iv = this.#pool.subarray(this.#used, this.#used + IV_BYTES)
    this.#used += IV_BYTES
    const cipher = createCipheriv('aes-256-gcm', this.#key, iv)
    const body = cipher.update(plain)
    const rest = cipher.final()
    return Buffer.concat([iv, cipher.getAuthTag(), body, rest])
  }

  /** Throws when the bytes were not encrypted with this key or were changed since. */
  decrypt(bytes: Uint8Array): Buffer {
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, IV_BYTES))
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
    return Buffer.concat([decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()])
  }
}
