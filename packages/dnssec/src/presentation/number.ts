/**
 * Numbers, spans of seconds, algorithms and times in RDATA (RFC 1035 §5.1, RFC 4034 §3.2 and
 * appendix A.1).
 */
import type { Field } from './field.ts'
import { syntaxError, type Words } from './words.ts'

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
      const value = plain >= 0 ? plain : calendarSeconds(words, i)
      if (value < 0) throw syntaxError(`${what}: ${words.shown(i)} is not a time (YYYYMMDDHHmmSS)`)
      // Times wrap in 2106; the field holds them modulo 2^32 (RFC 4034 §3.1.5).
      out.u32(value % 0x1_0000_0000)
    },
    write: (rdata) =>
      new Date(rdata.u32() * 1000).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14),
  }
}

/** Word `i` as a time of the calendar, in seconds of the epoch; -1 if it is none. */
function calendarSeconds(words: Words, i: number): number {
  const from = words.start(i)
  if (words.end(i) - from !== 14) return -1
  let year = 0
  const parts = [0, 0, 0, 0, 0]
  for (let at = 0; at < 14; at++) {
    const digit = words.bytes[from + at]! - 0x30
    if (digit < 0 || digit > 9) return -1
    if (at < 4) year = year * 10 + digit
    else parts[(at - 4) >> 1] = parts[(at - 4) >> 1]! * 10 + digit
  }
  const [month, day, hour, minute, second] = parts as [number, number, number, number, number]
  if (year < 1970 || hour > 23 || minute > 59 || second > 59) return -1
  const ms = Date.UTC(year, month - 1, day, hour, minute, second)
  // Date.UTC carries a 31st of April over: what was read must come out again.
  const again = new Date(ms)
  return again.getUTCMonth() === month - 1 && again.getUTCDate() === day ? ms / 1000 : -1
}
