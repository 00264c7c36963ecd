/**
 * RRsets in canonical form and order (RFC 4034 §6.2–6.3 as amended by RFC 6840 §5.1), and the names
 * inside RDATA: decompressed when a message is read, lower-cased when a signature is checked.
 */
import { compare, concat } from '@dslog/tlog/bytes'
import { DnssecError } from './error.ts'
import { expandName, nameEnd, readName, sameName, type Name } from './name.ts'
import { CLASS_IN, RRSIG_FIXED_BYTES, TYPE, type RR, type RRset } from './records.ts'

/** TTL of records made up from RDATA: it is no part of what is signed or logged. */
const NO_TTL = 0

type Step = number | 'n' | 's' | '*'

/**
 * Where names stand in the RDATA of a type, for those whose names are lower-cased in canonical form
 * (RFC 4034 §6.2; RFC 6840 §5.1 took NSEC out and HINFO has none) and may be compressed in
 * a message (RFC 3597 §4): a number skips that many bytes, `s` a character string, `n` is a name,
 * `*` whatever is left. Addresses are here for their length. A6 is historic (RFC 6563) and left out.
 */
const LAYOUT: ReadonlyMap<number, readonly Step[]> = new Map<number, readonly Step[]>([
  [TYPE.A, [4]],
  [TYPE.NS, ['n']],
  [TYPE.MD, ['n']],
  [TYPE.MF, ['n']],
  [TYPE.CNAME, ['n']],
  [TYPE.SOA, ['n', 'n', 20]],
  [TYPE.MB, ['n']],
  [TYPE.MG, ['n']],
  [TYPE.MR, ['n']],
  [TYPE.PTR, ['n']],
  [TYPE.MINFO, ['n', 'n']],
  [TYPE.MX, [2, 'n']],
  [TYPE.RP, ['n', 'n']],
  [TYPE.AFSDB, [2, 'n']],
  [TYPE.RT, [2, 'n']],
  [TYPE.SIG, [RRSIG_FIXED_BYTES, 'n', '*']],
  [TYPE.PX, [2, 'n', 'n']],
  [TYPE.AAAA, [16]],
  [TYPE.NXT, ['n', '*']],
  [TYPE.SRV, [6, 'n']],
  [TYPE.NAPTR, [4, 's', 's', 's', 'n']],
  [TYPE.KX, [2, 'n']],
  [TYPE.DNAME, ['n']],
  [TYPE.RRSIG, [RRSIG_FIXED_BYTES, 'n', '*']],
])

/** Types whose names must not be compressed in a message. */
const NEVER_COMPRESSED: ReadonlySet<number> = new Set([TYPE.RRSIG, TYPE.KX])

/** Walks the RDATA of `type` at `start..end`, handing out its names and the stretches between. */
function walkRdata(
  type: number,
  layout: readonly Step[],
  data: Uint8Array,
  start: number,
  end: number,
  on: {
    bytes(from: number, to: number): void
    name(from: number, data: Uint8Array): number
  },
): void {
  const bad = (): DnssecError => new DnssecError('bad-record', `bad length of type ${type} data`)
  let pos = start
  for (const step of layout) {
    if (step === 'n') {
      pos = on.name(pos, data)
      if (pos > end) throw bad()
      continue
    }
    const size = step === '*' ? end - pos : step === 's' ? 1 + (data[pos] ?? 0) : step
    if (pos + size > end) throw bad()
    on.bytes(pos, pos + size)
    pos += size
  }
  if (pos !== end) throw bad()
}

/** Reads what it walks over, and makes nothing of it. */
const CHECK = {
  bytes: (): void => {},
  name: (from: number, data: Uint8Array): number => nameEnd(data, from),
}

/**
 * The RDATA of a record of `type` that stands at `start..end` of `message`, names decompressed, case
 * kept.
 *
 * @param isView what stands there as it is is not copied
 * @throws DnssecError `bad-record` if the length does not fit the type, `bad-name`
 */
