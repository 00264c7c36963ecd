/**
 * The fields that RDATA is made of, each as a pair: `read` turns the words of a master file into
 * wire form, `write` turns wire form into those words.
 *
 * Presentation forms: RFC 1035 §5.1 (names, character strings, addresses, numbers), RFC 4034 §2.2,
 * 3.2, 4.2, 5.3 (keys, times, type bitmaps, digests), RFC 5155 §3.3 (salt, hash), RFC 4291 §2.2
 * (IPv6), RFC 8659 §4.1 (tag and value of CAA). Names in RDATA keep the case they were written in:
 * whether they are lower-cased for a signature depends on the type (RFC 6840 §5.1), and is decided
 * in records.ts. Which fields a type has is rdata.ts's business.
 */
import { toBase64, toHex } from '@dslog/tlog/bytes'
import { MAX_LABEL_BYTES, MAX_NAME_BYTES } from './name.ts'
import { readEscape, syntaxError, type Words } from './words.ts'

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

// --- numbers -------------------------------------------------------------------------------------

/** Reads word `i` as a decimal number up to `max`; -1 if it is not one. */
export function decimalOf(words: Words, i: number, max: number): number {
  const { bytes } = words
  const from = words.start(i)
  const to = words.end(i)
  if (from === to || to - from > 10) return -1
  let value = 0
  for (let p = from; p < to; p++) {
    const digit = bytes[p]! - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value <= max ? value : -1
}

function takeDecimal(words: Words, what: string, max: number): number {
  const i = words.take(what)
  const value = decimalOf(words, i, max)
  if (value < 0) throw syntaxError(`${what}: ${words.shown(i)} is not a number from 0 to ${max}`)
  return value
}

/** A byte. */
export function u8(what: string): Field {
  return {
    read: (words, out) => out.u8(takeDecimal(words, what, 0xff)),
    write: (rdata) => String(rdata.u8()),
  }
}

/** Two bytes. */
export function u16(what: string): Field {
  return {
    read: (words, out) => out.u16(takeDecimal(words, what, 0xffff)),
    write: (rdata) => String(rdata.u16()),
  }
}

/** Four bytes. */
export function u32(what: string): Field {
  return {
    read: (words, out) => out.u32(takeDecimal(words, what, 0xffff_ffff)),
    write: (rdata) => String(rdata.u32()),
  }
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** Word `i` as a span of seconds: `86400`, or with units as in `1w2d` (as BIND writes); -1 if not. */
export function secondsOf(words: Words, i: number): number {
  const plain = decimalOf(words, i, 0xffff_ffff)
  if (plain >= 0) return plain
  let total = 0
  let value = -1
  for (let p = words.start(i); p < words.end(i); p++) {
    const c = words.bytes[p]!
    if (c >= 0x30 && c <= 0x39) {
      value = Math.max(value, 0) * 10 + (c - 0x30)
    } else {
      const unit = SECONDS[String.fromCharCode(c).toLowerCase()]
      if (unit === undefined || value < 0) return -1
      total += value * unit
      value = -1
    }
    if (total > 0xffff_ffff || value > 0xffff_ffff) return -1
  }
  return value < 0 && words.start(i) < words.end(i) ? total : -1
}

/** A span of seconds in four bytes: the numbers of an SOA. */
export function seconds(what: string): Field {
  return {
    read(words, out) {
      const i = words.take(what)
      const value = secondsOf(words, i)
      if (value < 0) throw syntaxError(`${what}: ${words.shown(i)} is not a number of seconds`)
      out.u32(value)
    },
    write: (rdata) => String(rdata.u32()),
  }
}

/** Mnemonics of the algorithm registry that older zone files use (RFC 4034 app. A.1 and its updates). */
const ALGORITHMS: Readonly<Record<string, number>> = {
  RSAMD5: 1,
  DH: 2,
  DSA: 3,
  RSASHA1: 5,
  'DSA-NSEC3-SHA1': 6,
  'RSASHA1-NSEC3-SHA1': 7,
  RSASHA256: 8,
  RSASHA512: 10,
  'ECC-GOST': 12,
  ECDSAP256SHA256: 13,
  ECDSAP384SHA384: 14,
  ED25519: 15,
  ED448: 16,
  INDIRECT: 252,
  PRIVATEDNS: 253,
  PRIVATEOID: 254,
}

/** A DNSSEC algorithm: number or mnemonic; written as a number. */
export const algorithm: Field = {
  read(words, out) {
    const i = words.take('the algorithm')
    const value = decimalOf(words, i, 0xff)
    const known = value >= 0 ? value : ALGORITHMS[words.text(i).toUpperCase()]
    if (known === undefined) throw syntaxError(`unknown algorithm ${words.shown(i)}`)
    out.u8(known)
  },
  write: (rdata) => String(rdata.u8()),
}

/** A time of an RRSIG: `YYYYMMDDHHmmSS` in UTC or seconds of the epoch (RFC 4034 §3.2). */
export function time(what: string): Field {
  return {
    read(words, out) {
      const i = words.take(what)
      const plain = decimalOf(words, i, 0xffff_ffff)
      const value = plain >= 0 ? plain : calendarSeconds(words.text(i))
      if (value < 0) throw syntaxError(`${what}: ${words.shown(i)} is not a time (YYYYMMDDHHmmSS)`)
      // Times wrap in 2106; the field holds them modulo 2^32 (RFC 4034 §3.1.5).
      out.u32(value % 0x1_0000_0000)
    },
    write: (rdata) =>
      new Date(rdata.u32() * 1000).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14),
  }
}

function calendarSeconds(text: string): number {
  if (!/^\d{14}$/.test(text)) return -1
  const part = (from: number, to: number): number => Number(text.slice(from, to))
  const ms = Date.UTC(
    part(0, 4),
    part(4, 6) - 1,
    part(6, 8),
    part(8, 10),
    part(10, 12),
    part(12, 14),
  )
  // Date.UTC carries a 31st of April over: what was read must come out again.
  const again = new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)
  return ms >= 0 && again === text ? ms / 1000 : -1
}

