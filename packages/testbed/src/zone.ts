/**
 * A signed zone as a name server holds it: what it answers to a question (RFC 1034 §4.3.2, RFC 4035
 * §3.1, RFC 5155 §7.2, RFC 6672 §3.2), and the zone as a master file. It looks at neither network nor
 * messages: a server puts the records on the wire, and leaves signatures out for who did not ask.
 */
import { RCODE } from '@dslog/dnssec/message'
import {
  compareCanonical,
  isAtOrBelow,
  labelCount,
  lastLabels,
  nameFromWire,
  nameKey,
  nameToText,
  nextCloser,
  parentOf,
  sameName,
  wildcardOf,
  type Name,
} from '@dslog/dnssec/name'
import { nsec3Hash, nsec3Owner } from '@dslog/dnssec/nsec3'
import { rdataToText, typeToText } from '@dslog/dnssec/rdata'
import { CLASS_IN, parseSoaNumbers, TYPE, type RR } from '@dslog/dnssec/records'
import { concat } from '@dslog/tlog/bytes'
import type { Denial } from './signer.ts'

/** A question for every type (RFC 1035 §3.2.3). */
const ANY = 255

/** CNAMEs followed in one answer; a loop of them ends here. */
const MAX_CNAMES = 8

/** What a server says. Signatures and records of denial are in it. */
export interface Answer {
  readonly rcode: (typeof RCODE)['NOERROR' | 'NXDOMAIN' | 'REFUSED']
  /** False for a referral to the servers of a delegated zone. */
  readonly authoritative: boolean
  readonly answer: readonly RR[]
  readonly authority: readonly RR[]
  /** Addresses of the servers of a referral. */
  readonly additional: readonly RR[]
}

/** Sets and signatures of one name, by the type they are or cover. */
interface Node {
  readonly name: Name
  readonly sets: Map<number, RR[]>
  readonly rrsigs: Map<number, RR[]>
}

/** A zone: signed, made by `signZone`, or unsigned. */
export class Zone {
  readonly origin: Name
  /** All records: the SOA first, then by owner in canonical order, signatures behind what they cover. */
  readonly records: readonly RR[]
  /** How it denies; undefined for an unsigned zone. */
  readonly denial: Denial | undefined

  readonly #nodes = new Map<string, Node>()
  /** Names that exist, empty non-terminals among them; owners of NSEC3 records do not. */
  readonly #existing = new Set<string>()
  /** Owners of NSEC, or of NSEC3, in canonical order: base32hex keeps the order of hashes. */
  readonly #denying: readonly Name[]

  constructor(origin: Name, records: readonly RR[], denial: Denial | undefined) {
    this.origin = origin
    this.denial = denial
    for (const record of records) {
      const key = nameKey(record.owner)
      const node: Node = this.#nodes.get(key) ?? {
        name: record.owner,
        sets: new Map(),
        rrsigs: new Map(),
      }
      this.#nodes.set(key, node)
      const isRrsig = record.type === TYPE.RRSIG
      const type = isRrsig ? record.rdata[0]! * 256 + record.rdata[1]! : record.type
      const sets = isRrsig ? node.rrsigs : node.sets
      sets.set(type, [...(sets.get(type) ?? []), record])
      if (type === TYPE.NSEC3) continue
      for (let name = record.owner; !this.#existing.has(nameKey(name)); name = parentOf(name)) {
        this.#existing.add(nameKey(name))
        if (sameName(name, origin)) break
      }
    }
    const nodes = [...this.#nodes.values()].sort((a, b) => compareCanonical(a.name, b.name))
    const type = denial === 'nsec' ? TYPE.NSEC : TYPE.NSEC3
    this.#denying = nodes.filter(({ sets }) => sets.has(type)).map(({ name }) => name)
    const soaFirst = (a: number, b: number): number =>
      Number(b === TYPE.SOA) - Number(a === TYPE.SOA) || a - b
    this.records = nodes.flatMap(({ sets, rrsigs }) =>
      [...sets.keys()].sort(soaFirst).flatMap((t) => [...sets.get(t)!, ...(rrsigs.get(t) ?? [])]),
    )
  }

