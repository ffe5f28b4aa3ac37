/**
 * Lease ids: opaque to clients, URL-safe, at most 64 characters.
 *
 *   l<base64url of partition uuid (16) + random (12)>   a lease of one partition: the id says where it is held
 *   s<base64url of random (24)>                         a lease that spans partitions: found by index
 *
 * So any instance finds what a lease holds, and claims of one partition, the common case, change no indexed column.
 * Reading an id back never throws: it comes from outside.
 */
import { randomFillSync } from 'node:crypto'
import { writeUuidKey } from './transaction-key.ts'

const PARTITION_BYTES = 16
const RANDOM_BYTES = 12
const SHARED_BYTES = 24
// Random bytes are drawn for many ids at once: a draw costs a microsecond whatever its size.
const pool = Buffer.alloc(6000)
let used = pool.length

function writeRandom(target: Buffer, at: number, bytes: number): void {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  pool.copy(target, at, used, used + bytes)
  used += bytes
}

export function partitionLeaseId(partitionId: string): string {
  const bytes = Buffer.allocUnsafe(PARTITION_BYTES + RANDOM_BYTES)
  if (!writeUuidKey(partitionId, bytes, 0)) throw new Error('a partition id is a lower-case UUID')
  writeRandom(bytes, PARTITION_BYTES, RANDOM_BYTES)
  return `l${bytes.base64urlSlice()}`
}

export function sharedLeaseId(): string {
  const bytes = Buffer.allocUnsafe(SHARED_BYTES)
  writeRandom(bytes, 0, SHARED_BYTES)
  return `s${bytes.base64urlSlice()}`
}

/** Where a lease with this id is held: a partition, 'shared', or null when the id was never issued. */
export function leasePlace(leaseId: string): string | 'shared' | null {
  if (!/^[ls][\w-]{1,63}$/.test(leaseId)) return null
  const bytes = Buffer.from(leaseId.slice(1), 'base64url')
  if (leaseId[0] === 's') return bytes.length === SHARED_BYTES ? 'shared' : null
  if (bytes.length !== PARTITION_BYTES + RANDOM_BYTES) return null
  const hex = bytes.hexSlice(0, PARTITION_BYTES)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
