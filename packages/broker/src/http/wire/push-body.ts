/**
 * The body of a push: `{"items": [{queue, partition?, payload | data, transactionId?, traceId?}], bufferMs?, bufferMax?}`
 * becomes PushItems that point at their payload's bytes. A bad item carries its refusal and leaves the others alone; a
 * body of the wrong shape is refused as a whole.
 *
 * It never copies or decodes a payload, nor a name that is too long to be one.
 */
import { DEFAULT_PARTITION, isName, isUuid, LIMITS } from '@queen/protocol'
import { PushItem } from '../../engine/push/push-item.ts'
import { Refusal } from '../../engine/refusal.ts'
import { ESCAPE_BYTES, JsonScanner, JsonSyntaxError } from './json-scanner.ts'
import { inOneGo, inSlices, pause, SLICE_BYTES, type Steps } from './steps.ts'

export interface ParsedPush {
  /** Every element of `items` in order; a bad one has status 'failed' with code and error. */
  readonly items: PushItem[]
  readonly bufferMs: number
  readonly bufferMax: number
}

export interface PushLimits {
  readonly itemsMax: number
  readonly payloadBytesMax: number
}

const NULL_PAYLOAD = Buffer.from('null')
const ARRAY_OPEN = 0x5b
const OBJECT_OPEN = 0x7b
const QUOTE = 0x22
// Two UTF-16 units a code point at most.
const NAME_BYTES_MAX = ESCAPE_BYTES * 2 * LIMITS.nameCodePointsMax
// One more than the longest key has, so that a longer one is not taken for it.
const KEY_UNITS_MAX = 'transactionId'.length + 1

// So many items are read in one go, about a quarter of a millisecond: the next small request waits no longer than that.
const SLICE_ITEMS = 250

export function parsePushBody(
  body: Buffer,
  limits: PushLimits,
  producerSub: string | null,
  sliceBytes?: number,
): ParsedPush {
  return inOneGo(readPush(body, limits, producerSub, sliceBytes))
}

export function parsePushBodyInSlices(
  body: Buffer,
  limits: PushLimits,
  producerSub: string | null,
): Promise<ParsedPush> {
  return inSlices(readPush(body, limits, producerSub))
}

export function* readPush(
  body: Buffer,
  limits: PushLimits,
  producerSub: string | null,
  sliceBytes = SLICE_BYTES,
): Steps<ParsedPush> {
  if (body.length === 0) throw new Refusal('BODY_REQUIRED')
  try {
    return yield* new PushBodyReader(body, limits, producerSub, sliceBytes).read()
  } catch (error) {
    if (error instanceof JsonSyntaxError)
      throw new Refusal('INVALID_JSON', `The request body is not valid JSON: ${error.message}`)
    throw error
  }
}

/** Reads the body; yields after every slice of it. */
class PushBodyReader {
  readonly #scanner: JsonScanner
  readonly #limits: PushLimits
  readonly #producerSub: string | null
  readonly #sliceBytes: number
  // The names of the item before: most requests repeat them.
  #queueBefore: NameBefore = { start: 0, end: 0, text: '' }
  #partitionBefore: NameBefore = { start: 0, end: 0, text: '' }
  #half: HalfItem | null = null

  constructor(body: Buffer, limits: PushLimits, producerSub: string | null, sliceBytes: number) {
    try {
      this.#scanner = new JsonScanner(body)
    } catch (error) {
      if (error instanceof JsonSyntaxError)
        throw new Refusal('INVALID_JSON', `The request body is not valid JSON: ${error.message}`)
      throw error
    }
    this.#sliceBytes = sliceBytes
    this.#scanner.pauseAt = sliceBytes
    this.#limits = limits
    this.#producerSub = producerSub
  }

