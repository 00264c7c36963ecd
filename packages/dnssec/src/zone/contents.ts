/**
 * What a zone holds: its records by name in canonical order, and over which of them it has authority.
 *
 *     apex          authoritative: all of it
 *     a name        authoritative: all of it
 *     a cut         a name below the apex that has NS: DS and NSEC are the zone's, the NS only copies
 *     below a cut   glue: not the zone's (RFC 4035 §2.2); below a DNAME likewise (RFC 6672 §2.4)
 *     a hash        the owner of an NSEC3 record: no name of the zone
 *
 * Only form is judged here. Signatures are zone.ts's business, the chains of NSEC and NSEC3 those of
 * the files beside this one. The whole zone is held in memory: some 500 bytes a record.
 */
import { equal } from '@dslog/tlog/bytes'
import { DnssecError } from '../error.ts'
import { isAtOrBelow, nameToText, readName, type Name } from '../name.ts'
import { typeToText } from '../rdata.ts'
import { CLASS_IN, parseSoaNumbers, SOA_NUMBERS_BYTES, TYPE, type RR } from '../records.ts'
import { compareKeys, orderKey } from './order.ts'

/** Data of one owner and type, as they came. */
export interface NodeSet {
  readonly ttl: number
  readonly rdatas: Uint8Array[]
}

/** A name that owns records. */
export interface ZoneNode {
  readonly name: Name
  /** `orderKey` of the name. */
  readonly key: string
  /** All data but the signatures, by type. */
  readonly sets: ReadonlyMap<number, NodeSet>
  /** RDATA of the signatures, by the type they cover. */
  readonly rrsigs: ReadonlyMap<number, readonly Uint8Array[]>
  /** A delegation: NS below the apex. */
  readonly isCut: boolean
}

/** A zone's records, sorted out. */
export interface ZoneContents {
  readonly apex: ZoneNode
  /** RDATA of the SOA. */
  readonly soa: Uint8Array
  readonly serial: number
  /** All names with authority, cuts among them, in canonical order: the apex is the first. */
  readonly names: readonly ZoneNode[]
  /** Owners of NSEC3 records. */
  readonly hashes: readonly ZoneNode[]
}

/** An error that names the RRset and what is wrong with it. */
export function zoneError(name: Name, type: number | undefined, reason: string): DnssecError {
  const what = type === undefined ? '' : ` ${typeToText(type)}`
  return new DnssecError('bad-zone', `${nameToText(name)}${what}: ${reason}`)
}

/** What a zone signs at a cut. */
const SIGNED_AT_CUT: ReadonlySet<number> = new Set([TYPE.DS, TYPE.NSEC, TYPE.NSEC3])

/** The types of a node that the zone vouches for: all, or at a cut those of the parent's side. */
export function ownTypes(node: ZoneNode): number[] {
  const types = [...node.sets.keys()]
  return node.isCut ? types.filter((type) => SIGNED_AT_CUT.has(type)) : types
}

/**
 * The types that a bitmap must name for a node (RFC 4034 §4.1.2, RFC 5155 §7.1): what the zone vouches
 * for, the NS of a cut, and RRSIG where anything is signed; of NSEC3 records nothing.
 */
export function bitmapTypes(node: ZoneNode): Set<number> {
  const types = new Set(ownTypes(node))
  if (node.isCut) types.add(TYPE.NS)
  if ([...node.rrsigs.keys()].some((type) => type !== TYPE.NSEC3)) types.add(TYPE.RRSIG)
  types.delete(TYPE.NSEC3)
  return types
}

/** Says where a bitmap and what the zone holds part; undefined if they agree. */
export function bitmapFault(
  bitmap: ReadonlySet<number>,
  held: ReadonlySet<number>,
): string | undefined {
  const list = (types: ReadonlySet<number>, others: ReadonlySet<number>): string =>
    [...types]
      .filter((type) => !others.has(type))
      .map(typeToText)
      .join(' ')
  const missing = list(bitmap, held)
  if (missing !== '') return `says there is ${missing}, which the zone does not hold`
  const unsaid = list(held, bitmap)
  return unsaid === '' ? undefined : `does not say there is ${unsaid}, which the zone holds`
}

/** The RDATA of a set that may have one record only: the same record twice is one. */
export function singleRdata(node: ZoneNode, type: number): Uint8Array | undefined {
  const [first, ...more] = node.sets.get(type)?.rdatas ?? []
  if (first !== undefined && more.some((other) => !equal(other, first))) {
    throw zoneError(node.name, type, 'more than one')
  }
  return first
}

interface OpenNode extends ZoneNode {
  readonly sets: Map<number, NodeSet>
  readonly rrsigs: Map<number, Uint8Array[]>
  isCut: boolean
}

/**
 * Sorts out the records of a zone.
 * @param zone the apex, if known; else it is the owner of the SOA
 * @throws DnssecError `bad-zone`: no SOA, more than one, names outside the zone, a DS where no
 *   delegation is, signatures of what does not exist or is not the zone's
 */