// --- names ---------------------------------------------------------------------------------------

/**
 * Writes the name in word `i` to `out` at `at`, in wire form, case kept; `@` is the origin itself.
 * @param origin empty if there is none: relative names are then an error
 * @returns the offset behind the name
 */
export function putName(
  words: Words,
  i: number,
  out: Uint8Array,
  at: number,
  origin: Uint8Array,
): number {
  const { bytes } = words
  const from = words.start(i)
  const to = words.end(i)
  if (words.quoted(i)) throw syntaxError(`a name in quotes: ${words.shown(i)}`)
  if (origin.length === 0 && bytes[to - 1] !== 0x2e) {
    throw syntaxError(`${words.shown(i)} is relative, and no $ORIGIN says to what`)
  }
  if (to - from === 1 && bytes[from] === 0x40) {
    out.set(origin, at)
    return at + origin.length
  }
  if (to - from === 1 && bytes[from] === 0x2e) {
    out[at] = 0
    return at + 1
  }
  let label = at
  let q = at + 1
  let p = from
  while (p < to) {
    let c = bytes[p]!
    if (c === 0x2e) {
      if (q === label + 1) throw syntaxError(`an empty label in ${words.shown(i)}`)
      out[label] = q - label - 1
      label = q++
      p++
      continue
    }
    if (c === 0x5c) {
      const escape = readEscape(bytes, p, to)
      c = escape & 0xff
      p += escape >>> 8
    } else p++
    out[q++] = c
    if (q - label - 1 > MAX_LABEL_BYTES) {
      throw syntaxError(`a label of over ${MAX_LABEL_BYTES} bytes in ${words.shown(i)}`)
    }
    if (q - at > MAX_NAME_BYTES) break
  }
  let end: number
  if (q === label + 1 && p > from) {
    // The word ended in a dot: this label is the root.
    out[label] = 0
    end = q
  } else {
    out[label] = q - label - 1
    if (q - at + origin.length <= MAX_NAME_BYTES) out.set(origin, q)
    end = q + origin.length
  }
  if (end - at > MAX_NAME_BYTES) {
    throw syntaxError(`a name of over ${MAX_NAME_BYTES} bytes: ${words.shown(i)}`)
  }
  return end
}

