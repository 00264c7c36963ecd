/**
 * Signatures of messages by a shared secret (TSIG, RFC 8945), as servers make and check them: here for
 * zone transfers that not everybody may have.
 *
 *     RDATA = algorithm | u48 time | u16 fudge | u16 size | MAC | u16 id | u16 error | u16 size | other
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { concat } from '@dslog/tlog/bytes'
import { nameFromText, nameToText, readName, sameName, type Name } from '@dslog/dnssec/name'
import { QTYPE, type QueryTsig } from './query.ts'

/** A shared secret. */
export interface TsigKey {
  readonly name: Name
  readonly algorithm: 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512'
  readonly secret: Uint8Array
}

/** Errors of a signature (RFC 8945 §3, IANA). */
export const TSIG_ERROR = { NONE: 0, BADSIG: 16, BADKEY: 17, BADTIME: 18 } as const
export type TsigError = (typeof TSIG_ERROR)[keyof typeof TSIG_ERROR]

/** How far clocks may be apart, in seconds (RFC 8945 §10). */
const FUDGE = 300
const CLASS_ANY = 255

/** The fields of a signature. */
interface TsigFields {
  readonly algorithm: Name
  /** Seconds since the epoch. */
  readonly time: number
  readonly fudge: number
  readonly mac: Uint8Array
  readonly originalId: number
}

function readFields(rdata: Uint8Array): TsigFields {
  const { end, name: algorithm } = readName(rdata, 0, { compressed: false })
  const reader = new ByteReader(rdata.subarray(end))
  const time = reader.u16() * 0x1_0000_0000 + reader.u32()
  const fudge = reader.u16()
  const mac = reader.bytes(reader.u16())
  const originalId = reader.u16()
  reader.u16()
  reader.bytes(reader.u16())
  reader.done()
  return { algorithm, time, fudge, mac, originalId }
}

function u48(writer: ByteWriter, value: number): ByteWriter {
  return writer.u16(Math.floor(value / 0x1_0000_0000)).u32(value % 0x1_0000_0000)
}

function algorithmName({ algorithm }: TsigKey): Name {
  return nameFromText(algorithm)
}

/** What is signed along with a message (RFC 8945 §4.3.3). */
function variables(key: TsigKey, time: number, error: number, other: Uint8Array): Uint8Array {
  const writer = new ByteWriter().bytes(key.name).u16(CLASS_ANY).u32(0).bytes(algorithmName(key))
  return u48(writer, time).u16(FUDGE).u16(error).u16(other.length).bytes(other).finish()
}

function mac(key: TsigKey, ...parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac(key.algorithm.slice('hmac-'.length), key.secret)
  for (const part of parts) hmac.update(part)
  return new Uint8Array(hmac.digest())
}

function prefixed(bytes: Uint8Array): Uint8Array {
  return new ByteWriter().u16(bytes.length).bytes(bytes).finish()
}

/** Whoever signed a question rightly, or what is wrong with the signature. */
export type TsigCheck =
  | {
      readonly error: typeof TSIG_ERROR.NONE | typeof TSIG_ERROR.BADTIME
      readonly signer: TsigSigner
    }
  | { readonly error: typeof TSIG_ERROR.BADKEY | typeof TSIG_ERROR.BADSIG }

/**
 * Checks the signature under a question, in the order of RFC 8945 §5.2: key, MAC, time.
 * @param now seconds since the epoch
 * @throws DnssecError, TlogError for RDATA that is none
 */
