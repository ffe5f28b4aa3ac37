/** The write verb of the store: one flush, one call of queen.push_messages. It never looks into bodies. */
import { messageIdAt } from '../engine/format/message-id.ts'
import type {
  DrainStep,
  Duplicate,
  KnownKeys,
  PushResult,
  SegmentWrite,
  Suspect,
  WriteOutcome,
} from '../ports/push-store.ts'
import type { Sql } from './sql.ts'

interface Row {
  kind: 'diverted' | 'progress' | 'stored' | 'gone' | 'unsure' | 'duplicate' | 'suspect' | 'gap' | 'version'
  place: number | null
  item: number | null
  number: string | null
  at: string | null
  text_value: string | null
  data: Buffer | null
}

const STATEMENT =
  'SELECT kind, place, item, number, at, text_value, data FROM queen.push_messages($1::uuid[],$2::int[],$3::uuid[],$4::int[],$5::bytea,$6::int[],$7::bigint[],$8::bigint[],$9::int[],$10::bigint[],$11::bytea,$12::bytea,$13::bytea,$14::bigint[],$15::boolean,$16::text,$17::bigint,$18::bigint,$19::bigint,$20::uuid[],$21::uuid[])'

const NO_BYTES = Buffer.alloc(0)

const KNOWN_STATEMENT =
  'SELECT diverted, version, places, offsets, times FROM queen.push_known($1::uuid[],$2::int[],$3::uuid[],$4::int[],$5::bytea,$6::bigint[])'

const LEFT_ALONE: WriteOutcome = {
  status: 'unsure',
  duplicates: [],
  confirmed: [],
  innocent: [],
  gap: [],
  unknownUpTo: null,
}

/**
 * One flush of live pushes whose partitions the caller believes to know up to their ends. A place where that is not so is
 * answered `unsure` without a reason and has to come again through pushMessages.
 * @throws StoreError
 */
export async function pushKnown(sql: Sql, writes: readonly SegmentWrite[]): Promise<PushResult> {
  const order = inLockOrder(writes)
  const ids: string[] = []
  const counts: number[] = []
  const bases: string[] = []
  const ends: number[] = []
  const knownTo: number[] = []
  const parts: Uint8Array[] = []
  let end = 0
  for (const index of order) {
    const write = writes[index]!
    ids.push(write.partitionId)
    counts.push(write.count)
    bases.push(write.idBase)
    const bodyEnd = end + write.body.length
    end = bodyEnd + write.keys.length
    ends.push(bodyEnd, end)
    parts.push(write.body, write.keys)
    knownTo.push(write.dedupWindowSeconds === 0 ? -1 : write.knownTo)
  }
  const rows = await sql.run<{
    diverted: boolean
    version: string
    places: string | null
    offsets: string | null
    times: string | null
  }>('push_known', KNOWN_STATEMENT, [ids, counts, bases, ends, joined(parts, end), knownTo])
  const { diverted, version, places, offsets, times: at } = rows[0]!
  if (diverted) return { status: 'diverted' }
  const outcomes: WriteOutcome[] = new Array(writes.length).fill(LEFT_ALONE)
  if (places !== null) {
    const firstOffsets = offsets!.split(',')
    const createdAt = at!.split(',')
    places.split(',').forEach((place, index) => {
      const firstOffset = Number(firstOffsets[index])
      outcomes[order[Number(place)]!] = {
        status: 'stored',
        firstOffset,
        createdAt: createdAt[index]!,
        confirmed: NONE,
        gap: NONE,
      }
    })
  }
  return { status: 'done', outcomes, configVersion: Number(version) }
}

const NONE: readonly never[] = []

/** Partition order is lock order on every instance. */
function inLockOrder(writes: readonly SegmentWrite[]): number[] {
  return writes.map((_, index) => index).sort((a, b) => (writes[a]!.partitionId < writes[b]!.partitionId ? -1 : 1))
}

/**
 * @param atomic all places or none; always so for a drain step.
 * @throws StoreError
 */
export async function pushMessages(
  sql: Sql,
  writes: readonly SegmentWrite[],
  drain: DrainStep | null,
  atomic = drain !== null,
): Promise<PushResult> {
  const order = inLockOrder(writes)
  const ids: string[] = []
  const counts: number[] = []
  const bases: string[] = []
  const ends: number[] = []
  const windows: number[] = []
  const knownFrom: number[] = []
  const knownTo: number[] = []
  const parts: Uint8Array[] = []
  const suspects: Suspect[] = []
  const suspectEnds: number[] = []
  const oldest: (number | null)[] = []
  const suspectIndices: number[] = []
  let end = 0
  order.forEach((index) => {
    const write = writes[index]!
    ids.push(write.partitionId)
    counts.push(write.count)
    bases.push(write.idBase)
    const bodyEnd = end + write.body.length
    end = bodyEnd + write.keys.length
    ends.push(bodyEnd, end)
    parts.push(write.body, write.keys)
    windows.push(write.dedupWindowSeconds)
    knownFrom.push(write.knownFrom)
    knownTo.push(write.knownTo)
    write.suspects.forEach((suspect, suspectIndex) => {
      suspects.push(suspect)
      suspectIndices.push(suspectIndex)
    })
    suspectEnds.push(suspects.length)
    oldest.push(oldestOf(write))
  })
  // The writes of one call are all live or all from a buffer.
  const buffered = writes[0] !== undefined && writes[0].acceptedAtMicros !== null
  const values = [
    ids,
    counts,
    bases,
    ends,
    joined(parts, end),
    windows,
    knownFrom,
    knownTo,
    suspectEnds,
    suspects.map((suspect) => suspect.offset),
    suspects.length === 0 ? NO_BYTES : Buffer.concat(suspects.map((suspect) => suspect.key)),
    buffered ? times(order.flatMap((index) => writes[index]!.acceptedAtMicros ?? [])) : null,
    buffered ? times(suspects.map((suspect) => suspect.acceptedAtMicros ?? 0)) : null,
    buffered ? oldest : null,
    atomic,
    drain?.bufferId ?? null,
    drain?.after ?? null,
    drain?.from ?? null,
    drain?.through ?? null,
    drain?.behind === undefined ? null : [drain.behind.partitionId, drain.behind.idBase],
    drain?.behind?.guessed ?? null,
  ]
  const rows = await sql.run<Row>('push_messages', STATEMENT, values, drain?.isCurrent)
  return readResult(rows, writes, order, suspectIndices)
}

