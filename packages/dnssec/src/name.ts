/**
 * Domain names (RFC 1035 §3.1, §4.1.4, §5.1; order by RFC 4034 §6.1).
 *
 * A `Name` is the uncompressed wire form with ASCII letters lower-cased: what DNSSEC signs and
 * what the log stores. `example.org.` is
 *
 *     07 e x a m p l e 03 o r g 00
 *
 * Labels are bytes: dots, spaces and bytes above 0x7f inside a label are data. Text exists only at
 * the edge, in the master-file form with `\.` and `\DDD` escapes. Internationalised names are left
 * to the caller, who must hand over the `xn--` form.
 */
import { DnssecError } from './error.ts'

declare const brand: unique symbol

/** An uncompressed, ASCII lower-cased, wire-format domain name of at most 255 bytes. */
export type Name = Uint8Array & { readonly [brand]: 'Name' }

/** Longest name on the wire, length bytes and root included (RFC 1035 §2.3.4). */
export const MAX_NAME_BYTES = 255
/** Longest label (RFC 1035 §2.3.4). The two top bits of a length byte mean something else. */
export const MAX_LABEL_BYTES = 63
/** A name of 255 bytes has at most 127 labels, so an honest one has no more pointers than that. */
const MAX_POINTERS = 127

const POINTER_BITS = 0xc0
const DOT = 0x2e
const BACKSLASH = 0x5c
const STAR = 0x2a

/** The root, `.`. */
export const ROOT: Name = new Uint8Array([0]) as Name

/** Lower-cases ASCII letters only: other bytes have no case in DNS (RFC 4343). */
function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
}

/** Where names are put together before they are copied out: room for each anew would take longer than the rest. */
const room = new Uint8Array(MAX_NAME_BYTES)

/** A name as it came, decompressed but with its case kept, and the position behind it. */
export interface ExpandedName {
  readonly wire: Uint8Array
  readonly end: number
}

/**
 * Reads a possibly compressed name at `pos`, keeping its case. Pointers must point backwards, before
 * every byte of the name read so far, so that no sequence of them can loop.
 * `compressed: false` refuses pointers.
 *
 * @throws DnssecError `bad-name`
 */
export function expandName(
  bytes: Uint8Array,
  pos: number,
  options: { compressed: boolean } = { compressed: true },
): ExpandedName {
  const out = room
  let length = 0
  let at = pos
  let lowest = pos
  let end = -1
  for (let pointers = 0; ;) {
    const size = bytes[at]
    if (size === undefined) throw new DnssecError('bad-name', 'name runs past the end of its data')
    if ((size & POINTER_BITS) === POINTER_BITS) {
      const low = bytes[at + 1]
      if (low === undefined) throw new DnssecError('bad-name', 'truncated compression pointer')
      if (!options.compressed) {
        throw new DnssecError('bad-name', 'compressed name where none is allowed')
      }
      const target = (size & 0x3f) * 256 + low
      if (target >= lowest || ++pointers > MAX_POINTERS) {
        throw new DnssecError('bad-name', 'compression pointer does not point backwards')
      }
      if (end < 0) end = at + 2
      at = target
      lowest = target
      continue
    }
    if (size > MAX_LABEL_BYTES) throw new DnssecError('bad-name', 'label of a reserved type')
    const next = at + 1 + size
    if (next > bytes.length) {
      throw new DnssecError('bad-name', 'label runs past the end of its data')
    }
    // A label still needs the root's length byte behind it.
    if (length + 1 + size + (size > 0 ? 1 : 0) > MAX_NAME_BYTES) {
      throw new DnssecError('bad-name', 'name is longer than 255 bytes')
    }
    // Labels are short: copied byte by byte before a view of one is made.
    while (at < next) out[length++] = bytes[at++]!
    if (size === 0) break
  }
  return { wire: out.slice(0, length), end: end < 0 ? at : end }
}

/**
 * Reads a possibly compressed name at `pos` of a message and lower-cases it.
 *
 * @throws DnssecError `bad-name`
 */
export function readName(
  bytes: Uint8Array,
  pos: number,
  options?: { compressed: boolean },
): { name: Name; end: number } {
  // Each message has it, owner of its OPT record.
  if (bytes[pos] === 0) return { name: ROOT, end: pos + 1 }
  const { wire, end } = expandName(bytes, pos, options)
  return { name: lowered(wire), end }
}