/** A domain name, case kept. */
export function name(what: string): Field {
  return {
    read(words, out, origin) {
      const i = words.take(what)
      const end = putName(words, i, out.bytes, out.length, origin)
      if (end > MAX_RDATA_BYTES) throw syntaxError(`RDATA of over ${MAX_RDATA_BYTES} bytes`)
      out.length = end
    },
    write: writeName,
  }
}

function writeName(rdata: RdataReader): string {
  let text = ''
  for (;;) {
    const length = rdata.u8()
    if (length > MAX_LABEL_BYTES) rdata.ok = false
    if (!rdata.ok || length === 0) return text === '' ? '.' : text
    text += `${escaped(rdata.take(length), '.;()"\\@$ ', false)}.`
  }
}

/** Bytes as text: printable ones as they are, those of `special` behind a backslash, others `\DDD`. */
function escaped(bytes: Uint8Array, special: string, blanks: boolean): string {
  let text = ''
  for (const c of bytes) {
    const char = String.fromCharCode(c)
    if (c > 0x20 && c < 0x7f) text += special.includes(char) ? `\\${char}` : char
    else text += c === 0x20 && blanks ? ' ' : `\\${String(c).padStart(3, '0')}`
  }
  return text
}

// --- character strings ---------------------------------------------------------------------------

/** Appends the bytes of word `i`, escapes undone. */
function putText(words: Words, i: number, out: RdataBuffer): void {
  const to = words.end(i)
  let p = words.start(i)
  while (p < to) {
    const c = words.bytes[p]!
    if (c === 0x5c) {
      const escape = readEscape(words.bytes, p, to)
      out.u8(escape & 0xff)
      p += escape >>> 8
    } else {
      out.u8(c)
      p++
    }
  }
}

function quotedText(bytes: Uint8Array): string {
  return `"${escaped(bytes, '"\\', true)}"`
}

function putString(words: Words, what: string, out: RdataBuffer): void {
  const i = words.take(what)
  const at = out.length
  out.u8(0)
  putText(words, i, out)
  const length = out.length - at - 1
  if (length > 255) throw syntaxError(`${what}: a string of over 255 bytes: ${words.shown(i)}`)
  out.bytes[at] = length
}

/** One `<character-string>`: a length byte and up to 255 bytes. */
export function text(what: string): Field {
  return {
    read: (words, out) => putString(words, what, out),
    write: (rdata) => quotedText(rdata.take(rdata.u8())),
  }
}

/** The tag of a CAA record: as `text`, but letters and digits only, and without quotes. */
export const caaTag: Field = {
  read(words, out) {
    const at = out.length
    putString(words, 'the tag', out)
    const tag = String.fromCharCode(...out.bytes.subarray(at + 1, out.length))
    if (!/^[0-9A-Za-z]+$/.test(tag)) throw syntaxError('the tag may hold letters and digits only')
  },
  write(rdata) {
    const tag = String.fromCharCode(...rdata.take(rdata.u8()))
    if (!/^[0-9A-Za-z]+$/.test(tag)) rdata.ok = false
    return tag
  },
}

/** Text up to the end of the RDATA, without a length: the value of CAA, the target of URI. */
export function restText(what: string): Field {
  return {
    read: (words, out) => putText(words, words.take(what), out),
    write: (rdata) => quotedText(rdata.take(rdata.left)),
  }
}

/** One or more character strings: TXT. */
export const texts: Field = {
  read(words, out) {
    do putString(words, 'the text', out)
    while (words.left > 0)
  },
  write(rdata) {
    const strings: string[] = []
    do strings.push(quotedText(rdata.take(rdata.u8())))
    while (rdata.ok && rdata.left > 0)
    return strings.join(' ')
  },
}

// --- addresses -----------------------------------------------------------------------------------

