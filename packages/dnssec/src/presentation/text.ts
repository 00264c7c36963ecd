/** Character strings in RDATA (RFC 1035 §3.3, §5.1), and the tag and value of CAA (RFC 8659 §4.1). */
import { escaped, type Field, type RdataBuffer } from './field.ts'
import { readEscape, syntaxError, type Words } from './words.ts'

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
