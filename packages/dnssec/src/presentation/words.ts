/**
 * The words of a master file (RFC 1035 §5.1), found in bytes.
 *
 * A record is what stands up to the end of a line, or to the end of the line where the last
 * parenthesis is closed. Words are parted by blanks, tabs and parentheses; `;` starts a comment;
 * `"…"` is one word that may hold blanks; `\` takes the meaning from the next character (`\X`, or
 * `\DDD` for the byte of that decimal value).
 *
 *     example  IN  SOA  ns1 admin ( 2024071900 ; serial
 *                                   1800 900 604800 86400 )
 *
 * is one record of ten words. Words are kept as offsets into the bytes they came from, with their
 * escapes still in: a zone of a million records makes no million strings. What a word means, and
 * what a blank at the start of a line means, is left to zonefile.ts and rdata.ts.
 */
import { DnssecError } from '../error.ts'

/**
 * Longest record of a master file in bytes, comments and line breaks counted. RDATA has at most
 * 65,535 bytes, and `\DDD` is the longest way to write one byte: 262,140. The rest is room for layout.
 */
export const MAX_RECORD_BYTES: number = 384 * 1024

/** Most words in one record: RDATA of 65,535 bytes written two bytes a word is half of this. */
export const MAX_RECORD_WORDS = 65_536

/** A fault in the text of a master file or of one RDATA, without the line: zonefile.ts adds that. */
export function syntaxError(message: string): DnssecError {
  return new DnssecError('bad-zonefile', message)
}

const WORD = 0
const BLANK = 1
const NEWLINE = 2
const OPEN = 3
const CLOSE = 4
const COMMENT = 5
const QUOTE = 6
const ESCAPE = 7
const CONTROL = 8

const CLASS = new Uint8Array(256)
CLASS.fill(CONTROL, 0, 0x20)
CLASS[0x7f] = CONTROL
CLASS[0x09] = BLANK
CLASS[0x0d] = BLANK
CLASS[0x20] = BLANK
CLASS[0x0a] = NEWLINE
CLASS[0x28] = OPEN
CLASS[0x29] = CLOSE
CLASS[0x3b] = COMMENT
CLASS[0x22] = QUOTE
CLASS[0x5c] = ESCAPE

/** Longest piece of a faulty word that an error message repeats, in characters. */
const SHOWN = 40

/**
 * The words of the record that was scanned last, and a cursor over them. One object serves a whole
 * file: every `scan` forgets the words before it.
 */
export class Words {
  /** Where the words lie. */
  bytes: Uint8Array = new Uint8Array(0)
  /** How many words the record has. */
  count = 0
  /** The next word to take. */
  at = 0
  /** True if the first line of the record begins with a blank: RFC 1035's "owner as before". */
  indented = false
  /** Line ends met by the last `scan`, inside the record and at its end. */
  lines = 0

  #starts = new Int32Array(64)
  #ends = new Int32Array(64)
  #quoted = new Uint8Array(64)

  /**
   * Reads one record, or one empty line (`count` 0), that begins at `from`.
   * @param last true if nothing follows `to`: a record may then end without a line end
   * @returns the offset behind the record; -1 if it does not end before `to` and more may follow
   */
  scan(bytes: Uint8Array, from: number, to: number, last: boolean): number {
    this.bytes = bytes
    this.count = 0
    this.at = 0
    this.lines = 0
    this.indented = from < to && CLASS[bytes[from]!] === BLANK
    let depth = 0
    let p = from
    while (p < to) {
      const kind = CLASS[bytes[p]!]!
      if (kind === WORD || kind === ESCAPE) {
        const start = p
        p = this.#wordEnd(bytes, p, to)
        if (p === to && !last) break
        this.#push(start, p, 0)
      } else if (kind === BLANK) {
        p++
      } else if (kind === NEWLINE) {
        this.lines++
        p++
        if (depth === 0) return checkedEnd(from, p)
      } else if (kind === COMMENT) {
        do p++
        while (p < to && bytes[p] !== 0x0a)
      } else if (kind === QUOTE) {
        const start = p + 1
        p = quoteEnd(bytes, start, to, last)
        if (p < 0) break
        this.#push(start, p, 1)
        p++
        if (p < to && isWordByte(bytes[p]!)) {
          throw syntaxError('a quoted string must be followed by a blank')
        }
      } else if (kind === OPEN) {
        depth++
        p++
      } else if (kind === CLOSE) {
        if (depth === 0) throw syntaxError('a closing parenthesis that was never opened')
        depth--
        p++
      } else {
        throw syntaxError(`a control character (0x${bytes[p]!.toString(16).padStart(2, '0')})`)
      }
    }
    if (last) {
      if (depth > 0) throw syntaxError('the file ends inside parentheses: it is cut off')
      return checkedEnd(from, to)
    }
    checkedEnd(from, to)
    return -1
  }

