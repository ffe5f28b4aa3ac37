/**
 * Walks JSON text in a Buffer and reports where values lie, without building them: the payload of a message must leave
 * as the very bytes that came, which JSON.parse cannot promise, and the hot bodies are scanned once instead of being
 * parsed into objects.
 *
 * Invariants: every byte is checked against the JSON grammar (RFC 8259), so text that passes would pass JSON.parse; no
 * recursion, so nesting costs one byte a level and never the stack; nothing is read outside [0, end).
 * It never decodes a payload.
 */
import { isAscii, isUtf8 } from 'node:buffer'

/** What begins as gzip does is never UTF-8; whoever sends it would look for an encoding of the text in vain. */
export function whyNotUtf8(source: Buffer): string {
  return source[0] === 0x1f && source[1] === 0x8b ? 'it is compressed' : 'the text is not UTF-8'
}

export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError'
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OBJECT_OPEN = 0x7b
const OBJECT_CLOSE = 0x7d
const ARRAY_OPEN = 0x5b
const ARRAY_CLOSE = 0x5d
const DELETE = 0x7f
const LOWER_U = 0x75
// In a text of this size a string may take milliseconds: skipValue stops in it, too.
const LONG_STRING_BYTES = 4 * 1024 * 1024
/** No UTF-16 unit takes more bytes of JSON text than as an escape. */
export const ESCAPE_BYTES = 6

// What may not stand raw in a string; between tokens, tab, line feed and carriage return are white space.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f]/

export type JsonKind = 'string' | 'number' | 'object' | 'array' | 'true' | 'false' | 'null'

export class JsonScanner {
  readonly source: Buffer
  /** Where the next token is looked for. */
  position = 0
  /** Of the string last scanned: the positions between its quotes, and whether it holds an escape. */
  stringStart = 0
  stringEnd = 0
  stringEscaped = false
  /** Set when an escape \u0000 is met; the caller resets it. */
  sawNulEscape = false
  /** Where skipValue stops in the middle of a value, so that the caller can let others have their turn. */
  pauseAt: number
  readonly #end: number
  // The whole text, when it is ASCII without DEL: then an unescaped string needs no decoding and has no forbidden character.
  readonly #plainText: string | null
  // Set when the text has neither a backslash nor a control character: then a string ends at the next quote, which the
  // engine's own search finds many bytes at a time (measured: 0.3 ns a byte against 0.8 in a loop).
  readonly #straight: string | null
  // Open containers while skipping a value: 1 = object, 0 = array.
  #open = new Uint8Array(64)
  // How many are open around the value in or before which skipValue stopped; -1 = it did not stop.
  #stoppedIn = -1
  #stoppedInString = false
  readonly #pausesInStrings: boolean

  /** Throws JsonSyntaxError when the bytes are not UTF-8. */
  constructor(source: Buffer) {
    this.source = source
    this.#end = source.length
    this.pauseAt = source.length + 1
    if (isAscii(source)) {
      this.#plainText = source.includes(DELETE) ? null : source.latin1Slice(0, source.length)
    } else {
      if (!isUtf8(source)) throw new JsonSyntaxError(whyNotUtf8(source))
      this.#plainText = null
    }
    const plain = this.#plainText
    this.#straight = plain !== null && !source.includes(BACKSLASH) && !CONTROL.test(plain) ? plain : null
    this.#pausesInStrings = this.#straight === null && source.length >= LONG_STRING_BYTES
  }

  /** Whether an unescaped string of this text can hold neither control characters nor anything beyond ASCII. */
  get plain(): boolean {
    return this.#plainText !== null
  }

  get sliceEnded(): boolean {
    return this.position >= this.pauseAt
  }