  *read(): Steps<ParsedPush> {
    const scanner = this.#scanner
    let items: PushItem[] | null = null
    let shape: Refusal | null = null
    let bufferMs = 0
    let bufferMax: number = LIMITS.bufferMaxDefault
    if (scanner.peek() !== OBJECT_OPEN) {
      if (!scanner.skipValue()) yield* this.#pause()
      scanner.expectEnd()
      throw new Refusal('INVALID_BODY', 'The request body must be a JSON object')
    }
    if (scanner.enterObject()) {
      do {
        scanner.readKey()
        if (scanner.stringIs('items')) {
          shape = null
          items = null
          if (scanner.peek() === ARRAY_OPEN) {
            items = []
            shape = yield* this.#readItems(items)
          } else {
            scanner.skipValue()
          }
        } else if (scanner.stringIs('bufferMs')) {
          bufferMs = this.#readLimit('bufferMs', 0, LIMITS.bufferMsMax, 0)
        } else if (scanner.stringIs('bufferMax')) {
          bufferMax = this.#readLimit('bufferMax', 1, LIMITS.itemsMax, LIMITS.bufferMaxDefault)
        } else {
          scanner.skipValue()
        }
        if (scanner.sliceEnded) yield* this.#pause()
      } while (scanner.nextMember())
    }
    scanner.expectEnd()
    for (const refusal of this.#badFields.values()) throw refusal
    if (shape !== null) throw shape
    if (items === null) throw new Refusal('INVALID_BODY', "'items' must be an array", { details: { field: 'items' } })
    return { items, bufferMs, bufferMax }
  }

  #pause(): Steps<void> {
    return pause(this.#scanner, this.#sliceBytes)
  }

  // By name: of a field that is repeated the last one counts.
  readonly #badFields = new Map<string, Refusal>()

  #readLimit(field: string, min: number, max: number, fallback: number): number {
    this.#badFields.delete(field)
    const kind = this.#scanner.kind()
    if (kind === 'null') {
      this.#scanner.skipValue()
      return fallback
    }
    let value = Number.NaN
    if (kind === 'number') value = this.#scanner.readNumber()
    else this.#scanner.skipValue()
    if (!Number.isInteger(value)) {
      this.#badFields.set(
        field,
        new Refusal('INVALID_BODY', `'${field}' must be a whole number`, { details: { field } }),
      )
      return fallback
    }
    return Math.min(Math.max(value, min), max)
  }

  /** Fills `items`; returns the refusal of the whole body, if any, after the text was checked to its end. */
  *#readItems(items: PushItem[]): Steps<Refusal | null> {
    const scanner = this.#scanner
    let refusal: Refusal | null = null
    let count = 0
    if (!scanner.enterArray()) return null
    do {
      count++
      if (scanner.peek() !== OBJECT_OPEN) {
        scanner.skipValue()
        refusal ??= new Refusal('INVALID_BODY', `items[${count - 1}] is not an object`, {
          details: { field: `items[${count - 1}]` },
        })
      } else if (count > this.#limits.itemsMax || refusal !== null) {
        scanner.skipValue()
      } else {
        let item = this.#readItem()
        while (item === null) {
          yield* this.#pause()
          item = this.#readItem()
        }
        items.push(item)
        if (count % SLICE_ITEMS === 0) yield* this.#pause()
      }
      if (scanner.sliceEnded) yield* this.#pause()
    } while (scanner.nextElement())
    if (refusal === null && count > this.#limits.itemsMax) {
      refusal = new Refusal(
        'TOO_MANY_ITEMS',
        `A push may have at most ${this.#limits.itemsMax} items; this one has ${count}`,
      )
    }
    return refusal
  }

  /** null = its end lies beyond this slice: what was read of it is kept for the next call, which goes on. */
  #readItem(): PushItem | null {
    const scanner = this.#scanner
    const half = this.#half
    let queue: string | null = null
    let partition: string | null = DEFAULT_PARTITION
    let transactionId: string | null = ''
    let idStart = -1
    let idEnd = -1
    let traceId: string | null = null
    let payloadStart = -1
    let payloadEnd = -1
    let payloadNul = false
    let dataStart = -1
    let dataEnd = -1
    let dataNul = false
    let badQueue = false
    let badPartition = false
    let badTransactionId = false
    let badTraceId = false
    let more: boolean
    if (half === null) {
      more = scanner.enterObject()
    } else {
      this.#half = null
      ;({ queue, partition, transactionId, idStart, idEnd, traceId } = half)
      ;({ payloadStart, payloadEnd, payloadNul, dataStart, dataEnd, dataNul } = half)
      ;({ badQueue, badPartition, badTransactionId, badTraceId } = half)
      // The slice may have ended in the middle of one of these.
      if (half.field === 'payload') {
        payloadEnd = scanner.position
        payloadNul = scanner.sawNulEscape
      } else if (half.field === 'data') {
        dataEnd = scanner.position
        dataNul = scanner.sawNulEscape
      }
      more = scanner.nextMember()
    }
    while (more) {
      scanner.readKey()
      const field = this.#field()
      switch (field) {
        case 'queue':
          queue = this.#readName(this.#queueBefore)
          badQueue = queue === null || !this.#isName(queue, scanner.stringEscaped)
          break
        case 'partition':
          if (scanner.kind() === 'null') {
            scanner.skipValue()
            partition = DEFAULT_PARTITION
            badPartition = false
          } else {
            partition = this.#readName(this.#partitionBefore)
            badPartition = partition === null || !this.#isName(partition, scanner.stringEscaped)
          }
          break
        case 'payload':
          scanner.peek()
          scanner.sawNulEscape = false
          payloadStart = scanner.position
          scanner.skipValue()
          payloadEnd = scanner.position
          payloadNul = scanner.sawNulEscape
          break
        case 'data':
          scanner.peek()
          scanner.sawNulEscape = false
          dataStart = scanner.position
          scanner.skipValue()
          dataEnd = scanner.position
          dataNul = scanner.sawNulEscape
          break
        case 'transactionId':
          transactionId = this.#readText(true)
          idStart = this.#textStart
          idEnd = scanner.stringEnd
          if (idStart !== -1) badTransactionId = idEnd - idStart > LIMITS.nameCodePointsMax
          else badTransactionId = transactionId === null || (transactionId !== '' && !isName(transactionId))
          break
        case 'traceId':
          traceId = this.#readText(false)
          badTraceId = traceId === null || (traceId !== '' && !isUuid(traceId))
          break
        default:
          scanner.skipValue()
      }
      if (scanner.position >= scanner.pauseAt) {
        this.#half = {
          ...{ field, queue, partition, transactionId, idStart, idEnd, traceId },
          ...{ payloadStart, payloadEnd, payloadNul, dataStart, dataEnd, dataNul },
          ...{ badQueue, badPartition, badTransactionId, badTraceId },
        }
        return null
      }
      more = scanner.nextMember()
    }
    if (payloadStart === -1) {
      payloadStart = dataStart
      payloadEnd = dataEnd
      payloadNul = dataNul
    }
    const noPayload = payloadStart === -1
    const inSource = idStart !== -1 && !noPayload && !badTransactionId
    // An id that the item does not point at, having no payload of the body's or being too long, is read after all.
    if (idStart !== -1 && !inSource) transactionId = scanner.source.latin1Slice(idStart, idEnd)
    const item = new PushItem(
      // A failed item shows the names as they were sent, or null: the answer takes them from here.
      (badQueue ? shown(queue) : queue) as string,
      (badPartition ? shown(partition) : partition) as string,
      inSource ? null : ((badTransactionId ? shown(transactionId) : transactionId) ?? ''),
      traceId === null || traceId === '' || badTraceId ? null : traceId.toLowerCase(),
      this.#producerSub,
      noPayload ? NULL_PAYLOAD : scanner.source,
      noPayload ? 0 : payloadStart,
      noPayload ? 4 : payloadEnd,
      inSource ? idStart : -1,
      inSource ? idEnd : -1,
    )
    if (queue === null || badQueue) {
      item.fail('INVALID_NAME', "'queue' must be a name of 1 to 255 characters without control characters")
    } else if (partition === null || badPartition) {
      item.fail('INVALID_NAME', "'partition' must be a name of 1 to 255 characters without control characters")
    } else if (badTransactionId) {
      item.fail('INVALID_NAME', "'transactionId' must have 1 to 255 characters and no control characters")
    } else if (badTraceId) {
      item.fail('INVALID_TRACE_ID', 'traceId is not a UUID')
    } else if (payloadNul) {
      item.fail('INVALID_PAYLOAD', 'The payload contains the escape \\u0000, which cannot be stored')
    } else if (payloadEnd - payloadStart > this.#limits.payloadBytesMax) {
      item.fail('PAYLOAD_TOO_LARGE', `The payload is larger than ${this.#limits.payloadBytesMax} bytes`)
    }
    return item
  }

  /** The key last read, when it is one of ours. */
  #field(): string {
    const scanner = this.#scanner
    if (scanner.stringEscaped) return scanner.stringBeginning(KEY_UNITS_MAX)
    switch (scanner.stringEnd - scanner.stringStart) {
      case 4:
        return scanner.stringIs('data') ? 'data' : ''
      case 5:
        return scanner.stringIs('queue') ? 'queue' : ''
      case 7:
        return scanner.stringIs('payload') ? 'payload' : scanner.stringIs('traceId') ? 'traceId' : ''
      case 9:
        return scanner.stringIs('partition') ? 'partition' : ''
      case 13:
        return scanner.stringIs('transactionId') ? 'transactionId' : ''
      default:
        return ''
    }
  }

  /** Where the text that was left in place begins; -1 = it was read, or is empty. */
  #textStart = -1

  /**
   * A string, '' for null, null for anything else and for what is too long for any text of ours. `inPlace`: what lies in
   * the body one byte a character is left there, and '' returned.
   */
  #readText(inPlace: boolean): string | null {
    const scanner = this.#scanner
    this.#textStart = -1
    if (scanner.peek() === QUOTE) {
      scanner.skipString()
      const { stringStart, stringEnd } = scanner
      if (stringEnd - stringStart > NAME_BYTES_MAX) return null
      if (inPlace && scanner.plain && !scanner.stringEscaped && stringEnd > stringStart) {
        this.#textStart = stringStart
        return ''
      }
      return scanner.stringValue()
    }
    const kind = scanner.kind()
    scanner.skipValue()
    return kind === 'null' ? '' : null
  }

  #readName(before: NameBefore): string | null {
    const scanner = this.#scanner
    if (scanner.peek() !== QUOTE) {
      scanner.skipValue()
      return null
    }
    scanner.skipString()
    const { stringStart: start, stringEnd: end, source } = scanner
    if (end - start > NAME_BYTES_MAX) return null
    if (scanner.stringEscaped) return scanner.stringValue()
    if (end - start === before.end - before.start && before.end !== 0) {
      let i = start
      let j = before.start
      while (i < end && source[i] === source[j]) {
        i++
        j++
      }
      if (i === end) return before.text
    }
    before.start = start
    before.end = end
    before.text = scanner.stringValue()
    return before.text
  }

  /** In a plain text only an escape can bring a forbidden character, so most names need no look at their characters. */
  #isName(text: string, escaped: boolean): boolean {
    if (this.#scanner.plain && !escaped) return text.length !== 0 && text.length <= LIMITS.nameCodePointsMax
    return isName(text)
  }
}

/** An item that is read to the end of its slice. */
interface HalfItem {
  /** Whose value was read last, or is being read. */
  readonly field: string
  readonly queue: string | null
  readonly partition: string | null
  readonly transactionId: string | null
  readonly idStart: number
  readonly idEnd: number
  readonly traceId: string | null
  readonly payloadStart: number
  readonly payloadEnd: number
  readonly payloadNul: boolean
  readonly dataStart: number
  readonly dataEnd: number
  readonly dataNul: boolean
  readonly badQueue: boolean
  readonly badPartition: boolean
  readonly badTransactionId: boolean
  readonly badTraceId: boolean
}

interface NameBefore {
  start: number
  end: number
  text: string
}

/** A bad name as the answer shows it: one that is too long would make the answer many times as long as the request. */
function shown(name: string | null): string | null {
  return name !== null && name.length > LIMITS.nameCodePointsMax ? null : name
}