/**
 * Where an uncompressed name at `pos` ends: what {@link expandName} says, without the name.
 *
 * @throws DnssecError `bad-name`
 */
export function nameEnd(bytes: Uint8Array, pos: number): number {
  let at = pos
  for (;;) {
    const size = bytes[at]
    const isLabel = size !== undefined && size <= MAX_LABEL_BYTES && at - pos < MAX_NAME_BYTES
    // No name: the other knows why.
    if (!isLabel) return expandName(bytes, pos, { compressed: false }).end
    at += 1 + size
    if (size === 0) return at
  }
}

/** Lower-cases a well-formed wire name in place. Length bytes are below 0x41, so none is touched. */
function lowered(wire: Uint8Array): Name {
  for (let i = 0; i < wire.length; i++) wire[i] = lower(wire[i]!)
  return wire as Name
}

/** Whether a whole name stands at `pos`, uncompressed and lower-cased: then {@link readName} would change nothing. */
export function isLowerCase(bytes: Uint8Array, pos: number): boolean {
  let at = pos
  for (let size = bytes[at]; size !== 0; size = bytes[at]) {
    if (size === undefined || size > MAX_LABEL_BYTES) return false
    for (const end = at + size; at < end;) {
      const byte = bytes[++at]
      if (byte === undefined || lower(byte) !== byte) return false
    }
    at++
  }
  return at - pos < MAX_NAME_BYTES
}

/**
 * Takes exactly one uncompressed name, lower-casing it. The result is a copy.
 *
 * @throws DnssecError `bad-name`
 */
export function nameFromWire(bytes: Uint8Array): Name {
  const { name, end } = readName(bytes, 0, { compressed: false })
  if (end !== bytes.length) throw new DnssecError('bad-name', 'trailing bytes after a name')
  return name
}

/**
 * Parses the master-file form (RFC 1035 §5.1). A name without a final dot is completed with
 * `origin`, the root unless told: `example.org` and `example.org.` are then the same.
 *
 * @throws DnssecError `bad-name`
 */
export function nameFromText(text: string, origin: Name = ROOT): Name {
  const bad = (why: string): DnssecError =>
    new DnssecError('bad-name', `${why} in name ${JSON.stringify(text.slice(0, 300))}`)
  if (text === '.') return ROOT
  if (text === '') throw new DnssecError('bad-name', 'an empty name')
  const out = room
  let length = 0 // bytes written, with the length byte of the open label
  let label = 0 // where the length byte of the open label is
  let absolute = false
  const open = (): void => {
    label = length
    length += 1
  }
  const close = (): void => {
    const size = length - label - 1
    if (size === 0) throw bad('empty label')
    if (size > MAX_LABEL_BYTES) throw bad('label over 63 bytes')
    out[label] = size
  }
  open()
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i)
    if (code === DOT) {
      close()
      if (i === text.length - 1) {
        absolute = true
        break
      }
      open()
      continue
    }
    if (code === BACKSLASH) {
      const digits = /^[0-9]{3}/.exec(text.slice(i + 1, i + 4))
      if (digits) {
        code = Number(digits[0])
        if (code > 255) throw bad('escape above 255')
        i += 3
      } else {
        code = text.charCodeAt(i + 1) // NaN at the end, which no comparison below lets pass
        if (!(code >= 0x21 && code <= 0x7e) || (code >= 0x30 && code <= 0x39)) {
          throw bad('broken escape')
        }
        i += 1
      }
    } else if (code === 0x20) {
      throw bad('unescaped blank')
    } else if (!(code >= 0x21 && code <= 0x7e)) {
      throw bad('unescaped character outside printable ASCII')
    }
    if (length >= MAX_NAME_BYTES) throw bad('more than 255 bytes')
    out[length++] = lower(code)
  }
  if (!absolute) close()
  const tail = absolute ? ROOT : origin
  if (length + tail.length > MAX_NAME_BYTES) throw bad('more than 255 bytes')
  out.set(tail, length)
  return out.slice(0, length + tail.length) as Name
}

/** Characters that mean something in a master file, and so are escaped in a name. */
const SPECIAL: ReadonlySet<number> = new Set(new TextEncoder().encode('."();@$\\'))