export function checkTsig(
  message: Uint8Array,
  tsig: QueryTsig,
  keys: readonly TsigKey[],
  now: number,
): TsigCheck {
  const fields = readFields(tsig.rdata)
  const key = keys.find((each) => sameName(each.name, tsig.keyName))
  if (key === undefined || !sameName(fields.algorithm, algorithmName(key))) {
    return { error: TSIG_ERROR.BADKEY }
  }
  const unsigned = new Uint8Array(message.subarray(0, tsig.start))
  const view = new DataView(unsigned.buffer)
  view.setUint16(0, fields.originalId)
  view.setUint16(10, view.getUint16(10) - 1)
  const signed = new ByteWriter().bytes(key.name).u16(CLASS_ANY).u32(0).bytes(fields.algorithm)
  // As the client has it: its own fudge, no error, and nothing else to say.
  u48(signed, fields.time).u16(fields.fudge).u16(0).u16(0)
  const expected = mac(key, unsigned, signed.finish())
  if (fields.mac.length !== expected.length || !timingSafeEqual(fields.mac, expected)) {
    return { error: TSIG_ERROR.BADSIG }
  }
  const isTimely = Math.abs(now - fields.time) <= fields.fudge
  return {
    error: isTimely ? TSIG_ERROR.NONE : TSIG_ERROR.BADTIME,
    signer: new TsigSigner(key, fields.mac),
  }
}

/** Signs the messages that answer one question: each signature covers the one before. */
export class TsigSigner {
  readonly #key: TsigKey
  #previous: Uint8Array
  #isFirst = true

  /** @param previous MAC of the question */
  constructor(key: TsigKey, previous: Uint8Array) {
    this.#key = key
    this.#previous = previous
  }

  /**
   * The message with its signature.
   * @param now seconds since the epoch
   */
  sign(message: Uint8Array, now: number, error: TsigError = TSIG_ERROR.NONE): Uint8Array {
    const other =
      error === TSIG_ERROR.BADTIME ? u48(new ByteWriter(), now).finish() : new Uint8Array()
    const tail = this.#isFirst
      ? variables(this.#key, now, error, other)
      : u48(new ByteWriter(), now).u16(FUDGE).finish()
    const digest = mac(this.#key, prefixed(this.#previous), message, tail)
    this.#previous = digest
    this.#isFirst = false
    const { algorithm, name } = { algorithm: algorithmName(this.#key), name: this.#key.name }
    return withTsig(message, name, { algorithm, time: now, mac: digest, error, other })
  }
}

/** The message with a TSIG that proves nothing: there is no key to make it with (RFC 8945 §5.3.2). */
export function withTsigError(
  message: Uint8Array,
  { keyName, rdata }: QueryTsig,
  error: TsigError,
): Uint8Array {
  const { algorithm, time } = readFields(rdata)
  const nothing = new Uint8Array()
  return withTsig(message, keyName, { algorithm, time, mac: nothing, error, other: nothing })
}

function withTsig(
  message: Uint8Array,
  name: Name,
  fields: {
    readonly algorithm: Name
    readonly time: number
    readonly mac: Uint8Array
    readonly error: number
    readonly other: Uint8Array
  },
): Uint8Array {
  const { algorithm, error, mac, other, time } = fields
  const view = new DataView(message.buffer, message.byteOffset)
  const rdata = u48(new ByteWriter().bytes(algorithm), time).u16(FUDGE).u16(mac.length).bytes(mac)
  rdata.u16(view.getUint16(0)).u16(error).u16(other.length).bytes(other)
  const record = new ByteWriter().bytes(name).u16(QTYPE.TSIG).u16(CLASS_ANY).u32(0)
  const out = concat(message, record.u16(rdata.length).bytes(rdata.finish()).finish())
  const counts = new DataView(out.buffer)
  counts.setUint16(10, counts.getUint16(10) + 1)
  return out
}

/** Bytes that a signature takes at most: a key's name of 255, fields, the longest MAC, the time. */
export const MAX_TSIG_BYTES: number = 255 + 10 + 13 + 16 + 64 + 6

/** Bytes that the signature of a reply takes: as many as that of the question, and the time. */
export function tsigBytes({ keyName, rdata }: QueryTsig): number {
  return keyName.length + 10 + rdata.length + 6
}

/** A key as `dig -y` takes it. */
export function tsigKeyToText({ algorithm, name, secret }: TsigKey): string {
  return `${algorithm}:${nameToText(name)}:${Buffer.from(secret).toString('base64')}`
}
