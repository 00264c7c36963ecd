/**
 * RDATA in presentation form: which fields each type has, and the names of the types.
 *
 * `rdataFromText` and `rdataToText` are driven by one table, so each is the inverse of the other.
 * Any type may be written in the generic form of RFC 3597 §5 (`\# 4 0A000001`), a type without a
 * name as `TYPE65400`; a type that has a name but no row in the table can be written that way only.
 * Sources: RFC 1035 §3.3, 3596, 2782, 3403, 4034, 5155, 6672, 6698, 7043, 7344, 7929, 8659, 8976.
 * How a record is found in a file is zonefile.ts's business; what RDATA means, records.ts's.
 */
import { toHex } from '@dslog/tlog/bytes'
import { ipv4, ipv6 } from './presentation/address.ts'
import { base64, hashed, hex, putHexWords, salt } from './presentation/binary.ts'
import { type Field, MAX_RDATA_BYTES, RdataBuffer, RdataReader } from './presentation/field.ts'
import { name } from './presentation/name.ts'
import { algorithm, decimalOf, seconds, time, u16, u32, u8 } from './presentation/number.ts'
import { caaTag, restText, text, texts } from './presentation/text.ts'
import { syntaxError, Words } from './presentation/words.ts'

/** Names of the types that stand in zones (IANA, Resource Record (RR) TYPEs), and of NXNAME (RFC 9824). */
const NUMBERS: Readonly<Record<string, number>> = {
  A: 1,
  NS: 2,
  MD: 3,
  MF: 4,
  CNAME: 5,
  SOA: 6,
  MB: 7,
  MG: 8,
  MR: 9,
  NULL: 10,
  WKS: 11,
  PTR: 12,
  HINFO: 13,
  MINFO: 14,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  X25: 19,
  ISDN: 20,
  RT: 21,
  NSAP: 22,
  'NSAP-PTR': 23,
  SIG: 24,
  KEY: 25,
  PX: 26,
  GPOS: 27,
  AAAA: 28,
  LOC: 29,
  NXT: 30,
  EID: 31,
  NIMLOC: 32,
  SRV: 33,
  ATMA: 34,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  A6: 38,
  DNAME: 39,
  SINK: 40,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  IPSECKEY: 45,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  HIP: 55,
  NINFO: 56,
  RKEY: 57,
  TALINK: 58,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  DSYNC: 66,
  HHIT: 67,
  BRID: 68,
  SPF: 99,
  UINFO: 100,
  UID: 101,
  GID: 102,
  UNSPEC: 103,
  NID: 104,
  L32: 105,
  L64: 106,
  LP: 107,
  EUI48: 108,
  EUI64: 109,
  NXNAME: 128,
  URI: 256,
  CAA: 257,
  AVC: 258,
  DOA: 259,
  AMTRELAY: 260,
  RESINFO: 261,
  WALLET: 262,
  CLA: 263,
  IPN: 264,
  TA: 32_768,
  DLV: 32_769,
}

const NAMES = new Map(Object.entries(NUMBERS).map(([mnemonic, number]) => [number, mnemonic]))

/**
 * The number of a type by its name in any case, `TYPE123` included (RFC 3597 §5).
 * @returns undefined if there is no such type
 */
export function typeFromText(mnemonic: string): number | undefined {
  const upper = mnemonic.toUpperCase()
  if (Object.hasOwn(NUMBERS, upper)) return NUMBERS[upper]
  const generic = /^TYPE(0|[1-9]\d{0,4})$/.exec(upper)
  if (generic === null) return undefined
  const number = Number(generic[1])
  return number <= 0xffff ? number : undefined
}

/** The name of a type; `TYPE123` for one without a name. */
export function typeToText(type: number): string {
  return NAMES.get(type) ?? `TYPE${type}`
}

