/**
 * Signatures of messages by a shared secret (TSIG, RFC 8945), as clients make and check them: a zone that
 * is not for everybody is transferred by it, and nobody on the way can change a message or leave one
 * out.
 *
 *     TSIG  = key name | u16 250 | u16 ANY | u32 0 | u16 length | RDATA, the last record of a message
 *     RDATA = algorithm | u48 time | u16 fudge | u16 size | MAC | u16 original id | u16 error | u16 size | other
 *
 * A MAC covers the one before: the first reply's that of the question, each later one's also the messages
 * in between that have none (§5.3.1).
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { concat } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from '@dslog/dnssec/error'
import { HEADER_BYTES, RCODE } from '@dslog/dnssec/message'
import { type Name, nameFromText, nameToText, readName, sameName } from '@dslog/dnssec/name'
import { ResolverError } from './error.ts'

/** The type of a TSIG record (IANA). */
const TYPE_TSIG = 250
const CLASS_ANY = 255
/** How far clocks may be apart, in seconds (RFC 8945 §10). */
const FUDGE_S = 300
/** Messages in a row that need no signature: 99, then one must come (RFC 8945 §5.3.1). */
export const MAX_UNSIGNED = 99

/** Hashes by the name of the algorithm; the only two that RFC 8945 §6 recommends, and that servers have. */
const HASHES: ReadonlyMap<string, { readonly hash: string; readonly bytes: number }> = new Map([
  ['hmac-sha256', { hash: 'sha256', bytes: 32 }],
  ['hmac-sha512', { hash: 'sha512', bytes: 64 }],
])

/** Algorithms of keys that can be used here. */
export const TSIG_ALGORITHMS: readonly string[] = [...HASHES.keys()]

/** Errors of a signature (RFC 8945 §3). */
const ERRORS: ReadonlyMap<number, string> = new Map([
  [16, 'BADSIG'],
  [17, 'BADKEY'],
  [18, 'BADTIME'],
  [22, 'BADTRUNC'],
])

/** A shared secret. */
export interface TsigKey {
  readonly name: Name
  /** `hmac-sha256` or `hmac-sha512`. */
  readonly algorithm: string
  readonly secret: Uint8Array
}

/** A key as it may be used, the algorithm looked up. */
interface Prepared {
  readonly key: TsigKey
  readonly algorithm: Name
  readonly hash: string
  readonly bytes: number
}

/** @throws RangeError for an algorithm that is not had here */
function prepare(key: TsigKey): Prepared {
  const found = HASHES.get(key.algorithm.toLowerCase().replace(/\.$/, ''))
  if (found === undefined) {
    throw new RangeError(`no TSIG algorithm ${key.algorithm}: only ${TSIG_ALGORITHMS.join(', ')}`)
  }
  return { key, algorithm: nameFromText(key.algorithm), ...found }
}

/** One exchange of signed messages: a question, and the replies to it. */
export class TsigSession {
  readonly #key: Prepared
  readonly #now: () => number
  #previous: Uint8Array = new Uint8Array(0)
  /** Messages since the last signature. */
  #unsigned: Uint8Array[] = []
  #isFirst = true

  /** @param now ms since the epoch */
  constructor(key: TsigKey, now: () => number) {
    this.#key = prepare(key)
    this.#now = now
  }

