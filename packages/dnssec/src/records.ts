/**
 * Resource records as DNSSEC sees them: raw RDATA, and the fields of the five types that carry the
 * chain (RFC 4034 §2–5, RFC 5155 §3), key tags (RFC 4034 appendix B) and the serial arithmetic of
 * signature times (RFC 4034 §3.1.5, RFC 1982).
 *
 * RDATA is never rebuilt from decoded fields. Parsing reads beside the bytes, which stay what they
 * were. Canonical form and order are `rrset.ts`, presentation forms `zonefile.ts`.
 */
import { ByteReader } from '@dslog/tlog/binary'
import { equal, toHex } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from './error.ts'
import { readName, type Name } from './name.ts'

/** Numbers of the types that validation treats by name; `rdata.ts` names them all (IANA). */
export const TYPE = {
  A: 1,
  NS: 2,
  MD: 3,
  MF: 4,
  CNAME: 5,
  SOA: 6,
  MB: 7,
  MG: 8,
  MR: 9,
  PTR: 12,
  HINFO: 13,
  MINFO: 14,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  RT: 21,
  SIG: 24,
  PX: 26,
  AAAA: 28,
  LOC: 29,
  NXT: 30,
  SRV: 33,
  NAPTR: 35,
  KX: 36,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  SSHFP: 44,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  CDS: 59,
  CDNSKEY: 60,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  SPF: 99,
  CAA: 257,
} as const

/** The Internet class. Nothing else is validated here. */
export const CLASS_IN = 1

/** One resource record. `rdata` is uncompressed and otherwise as it came. */
export interface RR {
  readonly owner: Name
  readonly type: number
  readonly class: number
  /** Seconds. */
  readonly ttl: number
  readonly rdata: Uint8Array
}

/** All data of one owner and type, in canonical form and order, each once. Make it with `rrset` of `rrset.ts`. */
export interface RRset {
  readonly owner: Name
  readonly type: number
  readonly rdatas: readonly Uint8Array[]
}

/** DNSKEY flag: this key signs zone data (RFC 4034 §2.1.1). */
export const FLAG_ZONE = 0x0100
/** DNSKEY flag: the key's owner revoked it (RFC 5011 §7). */
export const FLAG_REVOKE = 0x0080
/** DNSKEY flag: secure entry point, a hint only (RFC 4034 §2.1.1). */
export const FLAG_SEP = 0x0001

/** A DNSKEY (RFC 4034 §2). */
export interface Dnskey {
  readonly rdata: Uint8Array
  readonly flags: number
  readonly protocol: number
  readonly algorithm: number
  readonly publicKey: Uint8Array
  readonly tag: number
}

/** A DS (RFC 4034 §5). */
export interface Ds {
  readonly rdata: Uint8Array
  readonly tag: number
  readonly algorithm: number
  readonly digestType: number
  readonly digest: Uint8Array
}

/** An RRSIG (RFC 4034 §3). `rdata` has the signer lower-cased; times are the 32-bit fields. */
export interface Rrsig {
  readonly rdata: Uint8Array
  readonly typeCovered: number
  readonly algorithm: number
  readonly labels: number
  readonly originalTtl: number
  readonly expiration: number
  readonly inception: number
  readonly tag: number
  readonly signer: Name
  readonly signature: Uint8Array
}

/** An NSEC (RFC 4034 §4). `next` is lower-cased for comparison; the signed RDATA is not. */
export interface Nsec {
  readonly next: Name
  readonly types: ReadonlySet<number>
}

/** An NSEC3 (RFC 5155 §3). */
export interface Nsec3 {
  readonly algorithm: number
  readonly flags: number
  readonly iterations: number
  readonly salt: Uint8Array
  readonly nextHash: Uint8Array
  readonly types: ReadonlySet<number>
}

/** Runs a parser, turning "out of bytes" and bad names into this package's `bad-record`. */
function parsing<T>(type: string, rdata: Uint8Array, parse: (reader: ByteReader) => T): T {
  try {
    return parse(new ByteReader(rdata))
  } catch (cause) {
    if (!(cause instanceof TlogError) && !(cause instanceof DnssecError)) throw cause
    throw new DnssecError('bad-record', `malformed ${type} record: ${cause.message}`, { cause })
  }
}

/**
 * Reads the fields of a DNSKEY.
 *
 * @throws DnssecError `bad-record`
 */
export function parseDnskey(rdata: Uint8Array): Dnskey {
  return parsing('DNSKEY', rdata, (reader) => ({
    rdata,
    flags: reader.u16(),
    protocol: reader.u8(),
    algorithm: reader.u8(),
    publicKey: reader.bytes(reader.remaining),
    tag: keyTag(rdata),
  }))
}

/**
 * Reads the fields of a DS.
 *
 * @throws DnssecError `bad-record`
 */
export function parseDs(rdata: Uint8Array): Ds {
  return parsing('DS', rdata, (reader) => ({
    rdata,
    tag: reader.u16(),
    algorithm: reader.u8(),
    digestType: reader.u8(),
    digest: reader.bytes(reader.remaining),
  }))
}

/** Bytes of an RRSIG before its signer (RFC 4034 §3.1). */
export const RRSIG_FIXED_BYTES: number = 18

/**
 * Reads the fields of an RRSIG.
 *
 * @throws DnssecError `bad-record`, also for a compressed signer (RFC 4034 §3.1.7)
 */