/** A type as two bytes: what an RRSIG covers. */
const covered: Field = {
  read(words, out) {
    const i = words.take('the type covered')
    out.u16(takenType(words, i))
  },
  write: (rdata) => typeToText(rdata.u16()),
}

/** The type bitmap of NSEC, NSEC3 and CSYNC (RFC 4034 §4.1.2): up to the end, may be empty. */
const bitmap: Field = {
  read(words, out) {
    const types: number[] = []
    while (words.left > 0) types.push(takenType(words, words.at++))
    putBitmap(types, out)
  },
  write(rdata) {
    const names: string[] = []
    let before = -1
    while (rdata.ok && rdata.left > 0) {
      const window = rdata.u8()
      const length = rdata.u8()
      const bits = rdata.take(length)
      if (window <= before || length === 0 || length > 32 || bits.at(-1) === 0) rdata.ok = false
      before = window
      for (const [i, byte] of bits.entries()) {
        for (let bit = 0; bit < 8; bit++) {
          if ((byte & (0x80 >> bit)) !== 0) names.push(typeToText(window * 256 + i * 8 + bit))
        }
      }
    }
    return names.join(' ')
  },
}

/** Appends the type bitmap of `types`, which may come in any order. */
export function putBitmap(types: readonly number[], out: RdataBuffer): void {
  const sorted = [...types].sort((a, b) => a - b)
  let i = 0
  while (i < sorted.length) {
    const window = sorted[i]! >>> 8
    const bits = new Uint8Array(32)
    let used = 0
    for (; i < sorted.length && sorted[i]! >>> 8 === window; i++) {
      const low = sorted[i]! & 0xff
      used = (low >>> 3) + 1
      bits[low >>> 3] = bits[low >>> 3]! | (0x80 >>> (low & 7))
    }
    out.u8(window)
    out.u8(used)
    for (const byte of bits.subarray(0, used)) out.u8(byte)
  }
}

function takenType(words: Words, i: number): number {
  const type = typeFromText(words.text(i))
  if (type === undefined) throw syntaxError(`unknown record type ${words.shown(i)}`)
  return type
}

const hostName = [name('the name')]
const numberAndName = [u16('the preference'), name('the name')]
const ds = [u16('the key tag'), algorithm, u8('the digest type'), hex('the digest')]
const dnskey = [u16('the flags'), u8('the protocol'), algorithm, base64('the public key')]
const nsec3Parameters = [u8('the hash algorithm'), u8('the flags'), u16('the iterations'), salt]
const certificate = [
  u8('the usage'),
  u8('the selector'),
  u8('the matching type'),
  hex('the certificate data'),
]

const FIELDS: ReadonlyMap<number, readonly Field[]> = new Map(
  Object.entries({
    A: [ipv4],
    NS: hostName,
    CNAME: hostName,
    SOA: [
      name('the primary server'),
      name('the mailbox'),
      u32('the serial'),
      seconds('the refresh time'),
      seconds('the retry time'),
      seconds('the expire time'),
      seconds('the minimum'),
    ],
    PTR: hostName,
    HINFO: [text('the CPU'), text('the system')],
    MX: numberAndName,
    TXT: [texts],
    RP: [name('the mailbox'), name('the text name')],
    AFSDB: numberAndName,
    AAAA: [ipv6],
    SRV: [u16('the priority'), u16('the weight'), u16('the port'), name('the target')],
    NAPTR: [
      u16('the order'),
      u16('the preference'),
      text('the flags'),
      text('the service'),
      text('the expression'),
      name('the replacement'),
    ],
    KX: numberAndName,
    DNAME: hostName,
    DS: ds,
    SSHFP: [u8('the algorithm'), u8('the fingerprint type'), hex('the fingerprint')],
    RRSIG: [
      covered,
      algorithm,
      u8('the labels'),
      u32('the original TTL'),
      time('the expiration'),
      time('the inception'),
      u16('the key tag'),
      name('the signer'),
      base64('the signature'),
    ],
    NSEC: [name('the next name'), bitmap],
    DNSKEY: dnskey,
    NSEC3: [...nsec3Parameters, hashed, bitmap],
    NSEC3PARAM: nsec3Parameters,
    TLSA: certificate,
    SMIMEA: certificate,
    CDS: ds,
    CDNSKEY: dnskey,
    OPENPGPKEY: [base64('the key')],
    CSYNC: [u32('the serial'), u16('the flags'), bitmap],
    ZONEMD: [u32('the serial'), u8('the scheme'), u8('the hash algorithm'), hex('the digest')],
    SPF: [texts],
    URI: [u16('the priority'), u16('the weight'), restText('the target')],
    CAA: [u8('the flags'), caaTag, restText('the value')],
    DLV: ds,
  }).map(([mnemonic, fields]) => [NUMBERS[mnemonic] ?? -1, fields]),
)