/** The master-file form, with the final dot and lower-case letters. */
export function nameToText(name: Name): string {
  if (name.length === 1) return '.'
  let text = ''
  for (let at = 0; name[at] !== 0; at += 1 + name[at]!) {
    for (const byte of name.subarray(at + 1, at + 1 + name[at]!)) {
      if (byte < 0x21 || byte > 0x7e) text += '\\' + String(byte).padStart(3, '0')
      else if (SPECIAL.has(byte)) text += '\\' + String.fromCharCode(byte)
      else text += String.fromCharCode(byte)
    }
    text += '.'
  }
  return text
}

/** Positions of the length bytes of all labels, the root's not counted. */
function labelStarts(name: Name): number[] {
  const starts: number[] = []
  for (let at = 0; name[at] !== 0; at += 1 + name[at]!) starts.push(at)
  return starts
}

/** How many labels the name has, the root's not counted: 0 for `.`, 2 for `example.org.`. */
export function labelCount(name: Name): number {
  let count = 0
  for (let at = 0; name[at] !== 0; at += 1 + name[at]!) count += 1
  return count
}

/** The name of the last `count` labels: `lastLabels(a.b.c., 2)` is `b.c.`. */
export function lastLabels(name: Name, count: number): Name {
  const starts = labelStarts(name)
  if (!Number.isInteger(count) || count < 0 || count > starts.length) {
    throw new RangeError(`a name of ${starts.length} labels has no last ${count}`)
  }
  return name.slice(count === 0 ? name.length - 1 : starts[starts.length - count]) as Name
}

/** The name without its first label. The root has none: `RangeError`. */
export function parentOf(name: Name): Name {
  return lastLabels(name, labelCount(name) - 1)
}

/** The first label's bytes. The root has none: empty. */
export function firstLabel(name: Name): Uint8Array {
  return name.subarray(1, 1 + name[0]!)
}

/** Same name. */
export function sameName(a: Name, b: Name): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Is `name` the `ancestor` itself or below it? */
export function isAtOrBelow(name: Name, ancestor: Name): boolean {
  const cut = name.length - ancestor.length
  let at = 0
  while (at < cut) at += 1 + name[at]!
  if (at !== cut) return false
  for (let i = 0; i < ancestor.length; i++) if (name[cut + i] !== ancestor[i]) return false
  return true
}

/** Is `name` strictly below `ancestor`? */
export function isBelow(name: Name, ancestor: Name): boolean {
  return name.length > ancestor.length && isAtOrBelow(name, ancestor)
}

/** The deepest name that both are at or below. */
export function commonAncestor(a: Name, b: Name): Name {
  let longest = a
  while (!isAtOrBelow(b, longest)) longest = parentOf(longest)
  return longest
}

/** Canonical order (RFC 4034 §6.1): label by label from the right, as bytes, the shorter first. */
export function compareCanonical(a: Name, b: Name): number {
  const as = labelStarts(a)
  const bs = labelStarts(b)
  const shared = Math.min(as.length, bs.length)
  for (let k = 1; k <= shared; k++) {
    const i = as[as.length - k]!
    const j = bs[bs.length - k]!
    const an = a[i]!
    const bn = b[j]!
    for (let n = 1; n <= Math.min(an, bn); n++) {
      const difference = a[i + n]! - b[j + n]!
      if (difference !== 0) return difference
    }
    if (an !== bn) return an - bn
  }
  return as.length - bs.length
}

/** The name as a string of one character a byte: a key for a `Map`, not for people. */
export function nameKey(name: Name): string {
  // Spreading would go through an iterator, and take six times as long.
  return Reflect.apply(String.fromCharCode, undefined, name) as string
}

/** Is the first label `*`? */
export function isWildcard(name: Name): boolean {
  return name[0] === 1 && name[1] === STAR
}

/**
 * `*.<name>`. Any name below `name` is at least as long, so a wildcard that is needed always fits.
 *
 * @throws DnssecError `bad-name` if it would be over 255 bytes
 */
export function wildcardOf(name: Name): Name {
  if (name.length + 2 > MAX_NAME_BYTES) {
    throw new DnssecError('bad-name', 'no wildcard fits below a name this long')
  }
  const out = new Uint8Array(name.length + 2)
  out.set([1, STAR])
  out.set(name, 2)
  return out as Name
}

/** The next closer name (RFC 5155 §1.3): one label longer than the encloser, towards `name`. */
export function nextCloser(name: Name, encloser: Name): Name {
  return lastLabels(name, labelCount(encloser) + 1)
}
