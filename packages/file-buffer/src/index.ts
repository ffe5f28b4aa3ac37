/**
 * @queen/file-buffer: an append-only buffer of opaque records on a local disk.
 *
 * A record is acknowledged when it is fdatasync'ed, read back in order, and freed once its owner says that it is
 * stored elsewhere. The package knows nothing of queues, PostgreSQL or HTTP.
 *
 * THE DIRECTORY
 *
 *   00000000000000000001.qbuf     records from number 1 on; sealed files are never written again
 *   00000000000000048112.qbuf     the newest file may still be growing
 *   *.qbuf.aside                  files that cannot be used and are kept (header damaged, later version, …)
 *   progress                      how far drained (a hint; the database decides), next record number
 *   *.state                       small values with a checksum: the buffer's id, what the owner wants remembered
 *   quarantine/                   records set aside, one file each
 *   lock.N                        who owns the directory (directory-lock.ts)
 *
 * THE FILE (little-endian throughout)
 *
 *   0        64       128
 *   ├ header ┼ header ┼ record ┬ record ┬ record …
 *            same again
 *
 *   header  0 "QUEENBUF"   8 version u32 = 1   12 salt u32   16 buffer id, 16 bytes   32 first record u64
 *           40 acknowledged before u64   48 created at, microseconds u64   56 zero u32
 *           60 CRC-32 of bytes 0–59
 *
 *   record  0 header CRC-32 u32 (bytes 4–31, salted)   4 body length u32   8 number u64
 *           16 accepted at, microseconds u64   24 flags u16   26 "qR" u16   28 body CRC-32 u32 (salted)
 *           32 body
 *
 * LIMITS: bufferBytesMax over everything in the directory, diskFreeBytesMin on its disk, recordBytesMax a record,
 * fileBytesMax a file (one write may exceed it), 10,000 entries and 1 GiB of quarantine, 128 MiB of waiting appends.
 *
 * RECOVERY: a torn tail is cut; a damaged record is set aside and reading goes on at the next one that checks out;
 * a file without a usable header is kept aside; nothing of this stops a start. Details in recovery.ts and
 * docs/reference/file-buffer-format.md.
 */
export { type BufferCheck, checkBufferDirectory, type FileCheck } from './check.ts'
export type { SetAside } from './damage.ts'
export type { DirectoryLock, Disk, DiskFile, OpenMode } from './disk.ts'
export { FileBufferError, type FileBufferErrorCode } from './errors.ts'
export type { FileBufferEvent } from './events.ts'
export { type FileBuffer, type FileBufferOptions, type FileBufferStats, openFileBuffer } from './file-buffer.ts'
export type { FsyncHistogram } from './fsync-times.ts'
export { nodeDisk } from './node-disk.ts'
export type { Quarantine, QuarantineEntry, QuarantineReason } from './quarantine.ts'
export type { BufferBatch, BufferRecord } from './reader.ts'
export type { Damage } from './record-walk.ts'
export { type Salvage, type SalvageOptions, salvageRecords } from './salvage.ts'
export type { Appended, RecordSource } from './write-batch.ts'
