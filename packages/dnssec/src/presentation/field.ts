/**
 * What a field of RDATA is: a pair of functions. `read` turns the words of a master file into wire
 * form, `write` turns wire form into those words. The files beside this one hold the fields by kind:
 * number.ts, name.ts, text.ts, address.ts, binary.ts. Which fields a type has is rdata.ts's business.
 */
import { syntaxError, type Words } from './words.ts'

/** Longest RDATA: RDLENGTH has 16 bits (RFC 1035 §3.2.1). */
export const MAX_RDATA_BYTES = 65_535

/** Wire bytes under construction, reused from record to record. */
export class RdataBuffer {
  /** Room for any RDATA, and for one name written behind a full one before the limit is noticed. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(MAX_RDATA_BYTES + 512)
  length = 0

  u8(value: number): void {
    if (this.length >= MAX_RDATA_BYTES) {
      throw syntaxError(`RDATA of over ${MAX_RDATA_BYTES} bytes`)
    }
    this.bytes[this.length++] = value
  }

  u16(value: number): void {
    this.u8(value >>> 8)
    this.u8(value & 0xff)
  }

  u32(value: number): void {
    this.u16(value >>> 16)
    this.u16(value & 0xffff)
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.length)
  }
}

/** Wire bytes being taken apart. Running over the end is the fault of the RDATA: `ok` turns false. */
export class RdataReader {
  readonly bytes: Uint8Array
  at = 0
  ok = true

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  u8(): number {
    if (this.at >= this.bytes.length) this.ok = false
    return this.bytes[this.at++] ?? 0
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8()
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16()
  }

  /** What is left, for fields that have no way to write nothing. */
  takeRest(): Uint8Array {
    if (this.left < 1) this.ok = false
    return this.take(this.left)
  }

  take(n: number): Uint8Array {
    if (n > this.left) this.ok = false
    const taken = this.bytes.subarray(this.at, this.at + n)
    this.at += n
    return taken
  }
}

/** One field of an RDATA. `origin` is what relative names are relative to, in wire form. */
export interface Field {
  /** Takes the words of the field and appends its wire form. Throws DnssecError `bad-zonefile`. */
  read(words: Words, out: RdataBuffer, origin: Uint8Array): void
  /** Takes the wire form of the field and gives its words; `''` for a list of none. */
  write(rdata: RdataReader): string
}

/** Bytes as text: printable ones as they are, those of `special` behind a backslash, others `\DDD`. */
export function escaped(bytes: Uint8Array, special: string, blanks: boolean): string {
  let text = ''
  for (const c of bytes) {
    const char = String.fromCharCode(c)
    if (c > 0x20 && c < 0x7f) text += special.includes(char) ? `\\${char}` : char
    else text += c === 0x20 && blanks ? ' ' : `\\${String(c).padStart(3, '0')}`
  }
  return text
}