/** An IPv4 address: four decimal numbers. */
export const ipv4: Field = {
  read(words, out) {
    const i = words.take('the address')
    if (!putIpv4(words.bytes, words.start(i), words.end(i), out)) {
      throw syntaxError(`${words.shown(i)} is not an IPv4 address`)
    }
  },
  write: (rdata) => [...rdata.take(4)].join('.'),
}

function putIpv4(bytes: Uint8Array, from: number, to: number, out: RdataBuffer): boolean {
  let value = -1
  let parts = 0
  for (let p = from; p <= to; p++) {
    const c = p < to ? bytes[p]! : 0x2e
    if (c === 0x2e) {
      if (value < 0 || parts === 4) return false
      out.u8(value)
      parts++
      value = -1
    } else {
      // A leading zero would be octal to some readers.
      if (c < 0x30 || c > 0x39 || value === 0) return false
      value = Math.max(value, 0) * 10 + (c - 0x30)
      if (value > 255) return false
    }
  }
  return parts === 4
}

/** An IPv6 address in any form of RFC 4291 §2.2, an IPv4 tail included; written as RFC 5952 says. */
export const ipv6: Field = {
  read(words, out) {
    const i = words.take('the address')
    if (!putIpv6(words.bytes, words.start(i), words.end(i), out)) {
      throw syntaxError(`${words.shown(i)} is not an IPv6 address`)
    }
  },
  write(rdata) {
    const groups = Array.from({ length: 8 }, () => rdata.u16().toString(16))
    // The longest run of at least two zero groups, the first of equals, becomes `::`.
    let best = 0
    let at = 0
    for (let from = 0; from < 8; from++) {
      let to = from
      while (to < 8 && groups[to] === '0') to++
      if (to - from > Math.max(best, 1)) {
        best = to - from
        at = from
      }
    }
    if (best === 0) return groups.join(':')
    return `${groups.slice(0, at).join(':')}::${groups.slice(at + best).join(':')}`
  },
}

function putIpv6(bytes: Uint8Array, from: number, to: number, out: RdataBuffer): boolean {
  const start = out.length
  let gap = -1
  let p = from
  if (to - from >= 2 && bytes[from] === 0x3a && bytes[from + 1] === 0x3a) {
    gap = 0
    p += 2
  }
  while (p < to) {
    let value = 0
    const group = p
    while (p < to && hexValue(bytes[p]!) >= 0 && p - group < 5) {
      value = value * 16 + hexValue(bytes[p++]!)
    }
    if (p < to && bytes[p] === 0x2e) {
      if (!putIpv4(bytes, group, to, out)) return false
      p = to
      break
    }
    if (p === group || p - group > 4 || out.length - start >= 16) return false
    out.u16(value)
    if (p === to) break
    if (bytes[p++] !== 0x3a) return false
    if (p < to && bytes[p] === 0x3a) {
      if (gap >= 0) return false
      gap = out.length - start
      p++
    } else if (p === to) return false
  }
  const length = out.length - start
  if (gap < 0) return length === 16
  if (length > 14) return false
  const tail = length - gap
  out.bytes.copyWithin(start + 16 - tail, start + gap, start + length)
  out.bytes.fill(0, start + gap, start + 16 - tail)
  out.length = start + 16
  return true
}

// --- binary --------------------------------------------------------------------------------------