export function parseRrsig(bytes: Uint8Array): Rrsig {
  return parsing('RRSIG', bytes, (reader) => {
    const typeCovered = reader.u16()
    const algorithm = reader.u8()
    const labels = reader.u8()
    const originalTtl = reader.u32()
    const expiration = reader.u32()
    const inception = reader.u32()
    const tag = reader.u16()
    const { name: signer, end } = readName(bytes, RRSIG_FIXED_BYTES, { compressed: false })
    // Nearly all signers come in lower case, and then nothing is copied.
    const asItCame = equal(bytes.subarray(RRSIG_FIXED_BYTES, end), signer)
    const rdata = asItCame ? bytes : bytes.slice()
    if (!asItCame) rdata.set(signer, RRSIG_FIXED_BYTES)
    const signature = rdata.subarray(end)
    return {
      rdata,
      typeCovered,
      algorithm,
      labels,
      originalTtl,
      expiration,
      inception,
      tag,
      signer,
      signature,
    }
  })
}

/** The part of an RRSIG's RDATA that is signed: all but the signature (RFC 4034 §3.1.8.1). */
export function signedRrsigFields(rrsig: Rrsig): Uint8Array {
  return rrsig.rdata.subarray(0, RRSIG_FIXED_BYTES + rrsig.signer.length)
}

/** Bytes of a SOA's numbers, behind its two names (RFC 1035 §3.3.13). */
export const SOA_NUMBERS_BYTES = 20

/** The numbers of a SOA that others go by. */
export interface SoaNumbers {
  readonly serial: number
  /** TTL of denials, in seconds (RFC 2308 §4). */
  readonly minimum: number
}

/** Reads the end of a SOA. @throws DnssecError `bad-record` if it is too short */
export function parseSoaNumbers(rdata: Uint8Array): SoaNumbers {
  const at = rdata.length - SOA_NUMBERS_BYTES
  if (at < 0) throw new DnssecError('bad-record', 'malformed SOA record')
  const view = new DataView(rdata.buffer, rdata.byteOffset, rdata.length)
  return { serial: view.getUint32(at), minimum: view.getUint32(at + 16) }
}

/**
 * Reads the fields of an NSEC.
 *
 * @throws DnssecError `bad-record`
 */
export function parseNsec(rdata: Uint8Array): Nsec {
  return parsing('NSEC', rdata, (reader) => {
    const { name: next, end } = readName(rdata, 0, { compressed: false })
    reader.bytes(end)
    return { next, types: readTypeBitmap(reader) }
  })
}

/**
 * Reads the fields of an NSEC3.
 *
 * @throws DnssecError `bad-record`
 */
export function parseNsec3(rdata: Uint8Array): Nsec3 {
  return parsing('NSEC3', rdata, (reader) => {
    const algorithm = reader.u8()
    const flags = reader.u8()
    const iterations = reader.u16()
    const salt = reader.bytes(reader.u8())
    const nextHash = reader.bytes(reader.u8())
    return { algorithm, flags, iterations, salt, nextHash, types: readTypeBitmap(reader) }
  })
}

/** Bytes of a window's bitmap at most: 256 types (RFC 4034 §4.1.2). */
const MAX_WINDOW_BYTES = 32

/** Type bitmaps (RFC 4034 §4.1.2). Trailing zero bytes are tolerated, as validators do. */
function readTypeBitmap(reader: ByteReader): ReadonlySet<number> {
  const types = new Set<number>()
  for (let last = -1; reader.remaining > 0;) {
    const window = reader.u8()
    const size = reader.u8()
    if (window <= last) throw new DnssecError('bad-record', 'type windows out of order')
    if (size === 0 || size > MAX_WINDOW_BYTES) {
      throw new DnssecError('bad-record', `type window of ${size} bytes`)
    }
    reader.bytes(size).forEach((byte, i) => {
      for (let bit = 0; bit < 8; bit++) {
        if (byte & (0x80 >> bit)) types.add(window * 256 + i * 8 + bit)
      }
    })
    last = window
  }
  return types
}

/** The key tag of a DNSKEY's RDATA (RFC 4034 appendix B). A hint: many keys may share one. */
export function keyTag(dnskeyRdata: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < dnskeyRdata.length; i++) {
    sum += i % 2 === 0 ? dnskeyRdata[i]! * 256 : dnskeyRdata[i]!
  }
  return (sum + Math.floor(sum / 0x10000)) % 0x10000
}

/** Bytes of a DS before its digest (RFC 4034 §5.1). */
const DS_FIXED_BYTES = 4

/**
 * `<tag> <algorithm> <digest type> <HEX>`: how people write a DS. One without a digest is no DS, but a
 * zone may sign it and a log hold it: it is written as `\# <length> <HEX>` (RFC 3597 §5). Never throws.
 */
export function dsToText(rdata: Uint8Array): string {
  if (rdata.length <= DS_FIXED_BYTES) {
    return `\\# ${rdata.length} ${toHex(rdata).toUpperCase()}`.trimEnd()
  }
  const ds = parseDs(rdata)
  return `${ds.tag} ${ds.algorithm} ${ds.digestType} ${toHex(ds.digest).toUpperCase()}`
}

const TWO_32 = 0x100000000

/**
 * The moment a 32-bit time stands for: of all seconds congruent to it modulo 2^32, the one nearest
 * to `around` (seconds since the epoch). This is RFC 1982's comparison, made absolute.
 */
export function unfoldTime(t32: number, around: number): number {
  const ahead = (((t32 - around) % TWO_32) + TWO_32) % TWO_32
  return around + (ahead < TWO_32 / 2 ? ahead : ahead - TWO_32)
}
