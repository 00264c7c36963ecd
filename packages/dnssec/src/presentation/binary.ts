/**
 * Bytes in RDATA: hexadecimal, base64 (RFC 4648 §4), and base32 with the extended hex alphabet (§7)
 * as NSEC3 uses it (RFC 5155 §3.3).
 */
import { toBase64, toHex } from '@dslog/tlog/bytes'
import type { Field, RdataBuffer } from './field.ts'
import { syntaxError, type Words } from './words.ts'

/** The value of a hexadecimal digit; -1 if it is none. */
export function hexValue(c: number): number {
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
    write: (rdata) => toHex(rdata.takeRest()).toUpperCase(),
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
    write: (rdata) => toBase64(rdata.takeRest()),
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
  write(rdata) {
    const hash = rdata.take(rdata.u8())
    if (hash.length === 0) rdata.ok = false
    return toBase32Hex(hash)
  },
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