  /** The question with its signature. */
  sign(query: Uint8Array): Uint8Array {
    const { algorithm, key } = this.#key
    const time = Math.floor(this.#now() / 1000)
    this.#previous = this.#mac(query, variables(key.name, algorithm, time, 0, new Uint8Array(0)))
    const id = query[0]! * 256 + query[1]!
    const rdata = putTime(new ByteWriter().bytes(algorithm), time)
      .u16(FUDGE_S)
      .u16(this.#previous.length)
      .bytes(this.#previous)
      .u16(id)
      .u16(0)
      .u16(0)
      .finish()
    const record = new ByteWriter().bytes(key.name).u16(TYPE_TSIG).u16(CLASS_ANY).u32(0)
    const out = concat(query, record.u16(rdata.length).bytes(rdata).finish())
    addToCount(out, 1)
    return out
  }

  /**
   * Checks a reply.
   *
   * @returns the message without its signature
   * @throws ResolverError `tsig`
   */
  open(message: Uint8Array): Uint8Array {
    const found = findTsig(message)
    if (found === undefined) {
      // A server that refuses may not sign it; whatever made it, an error is all that comes of it.
      if (this.#isFirst && isNoError(message)) throw wrong('the first message is not signed')
      if (this.#unsigned.length >= MAX_UNSIGNED) throw wrong(`${MAX_UNSIGNED} messages unsigned`)
      this.#unsigned.push(message)
      return message
    }
    this.#check(found)
    return found.message
  }

  /** Must be asked when all has come: the last message has to be signed (§5.3.1). @throws ResolverError */
  done(): void {
    if (this.#isFirst || this.#unsigned.length > 0) throw wrong('the last message is not signed')
  }

  #check({ message, name, fields }: Found): void {
    const { algorithm, bytes, key } = this.#key
    const error = fields.error === 0 ? undefined : (ERRORS.get(fields.error) ?? fields.error)
    if (!sameName(name, key.name) || !sameName(fields.algorithm, algorithm)) {
      throw wrong(`signed with another key, ${nameToText(name)}`)
    }
    // What says that our key or signature is bad cannot be signed with it (§5.2).
    if (fields.mac.length === 0 && error !== undefined) throw wrong(`the server says ${error}`)
    const { time, fudge, other } = fields
    const tail = this.#isFirst
      ? variables(name, algorithm, time, fields.error, other, fudge)
      : putTime(new ByteWriter(), time).u16(fudge).finish()
    const expected = this.#mac(...this.#unsigned, message, tail)
    // Shortened MACs (§5.2.2.1) are not asked for, so not taken.
    if (fields.mac.length !== bytes || !timingSafeEqual(fields.mac, expected)) {
      throw wrong('the signature is wrong')
    }
    if (error !== undefined) throw wrong(`the server says ${error}`)
    if (Math.abs(this.#now() / 1000 - time) > fudge) throw wrong('signed at another time')
    this.#previous = fields.mac
    this.#unsigned = []
    this.#isFirst = false
  }

  #mac(...parts: readonly Uint8Array[]): Uint8Array {
    const hmac = createHmac(this.#key.hash, this.#key.key.secret)
    if (this.#previous.length > 0) {
      hmac.update(new ByteWriter().u16(this.#previous.length).bytes(this.#previous).finish())
    }
    for (const part of parts) hmac.update(part)
    return new Uint8Array(hmac.digest())
  }
}

function wrong(what: string): ResolverError {
  return new ResolverError('tsig', `TSIG: ${what}`)
}

function isNoError(message: Uint8Array): boolean {
  return ((message[3] ?? 0) & 0x0f) === RCODE.NOERROR
}

/** What is signed along with a message (§4.3.3). */
function variables(
  name: Name,
  algorithm: Name,
  time: number,
  error: number,
  other: Uint8Array,
  fudge = FUDGE_S,
): Uint8Array {
  const writer = new ByteWriter().bytes(name).u16(CLASS_ANY).u32(0).bytes(algorithm)
  return putTime(writer, time).u16(fudge).u16(error).u16(other.length).bytes(other).finish()
}

/** 48 bits. */
function putTime(writer: ByteWriter, seconds: number): ByteWriter {
  return writer.u16(Math.floor(seconds / 0x1_0000_0000)).u32(seconds % 0x1_0000_0000)
}

/** Adds to the number of additional records. */
function addToCount(message: Uint8Array, change: number): void {
  const view = new DataView(message.buffer, message.byteOffset)
  view.setUint16(10, view.getUint16(10) + change)
}

interface Fields {
  readonly algorithm: Name
  readonly time: number
  readonly fudge: number
  readonly mac: Uint8Array
  readonly error: number
  readonly other: Uint8Array
}

interface Found {
  /** As it was before it was signed: without the record, under its first id. */
  readonly message: Uint8Array
  readonly name: Name
  readonly fields: Fields
}

/**
 * The TSIG record of a message; it must be the last.
 *
 * @throws ResolverError `tsig` for one that is not, or not well-formed; `malformed`
 */
function findTsig(message: Uint8Array): Found | undefined {
  try {
    const view = new DataView(message.buffer, message.byteOffset, message.length)
    if (message.length < HEADER_BYTES) throw new RangeError('short')
    let pos = HEADER_BYTES
    for (let i = view.getUint16(4); i > 0; i--) pos = readName(message, pos).end + 4
    const records = view.getUint16(6) + view.getUint16(8) + view.getUint16(10)
    for (let i = 1; i <= records; i++) {
      const start = pos
      const { name, end } = readName(message, pos)
      const length = view.getUint16(end + 8)
      pos = end + 10 + length
      if (view.getUint16(end) !== TYPE_TSIG) continue
      if (view.getUint16(end + 2) !== CLASS_ANY || view.getUint32(end + 4) !== 0) {
        throw wrong('a signature with a class or a TTL')
      }
      if (i !== records || pos !== message.length || view.getUint16(10) === 0) {
        throw wrong('a signature that is not the last record')
      }
      const rdata = message.subarray(end + 10, pos)
      const { algorithm, id, ...fields } = readFields(rdata)
      const unsigned = message.slice(0, start)
      addToCount(unsigned, -1)
      unsigned[0] = id >> 8
      unsigned[1] = id & 0xff
      return { message: unsigned, name, fields: { algorithm, ...fields } }
    }
    return undefined
  } catch (cause) {
    const isBad =
      cause instanceof DnssecError || cause instanceof TlogError || cause instanceof RangeError
    if (!isBad) throw cause
    throw new ResolverError('malformed', 'malformed message with TSIG', { cause })
  }
}

function readFields(rdata: Uint8Array): Fields & { readonly id: number } {
  const { end, name: algorithm } = readName(rdata, 0, { compressed: false })
  const reader = new ByteReader(rdata.subarray(end))
  const time = reader.u16() * 0x1_0000_0000 + reader.u32()
  const fudge = reader.u16()
  const mac = reader.bytes(reader.u16())
  const id = reader.u16()
  const error = reader.u16()
  const other = reader.bytes(reader.u16())
  reader.done()
  return { algorithm, time, fudge, mac, id, error, other }
}