  /** The next token's first byte, white space skipped; -1 at the end. */
  peek(): number {
    const source = this.source
    let position = this.position
    while (position < this.#end) {
      const byte = source[position]!
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
        this.position = position
        return byte
      }
      position++
    }
    this.position = position
    return -1
  }

  /** Throws unless only white space is left. */
  expectEnd(): void {
    if (this.peek() !== -1) this.fail('something follows the value')
  }

  /** Enters an object. False when it is empty (then it is left already). */
  enterObject(): boolean {
    this.position++
    if (this.peek() !== OBJECT_CLOSE) return true
    this.position++
    return false
  }

  /** Reads a key and its colon: stringStart, stringEnd and stringEscaped say what it is. */
  readKey(): void {
    if (this.peek() !== QUOTE) this.fail('a key is expected')
    this.#scanString()
    if (this.peek() !== COLON) this.fail('a colon is expected')
    this.position++
  }

  /** After a member: true when another follows, false when the object has ended. */
  nextMember(): boolean {
    const byte = this.peek()
    this.position++
    if (byte === COMMA) return true
    if (byte === OBJECT_CLOSE) return false
    return this.fail('a comma or } is expected')
  }

  enterArray(): boolean {
    this.position++
    if (this.peek() !== ARRAY_CLOSE) return true
    this.position++
    return false
  }

  nextElement(): boolean {
    const byte = this.peek()
    this.position++
    if (byte === COMMA) return true
    if (byte === ARRAY_CLOSE) return false
    return this.fail('a comma or ] is expected')
  }

  /** What kind of value comes next; does not move past it. */
  kind(): JsonKind {
    const byte = this.peek()
    switch (byte) {
      case QUOTE:
        return 'string'
      case OBJECT_OPEN:
        return 'object'
      case ARRAY_OPEN:
        return 'array'
      case 0x74:
        return 'true'
      case 0x66:
        return 'false'
      case 0x6e:
        return 'null'
      default:
        if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) return 'number'
        return this.fail('a value is expected')
    }
  }

  /** Moves past the string that comes next; see stringStart, stringEnd, stringEscaped. */
  skipString(): void {
    this.peek()
    this.#scanString()
  }

  /** The string last scanned, decoded. */
  stringValue(): string {
    if (this.stringEscaped) return JSON.parse(this.source.utf8Slice(this.stringStart - 1, this.stringEnd + 1)) as string
    if (this.#plainText !== null) return this.#plainText.substring(this.stringStart, this.stringEnd)
    return this.source.utf8Slice(this.stringStart, this.stringEnd)
  }

  /** The same of a string that may be as long as the body: no more than its first `unitsMax` UTF-16 units. */
  stringBeginning(unitsMax: number): string {
    const { source, stringStart: start, stringEnd: end } = this
    const enough = start + ESCAPE_BYTES * unitsMax
    let text: string
    if (end <= enough) {
      text = this.stringValue()
    } else {
      let at = start
      while (at < enough) at += source[at] !== BACKSLASH ? 1 : source[at + 1] === LOWER_U ? ESCAPE_BYTES : 2
      // To the end of a character of several bytes.
      while ((source[at]! & 0xc0) === 0x80) at++
      text = source.utf8Slice(start, at)
      if (this.stringEscaped) text = JSON.parse(`"${text}"`) as string
    }
    return text.length > unitsMax ? text.slice(0, unitsMax) : text
  }

  /** Whether the string last scanned is exactly `text` (ASCII). */
  stringIs(text: string): boolean {
    const start = this.stringStart
    if (this.stringEscaped) return this.stringEnd - start <= ESCAPE_BYTES * text.length && this.stringValue() === text
    if (this.stringEnd - start !== text.length) return false
    for (let i = 0; i < text.length; i++) if (this.source[start + i] !== text.charCodeAt(i)) return false
    return true
  }

  /** Moves past any value and checks all of it. False = it stopped at `pauseAt`; the rest is skipRest's. */
  skipValue(): boolean {
    return this.#skip(0)
  }

  /** Goes on where skipValue stopped, if it did. False = it stopped again. */
  skipRest(): boolean {
    const depth = this.#stoppedIn
    this.#stoppedIn = -1
    return depth < 0 || this.#skip(depth)
  }

  /** Moves past the value that comes next in so many open containers, and to the end of them. */
  #skip(depth: number): boolean {
    const { source, pauseAt } = this
    for (;;) {
      if (this.position >= pauseAt) {
        this.#stoppedIn = depth
        return false
      }
      const byte = this.#stoppedInString ? QUOTE : this.peek()
      if (byte === QUOTE) {
        if (!this.#pausesInStrings) {
          this.#scanString()
        } else if (!this.#skipString()) {
          this.#stoppedIn = depth
          return false
        }
      } else if (byte === OBJECT_OPEN) {
        if (this.enterObject()) {
          depth = this.#push(depth, 1)
          this.readKey()
          continue
        }
      } else if (byte === ARRAY_OPEN) {
        if (this.enterArray()) {
          depth = this.#push(depth, 0)
          continue
        }
      } else if (byte === 0x74) {
        this.#word(0x72, 0x75, 0x65)
      } else if (byte === 0x6e) {
        this.#word(0x75, 0x6c, 0x6c)
      } else if (byte === 0x66) {
        this.position++
        if (source[this.position] !== 0x61) this.fail('false is expected')
        this.#word(0x6c, 0x73, 0x65)
      } else {
        this.#skipNumber(byte)
      }
      // A value has ended: close what it ends.
      for (;;) {
        if (depth === 0) return true
        if (this.#open[depth - 1] === 1) {
          if (this.nextMember()) {
            this.readKey()
            break
          }
        } else if (this.nextElement()) {
          break
        }
        depth--
      }
    }
  }

  /** The integer or number that comes next. */
  readNumber(): number {
    const first = this.peek()
    const start = this.position
    this.#skipNumber(first)
    return Number(this.source.latin1Slice(start, this.position))
  }

  fail(what: string): never {
    throw new JsonSyntaxError(`${what} at byte ${Math.min(this.position, this.#end)}`)
  }

  #push(depth: number, kind: number): number {
    if (depth === this.#open.length) {
      const larger = new Uint8Array(depth * 2)
      larger.set(this.#open)
      this.#open = larger
    }
    this.#open[depth] = kind
    return depth + 1
  }

  #scanString(): void {
    const source = this.source
    const end = this.#end
    let position = this.position + 1
    this.stringStart = position
    this.stringEscaped = false
    if (this.#straight !== null) {
      position = this.#straight.indexOf('"', position)
      if (position === -1) {
        this.position = end
        this.fail('a string does not end')
      }
      this.stringEnd = position
      this.position = position + 1
      return
    }
    while (position < end) {
      const byte = source[position]!
      if (byte === QUOTE) {
        this.stringEnd = position
        this.position = position + 1
        return
      }
      if (byte === BACKSLASH) {
        this.stringEscaped = true
        position = this.#escape(position + 1)
      } else if (byte < 0x20) {
        this.position = position
        this.fail('a control character stands in a string')
      } else {
        position++
      }
    }
    this.position = end
    this.fail('a string does not end')
  }

  /** The same of a string that nobody reads, up to `pauseAt`. False = it goes on. */
  #skipString(): boolean {
    const { source, pauseAt } = this
    let position = this.#stoppedInString ? this.position : this.position + 1
    this.#stoppedInString = false
    while (position < this.#end) {
      if (position >= pauseAt) {
        this.#stoppedInString = true
        this.position = position
        return false
      }
      const byte = source[position]!
      if (byte === QUOTE) {
        this.position = position + 1
        return true
      }
      if (byte === BACKSLASH) {
        position = this.#escape(position + 1)
      } else if (byte < 0x20) {
        this.position = position
        this.fail('a control character stands in a string')
      } else {
        position++
      }
    }
    this.position = this.#end
    return this.fail('a string does not end')
  }

  #escape(at: number): number {
    const byte = this.source[at]
    if (byte === LOWER_U) {
      let zeros = 0
      for (let i = 1; i <= 4; i++) {
        const digit = this.source[at + i]
        const isHex =
          digit !== undefined &&
          ((digit >= 0x30 && digit <= 0x39) || (digit >= 0x41 && digit <= 0x46) || (digit >= 0x61 && digit <= 0x66))
        if (!isHex) {
          this.position = at
          this.fail('an escape is not valid')
        }
        if (digit === 0x30) zeros++
      }
      if (zeros === 4) this.sawNulEscape = true
      return at + 5
    }
    // " \ / b f n r t
    if (
      byte === QUOTE ||
      byte === BACKSLASH ||
      byte === 0x2f ||
      byte === 0x62 ||
      byte === 0x66 ||
      byte === 0x6e ||
      byte === 0x72 ||
      byte === 0x74
    ) {
      return at + 1
    }
    this.position = at
    return this.fail('an escape is not valid')
  }

  /** Three more letters of true or null, or of false after its f. */
  #word(second: number, third: number, fourth: number): void {
    const { source, position } = this
    if (source[position + 1] !== second || source[position + 2] !== third || source[position + 3] !== fourth) {
      this.fail('a value is expected')
    }
    this.position = position + 4
  }

  #skipNumber(first: number): void {
    const source = this.source
    let position = this.position
    let byte: number | undefined = first
    if (byte === 0x2d) byte = source[++position]
    if (byte === 0x30) {
      byte = source[++position]
    } else {
      if (!isDigit(byte)) this.fail('a value is expected')
      do byte = source[++position]
      while (isDigit(byte))
    }
    if (byte === 0x2e) {
      byte = source[++position]
      if (!isDigit(byte)) this.fail('a digit is expected')
      do byte = source[++position]
      while (isDigit(byte))
    }
    if (byte === 0x65 || byte === 0x45) {
      byte = source[++position]
      if (byte === 0x2b || byte === 0x2d) byte = source[++position]
      if (!isDigit(byte)) this.fail('a digit is expected')
      do byte = source[++position]
      while (isDigit(byte))
    }
    this.position = position
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}