function hexValue(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30
  const lower = c | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

function putHex(words: Words, i: number, out: RdataBuffer, carried: number): number {
  let high = carried
  const to = words.end(i)
  for (let p = words.start(i); p < to; p++) {
    const value = hexValue(words.bytes[p]!)
    if (value < 0) throw syntaxError(`${words.shown(i)} is not hexadecimal`)
    if (high < 0) high = value
    else {
      out.u8(high * 16 + value)
      high = -1
    }
  }
  return high
}

/** Appends all words left, as hexadecimal digits that may be split anywhere. */
export function putHexWords(words: Words, out: RdataBuffer): void {
  let high = -1
  while (words.left > 0) high = putHex(words, words.at++, out, high)
  if (high >= 0) throw syntaxError('an odd number of hexadecimal digits')
}

/** Hexadecimal up to the end, blanks allowed; written in upper case. */
export function hex(what: string): Field {
  return {
    read(words, out) {
      if (words.left === 0) throw syntaxError(`${what} is missing`)
      putHexWords(words, out)
    },
    write: (rdata) => toHex(rdata.take(rdata.left)).toUpperCase(),
  }
}

/** The salt of NSEC3: hexadecimal without blanks, `-` for none, behind a length byte. */
export const salt: Field = {
  read(words, out) {
    const i = words.take('the salt')
    const at = out.length
    out.u8(0)
    if (words.end(i) - words.start(i) === 1 && words.bytes[words.start(i)] === 0x2d) return
    if (putHex(words, i, out, -1) >= 0) throw syntaxError('an odd number of hexadecimal digits')
    const length = out.length - at - 1
    if (length > 255) throw syntaxError('a salt of over 255 bytes')
    out.bytes[at] = length
  },
  write: (rdata) => toHex(rdata.take(rdata.u8())).toUpperCase() || '-',
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const BASE64_VALUE = new Int8Array(256).fill(-1)
for (let i = 0; i < 64; i++) BASE64_VALUE[BASE64.charCodeAt(i)] = i

/** Base64 up to the end, blanks allowed, padded and canonical (RFC 4648 §3.5). */
export function base64(what: string): Field {
  return {
    read(words, out) {
      if (words.left === 0) throw syntaxError(`${what} is missing`)
      let bits = 0
      let digits = 0
      let padding = 0
      while (words.left > 0) {
        const i = words.at++
        const to = words.end(i)
        for (let p = words.start(i); p < to; p++) {
          const c = words.bytes[p]!
          if (c === 0x3d) {
            padding++
            continue
          }
          const value = BASE64_VALUE[c]!
          if (value < 0 || padding > 0) throw syntaxError(`${words.shown(i)} is not base64`)
          bits = ((bits << 6) | value) & 0xffffff
          if ((++digits & 3) === 0) {
            out.u8(bits >>> 16)
            out.u16(bits & 0xffff)
          }
        }
      }
      const loose = digits & 3
      if (loose === 1 || (digits + padding) % 4 !== 0 || padding > 2) {
        throw syntaxError(`${what} is cut off: not whole base64`)
      }
      if ((loose === 2 && (bits & 0xf) !== 0) || (loose === 3 && (bits & 3) !== 0)) {
        throw syntaxError(`${what} is not canonical base64`)
      }
      if (loose === 2) out.u8((bits >>> 4) & 0xff)
      if (loose === 3) out.u16((bits >>> 2) & 0xffff)
    },
    write: (rdata) => toBase64(rdata.take(rdata.left)),
  }
}

/** Base32 with the extended hex alphabet, without padding (RFC 4648 §7), as NSEC3 uses it. */
const BASE32 = '0123456789ABCDEFGHIJKLMNOPQRSTUV'

/** The next hashed owner of NSEC3: base32hex behind a length byte; written in upper case. */
export const hashed: Field = {
  read(words, out) {
    const i = words.take('the next hashed owner')
    const at = out.length
    out.u8(0)
    let bits = 0
    let held = 0
    for (const char of words.text(i).toUpperCase()) {
      const value = BASE32.indexOf(char)
      if (value < 0) throw syntaxError(`${words.shown(i)} is not base32hex`)
      bits = ((bits << 5) | value) & 0xfff
      held += 5
      if (held >= 8) {
        held -= 8
        out.u8((bits >>> held) & 0xff)
      }
    }
    const length = out.length - at - 1
    if (held >= 5 || (bits & ((1 << held) - 1)) !== 0 || length === 0 || length > 255) {
      throw syntaxError(`${words.shown(i)} is not whole base32hex`)
    }
    out.bytes[at] = length
  },
  write: (rdata) => toBase32Hex(rdata.take(rdata.u8())),
}

/** Bytes as base32hex without padding, upper case: the label of an NSEC3 owner. */
export function toBase32Hex(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xfff
    held += 8
    while (held >= 5) {
      held -= 5
      text += BASE32[(bits >>> held) & 31]
    }
  }
  return held === 0 ? text : text + BASE32[(bits << (5 - held)) & 31]
}