  /** Serial of the SOA. */
  get serial(): number {
    const [soa] = this.#own(this.origin, TYPE.SOA)
    if (soa === undefined) throw new Error('a zone without SOA')
    return parseSoaNumbers(soa.rdata).serial
  }

  /** An RRset with its signatures, as it stands in the zone; none if there is no such. */
  rrset(owner: Name, type: number): RR[] {
    const node = this.#nodes.get(nameKey(owner))
    return [...(node?.sets.get(type) ?? []), ...(node?.rrsigs.get(type) ?? [])]
  }

  /** What a server of this zone says to a question. */
  answer(qname: Name, qtype: number): Answer {
    if (!isAtOrBelow(qname, this.origin)) {
      return { ...NOTHING, rcode: RCODE.REFUSED, authoritative: false }
    }
    const answer: RR[] = []
    let name = qname
    for (let followed = 0; followed <= MAX_CNAMES; followed++) {
      const found = this.#find(name, qtype)
      answer.push(...found.answer)
      const isFollowed = qtype !== TYPE.CNAME && qtype !== ANY
      const alias = isFollowed ? found.answer.find((rr) => rr.type === TYPE.CNAME) : undefined
      if (alias === undefined) return { ...found, answer }
      name = nameFromWire(alias.rdata)
      if (!isAtOrBelow(name, this.origin)) return { ...found, answer }
    }
    return { ...NOTHING, answer }
  }

  /**
   * The DS RRset of `owner` with its signatures, or the SOA and the records that deny it: what a server
   * of the parent says about a delegation.
   */
  dsOrDenial(owner: Name): RR[] {
    const { answer, authority } = this.answer(owner, TYPE.DS)
    return [...answer, ...authority]
  }

  /** The whole zone as a master file. */
  toText(): string {
    return this.records
      .map(({ owner, ttl, type, rdata }) => {
        const words = [nameToText(owner), ttl, 'IN', typeToText(type), rdataToText(type, rdata)]
        return `${words.join('\t')}\n`
      })
      .join('')
  }

