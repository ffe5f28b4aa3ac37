/** A frame opened for people: ids as text, payload decrypted. The message paths never come here; they copy bytes. */
import type { Cipher } from '../../ports/cipher.ts'
import { emptyFrameParts, FrameFlag, readFrame } from './frame.ts'

export interface FrameView {
  readonly transactionId: string
  readonly traceId: string | null
  readonly producerSub: string | null
  readonly encrypted: boolean
  /** The stored payload: JSON text, or ciphertext when encrypted. */
  readonly stored: Buffer
}

const parts = emptyFrameParts()

/** The frame that begins at `at`. Throws when it is damaged. */
export function viewFrame(frames: Buffer, at = 0): FrameView {
  readFrame(frames, at, parts)
  const { flags } = parts
  return {
    transactionId: frames.toString('utf8', parts.transactionIdStart, parts.transactionIdEnd),
    traceId:
      flags & FrameFlag.TRACE_ID ? uuidText(frames.toString('hex', parts.traceIdStart, parts.traceIdStart + 16)) : null,
    producerSub:
      flags & FrameFlag.PRODUCER_SUB ? frames.toString('utf8', parts.producerSubStart, parts.producerSubEnd) : null,
    encrypted: (flags & FrameFlag.ENCRYPTED) !== 0,
    stored: frames.subarray(parts.payloadStart, parts.payloadEnd),
  }
}

/** JSON text. Throws when it was encrypted and cannot be opened with this key. */
export function openPayload(view: FrameView, cipher: Cipher | null): Buffer {
  if (!view.encrypted) return view.stored
  if (cipher === null) throw new Error('the server has no encryption key')
  return cipher.decrypt(view.stored)
}

function uuidText(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
