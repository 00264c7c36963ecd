/**
 * Bytes and their texts: concatenation, order, hexadecimal, base64 (RFC 4648 section 4), UTF-8 and decimals. Everything
 * here is the exact inverse of its partner: what decodes is re-encoded to the same text. Comparisons are of public data and
 * not constant-time. Binary formats are read and written by binary.ts.
 */
import { TlogError } from './error.ts'

/** All parts, one after the other, in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** Whether two arrays hold the same bytes. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Lexicographic order of bytes; a prefix comes before what it starts. Negative, 0 or positive, as for `sort`. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length)
  for (let i = 0; i < n; i++) {
    const d = a[i]! - b[i]!
    if (d !== 0) return d
  }
  return a.length - b.length
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, i) =>
  i.toString(16).padStart(2, '0'),
)

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let out = ''
  for (let i = 0; i < bytes.length; i++) out += HEX[bytes[i]!]!
  return out
}

/** Bytes of lower-case hexadecimal; upper case, odd length or anything else is TlogError `encoding`. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0) throw new TlogError('encoding', 'hexadecimal of odd length')
  const out = new Uint8Array(text.length / 2)
  for (let i = 0; i < out.length; i++) {
    out[i] = 16 * hexDigit(text.charCodeAt(2 * i)) + hexDigit(text.charCodeAt(2 * i + 1))
  }
  return out
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  if (code >= 0x61 && code <= 0x66) return code - 0x61 + 10
  throw new TlogError('encoding', 'not a lower-case hexadecimal digit')
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const NOT_BASE64 = 255
const BASE64_VALUE: Uint8Array = new Uint8Array(128).fill(NOT_BASE64)
const BASE64_DIGIT: Uint8Array = Uint8Array.from(BASE64, (digit) => digit.charCodeAt(0))
for (const [value, digit] of BASE64_DIGIT.entries()) BASE64_VALUE[digit] = value
const PADDING = '='.charCodeAt(0)

/**
 * Base64, standard alphabet, padded. Digits are written as bytes and read as a text at the end: to join them as texts takes
 * five times as long for a proof of 3 kB, and half as long again for a hash.
 */
export function toBase64(bytes: Uint8Array): string {
  const out = new Uint8Array(base64Length(bytes))
  writeBase64(bytes, out, 0)
  return decoder.decode(out)
}

/** The same of many: they are read as one text, which takes a quarter less for a proof of 24 hashes. */
export function toBase64Each(many: readonly Uint8Array[]): string[] {
  const out = new Uint8Array(many.reduce((sum, bytes) => sum + base64Length(bytes), 0))
  let end = 0
  for (const bytes of many) end = writeBase64(bytes, out, end)
  const text = decoder.decode(out)
  end = 0
  return many.map((bytes) => text.slice(end, (end += base64Length(bytes))))
}

function base64Length({ length }: Uint8Array): number {
  return Math.ceil(length / 3) * 4
}

/** @returns where the digits end */
function writeBase64(bytes: Uint8Array, out: Uint8Array, start: number): number {
  const whole = bytes.length - (bytes.length % 3)
  let at = start
  for (let i = 0; i < whole; i += 3) {
    const v = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!
    out[at++] = BASE64_DIGIT[v >> 18]!
    out[at++] = BASE64_DIGIT[(v >> 12) & 63]!
    out[at++] = BASE64_DIGIT[(v >> 6) & 63]!
    out[at++] = BASE64_DIGIT[v & 63]!
  }
  if (whole < bytes.length) {
    const v = (bytes[whole]! << 8) | (bytes[whole + 1] ?? 0)
    out[at++] = BASE64_DIGIT[v >> 10]!
    out[at++] = BASE64_DIGIT[(v >> 4) & 63]!
    out[at++] = whole + 2 === bytes.length ? BASE64_DIGIT[(v << 2) & 63]! : PADDING
    out[at++] = PADDING
  }
  return at
}

/**
 * Bytes of canonical base64: standard alphabet, padded, no white space, unused bits zero. Anything else is TlogError
 * `encoding`, so two texts never stand for the same bytes.
 */
export function fromBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw new TlogError('encoding', 'base64 is not padded')
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const digits = text.length - padding
  const out = new Uint8Array((text.length / 4) * 3 - padding)
  let bits = 0
  let held = 0
  let at = 0
  for (let i = 0; i < digits; i++) {
    const value = BASE64_VALUE[text.charCodeAt(i)] ?? NOT_BASE64
    if (value === NOT_BASE64) throw new TlogError('encoding', 'not a base64 digit')
    bits = (bits << 6) | value
    held += 6
    if (held >= 8) {
      held -= 8
      out[at++] = bits >> held
      bits &= (1 << held) - 1
    }
  }
  if (bits !== 0) throw new TlogError('encoding', 'base64 is not canonical')
  return out
}

const encoder = new TextEncoder()
// `ignoreBOM` keeps a byte-order mark as a character: dropping it would change signed bytes.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const LONE_SURROGATE = /\p{Surrogate}/u

/** UTF-8 of a text; a lone surrogate, which has none, is TlogError `encoding` (TextEncoder would replace it). */
export function utf8(text: string): Uint8Array {
  if (LONE_SURROGATE.test(text)) throw new TlogError('encoding', 'lone surrogate in a text')
  return encoder.encode(text)
}

/** The text of UTF-8 bytes, byte-order mark kept; malformed UTF-8 is TlogError `encoding`. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new TlogError('encoding', 'not UTF-8', { cause })
  }
}

const DECIMAL = /^(?:0|[1-9][0-9]*)$/

/** A safe integer in its one decimal spelling, or undefined. */
export function parseDecimal(text: string): number | undefined {
  const value = Number(text)
  return DECIMAL.test(text) && Number.isSafeInteger(value) ? value : undefined
}

/** The eight big-endian bytes of a safe integer. */
export function u64be(n: number): Uint8Array {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`not a u64 held safely: ${n}`)
  const out = new Uint8Array(8)
  let rest = n
  for (let i = 7; i >= 0; i--) {
    out[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  return out
}
