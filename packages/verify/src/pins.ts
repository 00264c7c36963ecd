/**
 * Pins: which keys the owner of a name allows its parent to name, in a statement signed with a key that
 * is the owner's own and has nothing to do with DNS. Who gets into a mailbox or a registrar's account
 * cannot make one.
 *
 * ```
 * statement = "dslog/pins/v1\0" | u16 len | origin | name | u64 seq | u64 not_after | u16 n | n × pin
 * pin       = u8 kind | u16 len | RDATA          kind 1 DNSKEY, 2 DS; strictly ascending as octets
 * ```
 *
 * `origin` names the monitor (UTF-8), `name` is in wire format and lower case: a statement for one
 * monitor or name is worth nothing at another. `seq` grows with every statement of a name, so that an
 * old one cannot be played again; `not_after`, in ms since the Unix epoch, ends what was forgotten. A
 * statement without pins takes them back. The signature is Ed25519 (RFC 8032) over the whole.
 *
 * A DNSKEY pin allows every DS that names this key; a DS pin allows these bytes alone. Storing, delays
 * and second channels are the monitor's business.
 */
import { backend } from '@dslog/tlog/backend'
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'
import { compare, concat, equal, toHex, utf8 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { sha256 } from '@dslog/tlog/hash'
import { DIGEST_BYTES, isDigestType, type SignatureBackend } from '@dslog/dnssec/backend/backend'
import { dsRecordsOf } from '@dslog/dnssec/ds'
import { DnssecError } from '@dslog/dnssec/error'
import { labelCount, type Name } from '@dslog/dnssec/name'
import { rdataFromText, rdataToText } from '@dslog/dnssec/rdata'
import { parseDnskey, parseDs, TYPE } from '@dslog/dnssec/records'
import { isUsableKey } from '@dslog/dnssec/rrsig'
import { VerifyError } from './error.ts'

const DOMAIN = utf8('dslog/pins/v1\0')

/** Pins of one name: more than any roll-over needs, and few enough to be compared with every change. */
export const MAX_PINS = 32

/** Octets of the name of a monitor: a host name and a path. */
const MAX_ORIGIN_BYTES = 255

const KIND = { dnskey: 1, ds: 2 } as const
const KINDS = ['dnskey', 'ds'] as const

/** One key that the owner allows. */
export interface Pin {
  readonly kind: keyof typeof KIND
  /** RDATA of the DNSKEY or DS. */
  readonly rdata: Uint8Array
}

/** Everything that a signature of the owner's key covers. */
export interface PinStatement {
  /** Name of the monitor that the statement is for. */
  readonly origin: string
  readonly name: Name
  /** Greater than that of every statement before. */
  readonly seq: number
  /** ms since the Unix epoch, from when on the pins do not count any more. */
  readonly notAfter: number
  /** In any order; none to take all back. */
  readonly pins: readonly Pin[]
}

/**
 * The bytes that the owner's key signs.
 *
 * @throws VerifyError `malformed` for what nobody should sign
 */
export function encodePins(statement: PinStatement): Uint8Array {
  const { name, notAfter, origin, pins, seq } = statement
  const text = utf8(origin)
  if (text.length === 0 || text.length > MAX_ORIGIN_BYTES) {
    throw malformed(`the name of a monitor has 1 to ${MAX_ORIGIN_BYTES} octets`)
  }
  if (labelCount(name) === 0) throw malformed('nobody pins the root')
  for (const number of [seq, notAfter]) {
    if (!Number.isSafeInteger(number) || number < 0) throw malformed(`not a number: ${number}`)
  }
  const head = new ByteWriter().bytes(DOMAIN).u16(text.length).bytes(text).bytes(name)
  return concat(head.u64(seq).u64(notAfter).finish(), encodePinList(pins))
}

/**
 * Pins as a statement ends with them: `u16 n | n × pin`.
 *
 * @throws VerifyError `malformed`
 */
export function encodePinList(pins: readonly Pin[]): Uint8Array {
  if (pins.length > MAX_PINS) throw malformed(`more than ${MAX_PINS} pins`)
  const sorted = pins.map(encodePin).sort(compare)
  for (const [i, pin] of sorted.entries()) {
    if (i > 0 && compare(pin, sorted[i - 1]!) === 0) throw malformed('a pin is there twice')
  }
  return concat(new ByteWriter().u16(pins.length).finish(), ...sorted)
}

/**
 * The inverse of {@link encodePinList}.
 *
 * @throws VerifyError `malformed`
 */
export function decodePinList(bytes: Uint8Array): Pin[] {
  try {
    const r = new ByteReader(bytes)
    const pins: Pin[] = []
    for (let n = r.u16(); n > 0; n--) {
      const octet = r.u8()
      const kind = KINDS.find((name) => KIND[name] === octet)
      if (kind === undefined) throw malformed(`a pin of kind ${octet}`)
      pins.push({ kind, rdata: r.bytes(r.u16()) })
    }
    r.done()
    if (!equal(encodePinList(pins), bytes)) throw malformed('the pins are not in order')
    return pins
  } catch (cause) {
    if (cause instanceof TlogError) throw malformed(cause.message, cause)
    throw cause
  }
}

/**
 * Verifies the signature of an owner's key over a statement.
 *
 * @param ownerKey 32 bytes, Ed25519
 * @throws VerifyError `malformed`, or `bogus` if the signature is not of this key over this statement
 */
export function verifyPins(
  statement: PinStatement,
  ownerKey: Uint8Array,
  signature: Uint8Array,
): void {
  if (!backend().ed25519Verify(ownerKey, encodePins(statement), signature)) {
    throw new VerifyError('bogus', 'the statement is not signed by the owner key')
  }
}

/**
 * Reads a pin as people write it: `DNSKEY 257 3 13 mdsswUyr…` or `DS 2371 13 2 1F98…`.
 *
 * @throws VerifyError `malformed`, also for a key or digest that no resolver could use
 */
export function pinFromText(text: string): Pin {
  const [, type = '', fields = ''] = /^\s*(DNSKEY|DS)\s+(.*)$/is.exec(text) ?? []
  if (type === '') throw malformed('a pin begins with DNSKEY or DS')
  const kind = type.toUpperCase() === 'DS' ? 'ds' : 'dnskey'
  try {
    const pin: Pin = { kind, rdata: rdataFromText(TYPE_OF[kind], fields) }
    encodePin(pin)
    return pin
  } catch (cause) {
    if (cause instanceof DnssecError) throw malformed(cause.message, cause)
    throw cause
  }
}

/** The inverse of {@link pinFromText}. */
export function pinToText({ kind, rdata }: Pin): string {
  return `${kind.toUpperCase()} ${rdataToText(TYPE_OF[kind], rdata)}`
}

const TYPE_OF = { dnskey: TYPE.DNSKEY, ds: TYPE.DS } as const

/** RDATA of every DS that a pin allows at its name. */
export async function dsOfPin(
  { kind, rdata }: Pin,
  name: Name,
  digests: SignatureBackend,
): Promise<Uint8Array[]> {
  return kind === 'ds' ? [rdata] : dsRecordsOf(name, parseDnskey(rdata), digests)
}

/**
 * Text of the TXT record at `_dslog.<name>` that says which owner key is that of the name. It counts
 * only where DNSSEC validates it, under a DS set that has been in force for a week.
 */
export function ownerText(ownerKey: Uint8Array): string {
  return `v=dslog1; owner=${toHex(sha256(ownerKey))}`
}

/**
 * The inverse of {@link ownerText}.
 *
 * @returns the hash of the owner key in hex; undefined for a text that is about something else
 */
export function ownerOfText(text: string): string | undefined {
  return /^v=dslog1; owner=([0-9a-f]{64})$/.exec(text)?.[1]
}

function encodePin({ kind, rdata }: Pin): Uint8Array {
  try {
    if (kind === 'ds') {
      const { digest, digestType } = parseDs(rdata)
      if (!isDigestType(digestType) || digest.length !== DIGEST_BYTES[digestType]) {
        throw malformed('a DS pin has a digest of type 1, 2 or 4, of its length')
      }
    } else if (!isUsableKey(parseDnskey(rdata))) {
      throw malformed('a DNSKEY pin has the Zone flag, protocol 3, and is not revoked')
    }
  } catch (cause) {
    if (cause instanceof DnssecError) throw malformed(cause.message, cause)
    throw cause
  }
  return new ByteWriter().u8(KIND[kind]).u16(rdata.length).bytes(rdata).finish()
}

function malformed(message: string, cause?: unknown): VerifyError {
  return new VerifyError('malformed', message, { cause })
}