/** The earliest time at which a buffer accepted one of the write's messages. */
function oldestOf(write: SegmentWrite): number | null {
  if (write.acceptedAtMicros === null) return null
  let oldest = Number.POSITIVE_INFINITY
  for (const micros of write.acceptedAtMicros) if (micros < oldest) oldest = micros
  for (const { acceptedAtMicros } of write.suspects) {
    if (acceptedAtMicros !== null && acceptedAtMicros < oldest) oldest = acceptedAtMicros
  }
  return Number.isFinite(oldest) ? oldest : null
}

function readResult(
  rows: Row[],
  writes: readonly SegmentWrite[],
  order: number[],
  suspectIndices: number[],
): PushResult {
  const found = order.map(() => ({
    stored: null as Row | null,
    gone: false,
    unsure: false,
    unknownUpTo: null as number | null,
    duplicates: [] as Duplicate[],
    confirmed: [] as Duplicate[],
    gap: [] as KnownKeys[],
  }))
  let configVersion = 0
  for (const row of rows) {
    if (row.kind === 'diverted') return { status: 'diverted' }
    if (row.kind === 'progress') return { status: 'progress', drainedThrough: Number(row.number) }
    if (row.kind === 'version') {
      configVersion = Number(row.number)
      continue
    }
    const place = found[row.place!]!
    switch (row.kind) {
      case 'stored':
        place.stored = row
        break
      case 'gone':
        place.gone = true
        break
      case 'unsure':
        place.unsure = true
        if (row.number !== null) place.unknownUpTo = Number(row.number)
        break
      case 'duplicate':
        place.duplicates.push({ index: row.item!, messageId: messageIdAt(row.text_value!, Number(row.number)) })
        break
      case 'suspect':
        place.confirmed.push({
          index: suspectIndices[row.item!]!,
          messageId: messageIdAt(row.text_value!, Number(row.number)),
        })
        break
      case 'gap':
        place.gap.push({ firstOffset: Number(row.number), createdAtMs: Date.parse(row.at!), keys: row.data! })
        break
    }
  }
  const outcomes: WriteOutcome[] = new Array(writes.length)
  found.forEach((place, index) => {
    const { confirmed, gap, duplicates, unknownUpTo } = place
    const innocent = place.unsure && unknownUpTo === null ? unconfirmed(writes[order[index]!]!, confirmed) : []
    outcomes[order[index]!] = place.gone
      ? { status: 'gone' }
      : place.unsure
        ? { status: 'unsure', duplicates, confirmed, innocent, gap, unknownUpTo }
        : place.stored !== null
          ? { status: 'stored', firstOffset: Number(place.stored.number), createdAt: place.stored.at!, confirmed, gap }
          : { status: 'held' }
  })
  return { status: 'done', outcomes, configVersion }
}

function unconfirmed(write: SegmentWrite, confirmed: readonly Duplicate[]): number[] {
  const found = new Set(confirmed.map((duplicate) => duplicate.index))
  return write.suspects.flatMap((_, index) => (found.has(index) ? [] : [index]))
}

/** The parts as one buffer; they often lie back to back in one already, and then nothing is copied. */
function joined(parts: readonly Uint8Array[], length: number): Buffer {
  const first = parts[0]
  if (first === undefined) return NO_BYTES
  let at = first.byteOffset
  for (const part of parts) {
    if (part.buffer !== first.buffer || part.byteOffset !== at) return Buffer.concat(parts, length)
    at += part.length
  }
  return Buffer.from(first.buffer, first.byteOffset, length)
}

function times(micros: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(micros.length * 8)
  for (let i = 0; i < micros.length; i++) {
    const value = micros[i]!
    bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), i * 8)
    bytes.writeUInt32BE(value % 0x1_0000_0000, i * 8 + 4)
  }
  return bytes
}

/** @throws StoreError */
export async function readKeys(
  sql: Sql,
  partitionId: string,
  fromOffset: number,
  windowSeconds: number,
  keysMax: number,
): Promise<KnownKeys[]> {
  const rows = await sql.run<{ first_offset: string; created_at: string; keys: Buffer }>(
    'read_keys',
    'SELECT first_offset, created_at, keys FROM queen.read_keys($1::uuid, $2::bigint, $3::int, $4::bigint)',
    [partitionId, fromOffset, windowSeconds, keysMax],
  )
  return rows.map((row) => ({
    firstOffset: Number(row.first_offset),
    createdAtMs: Date.parse(row.created_at),
    keys: row.keys,
  }))
}

/** @throws StoreError */
export async function readDrainProgress(sql: Sql, bufferId: string): Promise<number> {
  const rows = await sql.run<{ drained_through: string }>(
    'read_drain_progress',
    'SELECT drained_through FROM queen.buffer_progress WHERE buffer_id = $1::text',
    [bufferId],
  )
  return rows[0] === undefined ? 0 : Number(rows[0].drained_through)
}