/**
 * Reads the words that are left as the RDATA of `type`, all of them.
 * @param out takes the wire form; what it held is lost
 * @throws DnssecError `bad-zonefile`
 */
export function readRdata(type: number, words: Words, out: RdataBuffer, origin: Uint8Array): void {
  out.length = 0
  if (words.left === 0) throw syntaxError(`${typeToText(type)} without data`)
  if (isGenericMark(words, words.at)) {
    readGeneric(words, out)
    return
  }
  const fields = FIELDS.get(type)
  if (fields === undefined) {
    throw syntaxError(`${typeToText(type)} can be read in the form "\\# length hex" only`)
  }
  for (const field of fields) field.read(words, out, origin)
  if (words.left > 0) {
    throw syntaxError(`${words.shown(words.at)} stands behind the data of ${typeToText(type)}`)
  }
}

function isGenericMark(words: Words, i: number): boolean {
  const at = words.start(i)
  return (
    words.end(i) - at === 2 &&
    words.bytes[at] === 0x5c &&
    words.bytes[at + 1] === 0x23 &&
    !words.quoted(i)
  )
}

function readGeneric(words: Words, out: RdataBuffer): void {
  words.at++
  const i = words.take('the length of the data')
  const length = decimalOf(words, i, MAX_RDATA_BYTES)
  if (length < 0) throw syntaxError(`${words.shown(i)} is not a length of data`)
  putHexWords(words, out)
  if (out.length !== length) {
    throw syntaxError(`the data has ${out.length} bytes, not the ${length} it says`)
  }
}

/**
 * The wire form of an RDATA in presentation form.
 * @param data the whole RDATA, or its words; names without a final dot are below `origin`
 * @param origin the wire form of a name; the root if left out
 * @throws DnssecError `bad-zonefile`
 * @example rdataFromText(43, '20326 8 2 E06D44B8…')
 */
export function rdataFromText(
  type: number,
  data: string | readonly string[],
  origin: Uint8Array = new Uint8Array(1),
): Uint8Array {
  const line = typeof data === 'string' ? data : data.join(' ')
  const bytes = new TextEncoder().encode(line)
  const words = new Words()
  if (words.scan(bytes, 0, bytes.length, true) < bytes.length) {
    throw syntaxError('a line break in the data of one record')
  }
  const out = new RdataBuffer()
  readRdata(type, words, out, origin)
  return out.finish()
}

/**
 * The presentation form of an RDATA: that of its type, or `\# length HEX` where the type has none
 * here or the bytes are not an RDATA of that type. Never throws: it is made for people to look at.
 */
export function rdataToText(type: number, rdata: Uint8Array): string {
  const reader = new RdataReader(rdata)
  const fields = FIELDS.get(type)
  if (fields !== undefined) {
    const words = fields.map((field) => field.write(reader)).filter((word) => word !== '')
    if (reader.ok && reader.left === 0) return words.join(' ')
  }
  return rdata.length === 0 ? '\\# 0' : `\\# ${rdata.length} ${toHex(rdata).toUpperCase()}`
}
