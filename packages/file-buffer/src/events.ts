/** What the buffer tells whoever opened it, for the log. Nothing is decided by an event. */
export type FileBufferEvent =
  /** A file was scanned at start-up. */
  | { readonly type: 'recovered'; readonly files: number; readonly records: number; readonly bytes: number }
  /** Bytes of a write that never finished were cut off; they were never acknowledged. */
  | { readonly type: 'torn-tail'; readonly file: string; readonly atByte: number; readonly cutBytes: number }
  /** Records cannot be read; they are in the quarantine, or the file is kept when that is full. */
  | {
      readonly type: 'damaged'
      readonly file: string
      readonly offset: number
      readonly bytes: number
      readonly firstRecord: number
      readonly lastRecord: number | null
    }
  /** Records that were acknowledged are in no file; where none follows them (`beforeFile` null), perhaps more than these. */
  | {
      readonly type: 'missing'
      readonly firstRecord: number
      readonly lastRecord: number
      readonly beforeFile: string | null
    }
  /** A whole file cannot be used (its header is damaged, or of a later version); it was renamed and kept. */
  | { readonly type: 'file-aside'; readonly file: string; readonly reason: string }
  | {
      readonly type: 'write-failed'
      readonly errno: string | null
      readonly message: string
      readonly file: string | null
    }
  /** An append was refused because there is no room for it. */
  | { readonly type: 'full'; readonly reason: string }
  /**
   * The database has drained records of this buffer that were not accepted here: the directory is an older copy of itself.
   * It has another id from now on, under which the records that were accepted here, from `firstRecord` on, are drained.
   */
  | {
      readonly type: 'older-copy'
      readonly bufferId: string
      readonly formerId: string
      readonly firstRecord: number
      readonly drainedThrough: number
    }
  /** Another process took the directory over while this one was frozen; nothing is written any more. */
  | { readonly type: 'lock-lost' }
