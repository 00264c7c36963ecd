/** IP addresses in RDATA (RFC 1035 §3.4.1; RFC 3596 §2.2, RFC 4291 §2.2). */
import { hexValue } from './binary.ts'
import type { Field, RdataBuffer } from './field.ts'
import { syntaxError } from './words.ts'

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
