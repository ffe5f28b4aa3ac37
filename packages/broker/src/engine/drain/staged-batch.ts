/**
 * Records as they lie in queen.staged_records: what the file buffer holds of them, back to back.
 *
 *   u32 length | u32 flags | f64 record number | f64 accepted at (µs) | body
 */
import type { BufferedRecord } from '../../ports/record-log.ts'

const HEAD_BYTES = 24

export function encodeStaged(records: readonly BufferedRecord[]): Buffer {
  const bytes = records.reduce((sum, record) => sum + HEAD_BYTES + record.end - record.start, 0)
  const target = Buffer.allocUnsafe(bytes)
  let at = 0
  for (const { acceptedAtMicros, bytes: source, end, flags, number, start } of records) {
    target.writeUInt32BE(end - start, at)
    target.writeUInt32BE(flags, at + 4)
    target.writeDoubleBE(number, at + 8)
    target.writeDoubleBE(acceptedAtMicros, at + 16)
    source.copy(target, at + HEAD_BYTES, start, end)
    at += HEAD_BYTES + end - start
  }
  return target
}

/** Throws on bytes that are not ours: PostgreSQL keeps what it was given, so that is a defect. */
export function decodeStaged(bytes: Buffer): BufferedRecord[] {
  const records: BufferedRecord[] = []
  let at = 0
  while (at < bytes.length) {
    const start = at + HEAD_BYTES
    const end = start + bytes.readUInt32BE(at)
    if (end > bytes.length) throw new Error('a staged record crosses the end of its row')
    records.push({
      flags: bytes.readUInt32BE(at + 4),
      number: bytes.readDoubleBE(at + 8),
      acceptedAtMicros: bytes.readDoubleBE(at + 16),
      bytes,
      start,
      end,
      get body() {
        return bytes.subarray(start, end)
      },
    })
    at = end
  }
  return records
}
