/** What opens payloads that are encrypted at rest; see the frame format for the bytes. */
export interface Cipher {
  /** iv(12) tag(16) ciphertext → the payload's JSON text. Throws when the key is wrong or the bytes were changed. */
  decrypt(bytes: Uint8Array): Buffer
}