export function expandRdata(
  type: number,
  message: Uint8Array,
  start: number,
  end: number,
  isView = false,
): Uint8Array {
  const layout = LAYOUT.get(type)
  if (layout === undefined || NEVER_COMPRESSED.has(type)) {
    if (layout !== undefined) walkRdata(type, layout, message, start, end, CHECK)
    return isView ? message.subarray(start, end) : message.slice(start, end)
  }
  const data = message.subarray(0, end)
  const parts: Uint8Array[] = []
  walkRdata(type, layout, data, start, end, {
    bytes: (from, to) => parts.push(data.subarray(from, to)),
    name: (from) => {
      const { wire, end } = expandName(data, from)
      parts.push(wire)
      return end
    },
  })
  return concat(...parts)
}

/**
 * Canonical RDATA (RFC 4034 §6.2): the embedded names of the types listed there lower-cased.
 *
 * @throws DnssecError `bad-record` if the length does not fit the type, `bad-name`
 */
export function canonicalRdata(type: number, rdata: Uint8Array): Uint8Array {
  const layout = LAYOUT.get(type)
  if (layout === undefined) return rdata
  const out = rdata.slice()
  walkRdata(type, layout, rdata, 0, rdata.length, {
    bytes: () => undefined,
    name: (from) => {
      const { name, end } = readName(rdata, from, { compressed: false })
      out.set(name, from)
      return end
    },
  })
  return out
}

/**
 * An RRset from its data: canonical form, sorted as bytes, duplicates removed (RFC 4034 §6.3).
 *
 * @throws DnssecError `bad-record` if there is none, or as `canonicalRdata`
 */
export function rrset(owner: Name, type: number, rdatas: readonly Uint8Array[]): RRset {
  if (rdatas.length === 0) throw new DnssecError('bad-record', 'an RRset has at least one record')
  // Most sets have one record, which needs neither order nor a second look.
  if (rdatas.length === 1) return { owner, type, rdatas: [canonicalRdata(type, rdatas[0]!)] }
  const sorted = rdatas.map((rdata) => canonicalRdata(type, rdata)).sort(compare)
  return {
    owner,
    type,
    rdatas: sorted.filter((rdata, i) => i === 0 || compare(rdata, sorted[i - 1]!) !== 0),
  }
}

/** The records of one owner and type out of a bag, as an RRset; undefined if there is none. */
export function selectRRset(records: readonly RR[], owner: Name, type: number): RRset | undefined {
  const found = records.filter(
    (r) => r.type === type && r.class === CLASS_IN && sameName(r.owner, owner),
  )
  return found.length === 0
    ? undefined
    : rrset(
        owner,
        type,
        found.map((r) => r.rdata),
      )
}

/** The type an RRSIG covers; undefined if its RDATA is too short to say. */
function typeCovered(rrsig: Uint8Array): number | undefined {
  return rrsig.length < 2 ? undefined : rrsig[0]! * 256 + rrsig[1]!
}

/** RDATA of the RRSIGs at `owner` that cover `type`, in the order of the bag. */
export function selectRrsigs(records: readonly RR[], owner: Name, type: number): Uint8Array[] {
  return records
    .filter(
      (r) =>
        r.type === TYPE.RRSIG &&
        r.class === CLASS_IN &&
        typeCovered(r.rdata) === type &&
        sameName(r.owner, owner),
    )
    .map((r) => r.rdata)
}

/** The records of an RRset and one signature over it. */
export function recordsOf(
  owner: Name,
  type: number,
  rdatas: readonly Uint8Array[],
  rrsig: Uint8Array,
): RR[] {
  const head = { owner, class: CLASS_IN, ttl: NO_TTL }
  const records = rdatas.map((rdata) => ({ ...head, type, rdata }))
  return [...records, { ...head, type: TYPE.RRSIG, rdata: rrsig }]
}
