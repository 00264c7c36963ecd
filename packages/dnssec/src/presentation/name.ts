/**
 * Domain names in RDATA, and the owner of a record (RFC 1035 §5.1). Names keep the case they were
 * written in: whether they are lower-cased for a signature depends on the type (RFC 6840 §5.1).
 */
import { MAX_LABEL_BYTES, MAX_NAME_BYTES } from '../name.ts'
import { escaped, type Field, MAX_RDATA_BYTES, type RdataReader } from './field.ts'
import { readEscape, syntaxError, type Words } from './words.ts'

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
  const start = rdata.at
  let text = ''
  for (;;) {
    const length = rdata.u8()
    if (length > MAX_LABEL_BYTES || rdata.at - start > MAX_NAME_BYTES) rdata.ok = false
    if (!rdata.ok || length === 0) return text === '' ? '.' : text
    text += `${escaped(rdata.take(length), '.;()"\\@$ ', false)}.`
  }
}