  #wordEnd(bytes: Uint8Array, from: number, to: number): number {
    let p = from
    while (p < to) {
      const kind = CLASS[bytes[p]!]!
      if (kind === WORD) p++
      else if (kind === ESCAPE) {
        if (p + 1 < to && bytes[p + 1] === 0x0a) {
          throw syntaxError('a line that ends in a backslash')
        }
        p = Math.min(p + 2, to)
      } else if (kind === QUOTE) {
        throw syntaxError(`a quote inside a word: ${shown(bytes, from, p + 1)}`)
      } else break
    }
    return p
  }

  #push(start: number, end: number, quoted: 0 | 1): void {
    const n = this.count
    if (n === MAX_RECORD_WORDS) throw syntaxError(`a record of over ${MAX_RECORD_WORDS} words`)
    if (n === this.#starts.length) {
      this.#starts = grown(this.#starts)
      this.#ends = grown(this.#ends)
      const flags = new Uint8Array(n * 2)
      flags.set(this.#quoted)
      this.#quoted = flags
    }
    this.#starts[n] = start
    this.#ends[n] = end
    this.#quoted[n] = quoted
    this.count = n + 1
  }

  /** Words not yet taken. */
  get left(): number {
    return this.count - this.at
  }

  /**
   * Takes the next word and returns its number, for `start`, `end` and `quoted`.
   * @param what what is missing if there is none, for the message
   */
  take(what: string): number {
    if (this.at >= this.count) throw syntaxError(`${what} is missing`)
    return this.at++
  }

  /** Offset of the first byte of word `i`, behind the quote of a quoted one. */
  start(i: number): number {
    return this.#starts[i]!
  }

  /** Offset behind the last byte of word `i`, before the quote of a quoted one. */
  end(i: number): number {
    return this.#ends[i]!
  }

  /** True if word `i` stands in quotes. */
  quoted(i: number): boolean {
    return this.#quoted[i] === 1
  }

  /** Word `i` as written, a character a byte; for mnemonics, and for messages with `shown`. */
  text(i: number): string {
    let text = ''
    for (let p = this.#starts[i]!; p < this.#ends[i]!; p++) {
      text += String.fromCharCode(this.bytes[p]!)
    }
    return text
  }

  /** Word `i` in the quotes of a message, cut where it is long. */
  shown(i: number): string {
    return shown(this.bytes, this.start(i), this.end(i))
  }
}

/**
 * Reads one escape of a word.
 * @param at offset of the backslash
 * @param to offset behind the word
 * @returns the byte meant, and how many bytes of text it took, as `value + 256 * length`
 */
export function readEscape(bytes: Uint8Array, at: number, to: number): number {
  if (at + 1 >= to) throw syntaxError('a word that ends in a backslash')
  const first = bytes[at + 1]!
  if (first < 0x30 || first > 0x39) return first + 256 * 2
  let value = 0
  for (let p = at + 1; p < at + 4; p++) {
    const digit = p < to ? bytes[p]! - 0x30 : -1
    if (digit < 0 || digit > 9) throw syntaxError('a backslash and a digit without two more digits')
    value = value * 10 + digit
  }
  if (value > 255) throw syntaxError(`\\${value} is not a byte`)
  return value + 256 * 4
}

function quoteEnd(bytes: Uint8Array, from: number, to: number, last: boolean): number {
  let p = from
  while (p < to) {
    const c = bytes[p]!
    if (c === 0x22) return p
    if (c === 0x0a) throw syntaxError('a quoted string that does not end on its line')
    p += c === 0x5c && bytes[p + 1] !== 0x0a ? 2 : 1
  }
  if (last) throw syntaxError('the file ends inside a quoted string: it is cut off')
  return -1
}

function checkedEnd(from: number, end: number): number {
  if (end - from > MAX_RECORD_BYTES) {
    throw syntaxError(`a record of over ${MAX_RECORD_BYTES} bytes`)
  }
  return end
}

function isWordByte(c: number): boolean {
  const kind = CLASS[c]!
  return kind === WORD || kind === ESCAPE || kind === QUOTE
}

function grown(old: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const bigger = new Int32Array(old.length * 2)
  bigger.set(old)
  return bigger
}

function shown(bytes: Uint8Array, from: number, to: number): string {
  let text = ''
  for (let p = from; p < Math.min(to, from + SHOWN); p++) {
    const c = bytes[p]!
    text += c > 0x1f && c < 0x7f ? String.fromCharCode(c) : `\\${String(c).padStart(3, '0')}`
  }
  return `"${text}${to - from > SHOWN ? '…' : ''}"`
}
