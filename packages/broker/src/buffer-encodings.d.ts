/**
 * Methods every Node.js Buffer has and its published types leave out: one call into the engine for one encoding, where
 * toString(encoding) and write(…, encoding) look the encoding up each time. The hot paths make hundreds of thousands of
 * such calls a second.
 */
export {}

declare global {
  interface Buffer {
    latin1Slice(start?: number, end?: number): string
    utf8Slice(start?: number, end?: number): string
    hexSlice(start?: number, end?: number): string
    base64urlSlice(start?: number, end?: number): string
    /** Returns the number of bytes written. */
    utf8Write(text: string, offset?: number, length?: number): number
    latin1Write(text: string, offset?: number, length?: number): number
  }
}