export async function collectZone(
  records: Iterable<RR> | AsyncIterable<RR>,
  zone?: Name,
): Promise<ZoneContents> {
  const nodes = new Map<string, OpenNode>()
  let open: OpenNode | undefined
  let count = 0
  for await (const record of records) {
    count++
    if (record.class !== CLASS_IN) {
      throw zoneError(record.owner, record.type, `class ${record.class}: the Internet class only`)
    }
    // Records of one name mostly stand in a row, and the reader gives them the same object.
    if (open?.name !== record.owner) {
      const key = orderKey(record.owner)
      open = nodes.get(key)
      if (open === undefined) {
        open = { name: record.owner, key, sets: new Map(), rrsigs: new Map(), isCut: false }
        nodes.set(key, open)
      }
    }
    addTo(open, record)
  }
  if (count === 0) throw new DnssecError('bad-zone', 'the zone holds no records')

  const { apex, soa } = apexOf(nodes, zone)
  const sorted = [...nodes.values()].sort((a, b) => compareKeys(a.key, b.key))
  const names: ZoneNode[] = []
  const hashes: ZoneNode[] = []
  let cover: ZoneNode | undefined
  for (const node of sorted) {
    if (!isAtOrBelow(node.name, apex.name)) {
      throw zoneError(node.name, undefined, `not in the zone ${nameToText(apex.name)}`)
    }
    // Hashes stand below the apex even where a DNAME leaves nothing else there.
    const isHash = node.sets.has(TYPE.NSEC3)
    if (cover !== undefined && node.key.startsWith(cover.key) && !(isHash && cover === apex)) {
      checkGlue(node, cover)
      continue
    }
    node.isCut = node !== apex && node.sets.has(TYPE.NS)
    cover = node.isCut || node.sets.has(TYPE.DNAME) ? node : undefined
    checkNode(node, apex)
    if (isHash) hashes.push(node)
    if (node.sets.size > (isHash ? 1 : 0)) names.push(node)
  }
  return { apex, soa, serial: serialOf(soa), names, hashes }
}

function addTo(node: OpenNode, { type, ttl, rdata }: RR): void {
  if (type !== TYPE.RRSIG) {
    const set = node.sets.get(type)
    if (set === undefined) node.sets.set(type, { ttl, rdatas: [rdata] })
    else set.rdatas.push(rdata)
    return
  }
  if (rdata.length < 2) throw zoneError(node.name, type, 'a signature of nothing')
  const covered = rdata[0]! * 256 + rdata[1]!
  const signatures = node.rrsigs.get(covered)
  if (signatures === undefined) node.rrsigs.set(covered, [rdata])
  else signatures.push(rdata)
}

function apexOf(
  nodes: ReadonlyMap<string, ZoneNode>,
  zone: Name | undefined,
): { apex: ZoneNode; soa: Uint8Array } {
  const [apex, second] = [...nodes.values()].filter((node) => node.sets.has(TYPE.SOA))
  if (apex === undefined) {
    throw new DnssecError('bad-zone', 'no SOA: not a whole zone, or its beginning is missing')
  }
  if (second !== undefined) {
    throw zoneError(second.name, TYPE.SOA, `a second SOA, beside that of ${nameToText(apex.name)}`)
  }
  if (zone !== undefined && apex.key !== orderKey(zone)) {
    throw zoneError(apex.name, TYPE.SOA, `another zone than ${nameToText(zone)}`)
  }
  // A transfer ends with the SOA it began with (RFC 5936 §2.2): the same again is no second one.
  const [soa, ...more] = apex.sets.get(TYPE.SOA)!.rdatas
  if (soa === undefined || more.some((other) => !equal(other, soa))) {
    throw zoneError(apex.name, TYPE.SOA, 'the SOA stands twice, and differs')
  }
  return { apex, soa }
}

/** Serial of an SOA: behind its two names (RFC 1035 §3.3.13). */
function serialOf(soa: Uint8Array): number {
  const primary = readName(soa, 0, { compressed: false })
  const { end } = readName(soa, primary.end, { compressed: false })
  if (soa.length !== end + SOA_NUMBERS_BYTES) {
    throw new DnssecError('bad-record', 'malformed SOA record')
  }
  return parseSoaNumbers(soa).serial
}

function checkGlue(node: ZoneNode, cover: ZoneNode): void {
  const what = cover.isCut ? 'delegation' : 'DNAME'
  const [signed] = node.rrsigs.keys()
  const stray = signed ?? [TYPE.DS, TYPE.NSEC, TYPE.NSEC3].find((type) => node.sets.has(type))
  if (stray === undefined) return
  const done = signed === undefined ? 'present' : 'signed'
  throw zoneError(node.name, stray, `${done} below the ${what} ${nameToText(cover.name)}`)
}

function checkNode(node: ZoneNode, apex: ZoneNode): void {
  if (node.sets.has(TYPE.DS) && !node.isCut) {
    const where = node === apex ? 'at the apex' : 'without a delegation (NS)'
    throw zoneError(node.name, TYPE.DS, where)
  }
  for (const type of node.rrsigs.keys()) {
    if (!node.sets.has(type)) {
      throw zoneError(node.name, type, 'a signature, but the records it covers are missing')
    }
    if (node.isCut && !SIGNED_AT_CUT.has(type)) {
      throw zoneError(node.name, type, 'signed at a delegation, where it is not the zone’s')
    }
  }
}