  #own(name: Name, type: number): RR[] {
    return this.#nodes.get(nameKey(name))?.sets.get(type) ?? []
  }

  /** One step: the answer at one name, an alias not followed. */
  #find(name: Name, type: number): Answer {
    for (let labels = labelCount(this.origin); labels <= labelCount(name); labels++) {
      const above = lastLabels(name, labels)
      const isApex = labels === labelCount(this.origin)
      const isSelf = labels === labelCount(name)
      if (!isApex && this.#own(above, TYPE.NS).length > 0 && !(isSelf && type === TYPE.DS)) {
        return this.#referral(above)
      }
      const dname = isSelf ? undefined : this.#own(above, TYPE.DNAME)[0]
      if (dname !== undefined) return this.#redirect(name, above, dname)
    }
    if (this.#existing.has(nameKey(name))) {
      const found = this.#atNode(name, type)
      return found ?? this.#negative(RCODE.NOERROR, this.#denyType(name))
    }

    const encloser = this.#encloser(name)
    const wildcard = wildcardOf(encloser)
    const isThere = this.#existing.has(nameKey(wildcard))
    if (!isThere) return this.#negative(RCODE.NXDOMAIN, this.#denyName(name, encloser))
    const found = this.#atNode(wildcard, type)
    if (found === undefined) {
      return this.#negative(RCODE.NOERROR, this.#denyName(name, encloser))
    }
    const answer = found.answer.map((rr) => ({ ...rr, owner: name }))
    return { ...found, answer, authority: this.#over(this.#closer(name, encloser)) }
  }

  #atNode(name: Name, type: number): Answer | undefined {
    const found =
      type === ANY || type === TYPE.RRSIG ? this.#all(name, type) : this.rrset(name, type)
    const answer = found.length > 0 ? found : this.rrset(name, TYPE.CNAME)
    return answer.length > 0 ? { ...NOTHING, answer } : undefined
  }

  /** Everything at a name, or all signatures there. */
  #all(name: Name, type: number): RR[] {
    const { rrsigs, sets } = this.#nodes.get(nameKey(name)) ?? {}
    const found = [...(type === ANY ? (sets?.values() ?? []) : []), ...(rrsigs?.values() ?? [])]
    return found.flat()
  }

  #negative(rcode: Answer['rcode'], denial: readonly RR[]): Answer {
    return { ...NOTHING, rcode, authority: [...this.rrset(this.origin, TYPE.SOA), ...denial] }
  }

  #referral(cut: Name): Answer {
    const servers = this.#own(cut, TYPE.NS)
    const ds = this.rrset(cut, TYPE.DS)
    const glue = servers.flatMap(({ rdata }) =>
      [TYPE.A, TYPE.AAAA].flatMap((type) => this.#own(nameFromWire(rdata), type)),
    )
    const authority = [...servers, ...(ds.length > 0 ? ds : this.#denyType(cut))]
    return { ...NOTHING, authoritative: false, authority, additional: glue }
  }

  #redirect(name: Name, above: Name, dname: RR): Answer {
    const front = name.subarray(0, name.length - above.length)
    const cname = { owner: name, type: TYPE.CNAME, class: CLASS_IN, ttl: dname.ttl }
    const rdata = concat(front, dname.rdata)
    return { ...NOTHING, answer: [...this.rrset(above, TYPE.DNAME), { ...cname, rdata }] }
  }

  /** The deepest name above `name` that exists. */
  #encloser(name: Name): Name {
    let above = parentOf(name)
    while (!this.#existing.has(nameKey(above))) above = parentOf(above)
    return above
  }

  // --- denial: NSEC speaks of names, NSEC3 of their hashes ---

  /** What shows that a name that exists lacks a type. */
  #denyType(name: Name): RR[] {
    if (typeof this.denial !== 'object' || this.#isIn(name)) return this.#over(name)
    // Left out by opt-out: what shows that, in its place, only something insecure can be.
    const encloser = this.#provable(parentOf(name))
    return [...this.#over(encloser), ...this.#over(nextCloser(name, encloser))]
  }

  /** What shows that a name does not exist, and what there is of a wildcard in its place. */
  #denyName(name: Name, encloser: Name): RR[] {
    if (typeof this.denial !== 'object') {
      return [...new Set([...this.#over(name), ...this.#over(wildcardOf(encloser))])]
    }
    const closest = this.#provable(encloser)
    const records = [closest, nextCloser(name, closest), wildcardOf(closest)]
    return [...new Set(records.flatMap((each) => this.#over(each)))]
  }

  /** The name itself or, with NSEC3, the nearest above it that opt-out has not left out. */
  #provable(name: Name): Name {
    let above = name
    while (!this.#isIn(above)) above = parentOf(above)
    return above
  }

  /** The name whose absence shows that of `name`. */
  #closer(name: Name, encloser: Name): Name {
    return typeof this.denial === 'object' ? nextCloser(name, encloser) : name
  }

  /** The place of a name in the chain: itself, or its hash as an owner. */
  #place(name: Name): Name {
    if (typeof this.denial !== 'object') return name
    const { salt = new Uint8Array(), iterations = 0 } = this.denial.nsec3
    return nsec3Owner(nsec3Hash(name, salt, iterations), this.origin)
  }

  /** Is there a record of the chain for this very name? */
  #isIn(name: Name): boolean {
    const place = this.#place(name)
    return sameName(this.#link(place), place)
  }

  /** The record of the chain that matches or covers a name, with its signatures. */
  #over(name: Name): RR[] {
    if (this.denial === undefined) return []
    const type = this.denial === 'nsec' ? TYPE.NSEC : TYPE.NSEC3
    return this.rrset(this.#link(this.#place(name)), type)
  }

  /** The last owner of the chain that is not behind `place`; before the first comes the last again. */
  #link(place: Name): Name {
    let from = 0
    let to = this.#denying.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (compareCanonical(this.#denying[middle]!, place) <= 0) from = middle + 1
      else to = middle
    }
    const owner = this.#denying.at(from - 1)
    if (owner === undefined) throw new Error('a signed zone has a chain of denial')
    return owner
  }
}

/** An answer with nothing in it. */
const NOTHING: Answer = {
  rcode: RCODE.NOERROR,
  authoritative: true,
  answer: [],
  authority: [],
  additional: [],
}
