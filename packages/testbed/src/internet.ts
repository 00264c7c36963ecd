/**
 * A small signed internet, in memory: a root, top-level domains, zones below them, and the delegations
 * in them, on a clock that tests set. A zone is signed anew after each change, and before its signatures
 * expire, at the time of the clock, as registries do.
 *
 *     const net = new Internet()
 *     const fi = net.addZone('fi.')
 *     fi.delegate(name, [dsOf(name, key)])
 *     net.evidence(name)                         what a validator needs at net.clock.now()
 *
 * What happens to a name over time is stories.ts's business; a name server may serve `zones`.
 */
import type { Anchor } from '@dslog/dnssec/anchors'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import {
  isAtOrBelow,
  isBelow,
  labelCount,
  nameFromText,
  nameKey,
  nameToText,
  ROOT,
  type Name,
} from '@dslog/dnssec/name'
import { rdataFromText, typeFromText } from '@dslog/dnssec/rdata'
import { CLASS_IN, FLAG_REVOKE, FLAG_SEP, TYPE, type RR } from '@dslog/dnssec/records'
import type { SignatureWindow } from '@dslog/dnssec/rrsig'
import { DAY, HOUR } from '@dslog/schema/time'
import { TestClock } from './clock.ts'
import { anchorOf, dsOf, KSK, ZSK, zoneKey, type ZoneKey } from './key.ts'
import { signZone, type Denial, type Oddity } from './signer.ts'
import { Zone } from './zone.ts'

/** How far signatures are dated back, for validators whose clock is slow, in ms. */
const BACKDATED = HOUR
/** How long signatures are valid unless told, in ms: two weeks, as those of the root. */
const VALIDITY: number = 14 * DAY
/** TTL of plain records, in seconds. */
const TTL = 3600
/** Address of a name server unless told: all are served on the loopback interface. */
const SERVER_ADDRESS = '127.0.0.1'

/** A name server of a zone, and where it listens; v6 addresses among them. */
export interface Server {
  readonly name: Name
  readonly addresses: readonly string[]
}

/** How a zone is signed. */
export interface ZoneOptions {
  /** ECDSAP256SHA256 unless told. */
  readonly algorithm?: number
  /** NSEC unless told. */
  readonly denial?: Denial
  /** A key-signing and a zone-signing key unless false: one key for both. */
  readonly split?: boolean
  /** How long signatures are valid, in ms. */
  readonly validity?: number
  /** False for a zone that its parent delegates without a DS. */
  readonly secure?: boolean
  /** Addresses of each of its name servers; one server at 127.0.0.1 unless told. */
  readonly servers?: readonly (readonly string[])[]
}

/** A zone and who runs it: what is in it, the keys it is signed with, and its parent. */
export class Authority {
  readonly name: Name
  /** The zone it is delegated from; none above the root. */
  readonly parent: Authority | undefined
  /** How what does not exist is denied. */
  denial: Denial
  /** How long signatures are valid, in ms. */
  validity: number
  /** Nobody signs: changes wait, and signatures grow old. */
  isNeglected = false
  /** Who serves it: `ns` in the zone, then `ns2`, `ns3`. */
  readonly servers: readonly Server[]

  readonly #clock: TestClock
  #records = new Map<string, RR[]>()
  #oddities = new Map<string, Oddity>()
  #delegations = new Map<string, readonly Server[]>()
  #keys: readonly ZoneKey[] = []
  #published: readonly ZoneKey[] = []
  #serial = 0
  #zone: Zone | undefined
  #isChanged = false
  #signedAt = 0

  /** Made by `Internet.addZone`. */
  constructor(name: Name, parent: Authority | undefined, clock: TestClock, options: ZoneOptions) {
    const { algorithm = ALGORITHM.ECDSAP256SHA256, denial = 'nsec', split = true } = options
    this.name = name
    this.parent = parent
    this.denial = denial
    this.validity = options.validity ?? VALIDITY
    this.#clock = clock
    const flags = split ? [KSK, ZSK] : [KSK]
    this.#keys = flags.map((flag) => this.makeKey(flag, algorithm))
    this.servers = serversOf(name, options.servers)
    this.add(...serverRecords(name, this.servers))
  }

  // --- keys ---

  /** Keys that sign. */
  get keys(): readonly ZoneKey[] {
    return this.#keys
  }

  /** Keys that are published and sign nothing. */
  get published(): readonly ZoneKey[] {
    return this.#published
  }

  /** A key of this zone: the same for the same flags, algorithm and generation. */
  makeKey(flags: number, algorithm: number, generation = 1): ZoneKey {
    const seed = `${nameToText(this.name)} ${flags} ${generation}`
    return zoneKey({ algorithm, flags, seed })
  }

  /** Changes the keys, none for an unsigned zone; the parent's DS is left as it is. */
  setKeys(keys: readonly ZoneKey[], published: readonly ZoneKey[] = []): void {
    this.#keys = keys
    this.#published = published
    this.#isChanged = true
  }

  /** The keys that a DS or a trust anchor may name: they sign the DNSKEY RRset, and are not revoked. */
  entryKeys(): readonly ZoneKey[] {
    return this.#keys.filter(({ flags }) => (flags & FLAG_SEP) !== 0 && (flags & FLAG_REVOKE) === 0)
  }

  /** DS records for those keys. */
  dsRecords(): Uint8Array[] {
    return this.entryKeys().map((key) => dsOf(this.name, key))
  }

  // --- records ---

  /** Adds plain records. */
  add(...records: readonly RR[]): void {
    for (const rr of records) {
      if (!isAtOrBelow(rr.owner, this.name)) {
        throw new RangeError(`${nameToText(rr.owner)} is not in ${nameToText(this.name)}`)
      }
      const id = setId(rr.owner, rr.type)
      this.#records.set(id, [...(this.#records.get(id) ?? []), rr])
    }
    this.#isChanged = true
  }

  /** Puts these in place of everything but the zone's own servers. */
  replace(records: readonly RR[]): void {
    this.#records.clear()
    this.#delegations.clear()
    this.add(...serverRecords(this.name, this.servers))
    for (const rr of records) this.add(rr)
  }

  /** Takes out an RRset. */
  remove(owner: Name, type: number): void {
    this.#records.delete(setId(owner, type))
    this.#isChanged = true
  }

  /**
   * Delegates a name, or changes its delegation: with these DS records, or without any; to these
   * servers, or to those it had.
   */
  delegate(owner: Name, ds: readonly Uint8Array[] = [], servers?: readonly Server[]): void {
    if (!isBelow(owner, this.name)) {
      throw new RangeError(`${nameToText(owner)} is not below ${nameToText(this.name)}`)
    }
    const to = servers ?? this.#delegations.get(nameKey(owner)) ?? serversOf(owner)
    this.undelegate(owner)
    this.#delegations.set(nameKey(owner), to)
    this.add(...serverRecords(owner, to))
    this.add(...ds.map((rdata) => ({ owner, type: TYPE.DS, class: CLASS_IN, ttl: TTL, rdata })))
  }

  /** Takes a delegation out of the zone. */
  undelegate(owner: Name): void {
    this.remove(owner, TYPE.NS)
    this.remove(owner, TYPE.DS)
    for (const { name } of this.#delegations.get(nameKey(owner)) ?? []) {
      this.remove(name, TYPE.A)
      this.remove(name, TYPE.AAAA)
    }
    this.#delegations.delete(nameKey(owner))
  }

  /** Signs an RRset in another way from now on; undefined for as it should be again. */
  makeOdd(owner: Name, type: number, oddity: Oddity | undefined): void {
    if (oddity === undefined) this.#oddities.delete(setId(owner, type))
    else this.#oddities.set(setId(owner, type), oddity)
    this.#isChanged = true
  }

  // --- signed ---

  /** The window of a signature made at the time of the clock, in seconds. */
  window(): SignatureWindow {
    const inception = Math.floor((this.#clock.now() - BACKDATED) / 1000)
    return { inception, expiration: inception + Math.floor(this.validity / 1000) }
  }

  /** The zone as signed last; signed anew if it was changed since, or half its validity is over. */
  get zone(): Zone {
    const isFresh = !this.#isChanged && this.#clock.now() - this.#signedAt < this.validity / 2
    return this.#zone !== undefined && (isFresh || this.isNeglected) ? this.#zone : this.sign()
  }

  /** What a server serves that never hears of a change: the zone as it is now. */
  snapshot(): { readonly name: Name; readonly zone: Zone } {
    return { name: this.name, zone: this.zone }
  }

  /** A second truth: another authority with the same keys and records, to be changed apart. */
  fork(): Authority {
    const { denial, name, parent, servers, validity } = this
    const addresses = servers.map((server) => server.addresses)
    const fork = new Authority(name, parent, this.#clock, { denial, validity, servers: addresses })
    fork.#records = new Map(this.#records)
    fork.#oddities = new Map(this.#oddities)
    fork.#delegations = new Map(this.#delegations)
    fork.#serial = this.#serial
    fork.setKeys(this.#keys, this.#published)
    return fork
  }

  /** Signs everything anew, at the time of the clock, under a new serial. */
  sign(): Zone {
    this.#serial++
    const server = nameToText(this.servers[0]!.name)
    const soa = `${server} hostmaster.${server} ${this.#serial} 1800 900 604800 ${TTL}`
    const records = [record(this.name, 'SOA', soa), ...[...this.#records.values()].flat()]
    const zone =
      this.#keys.length === 0
        ? new Zone(this.name, records, undefined)
        : signZone({
            origin: this.name,
            records,
            keys: this.#keys,
            published: this.#published,
            denial: this.denial,
            window: this.window(),
            oddity: (owner, type) => this.#oddities.get(setId(owner, type)),
          })
    this.#zone = zone
    this.#isChanged = false
    this.#signedAt = this.#clock.now()
    return zone
  }
}

/** All zones of a small signed internet. */
export class Internet {
  readonly clock: TestClock
  readonly root: Authority

  readonly #zones = new Map<string, Authority>()
  readonly #serversPerZone: number

  /** @param options with `servers`, each zone has so many, at addresses of their own, unless told */
  constructor(
    options: {
      readonly clock?: TestClock
      readonly root?: ZoneOptions
      readonly servers?: number
    } = {},
  ) {
    this.clock = options.clock ?? new TestClock()
    this.#serversPerZone = options.servers ?? 0
    this.root = new Authority(ROOT, undefined, this.clock, this.#withServers(options.root))
    this.#zones.set(nameKey(ROOT), this.root)
  }

  /** All zones, the root first, each behind its parent. */
  get zones(): readonly Authority[] {
    return [...this.#zones.values()]
  }

  /** Trust anchors for the root as it is now, without limits in time. */
  get anchors(): readonly Anchor[] {
    return this.root.entryKeys().map((key) => anchorOf(key))
  }

  /** Adds a zone, and delegates it from the nearest zone above it. */
  addZone(name: Name | string, options: ZoneOptions = {}): Authority {
    const origin = typeof name === 'string' ? nameFromText(name) : name
    if (this.#zones.has(nameKey(origin))) throw new RangeError(`${nameToText(origin)} is there`)
    const parent = this.parentOf(origin)
    const authority = new Authority(origin, parent, this.clock, this.#withServers(options))
    const ds = options.secure === false ? [] : authority.dsRecords()
    parent.delegate(origin, ds, authority.servers)
    this.#zones.set(nameKey(origin), authority)
    return authority
  }

  /** Gives a zone other keys, and its parent the DS for them, at once: a roll for who does not wait. */
  rekey(zone: Authority, generation: number, algorithm: number): void {
    zone.setKeys(zone.keys.map(({ flags }) => zone.makeKey(flags, algorithm, generation)))
    zone.parent?.delegate(zone.name, zone.dsRecords())
  }

  /** The zone that holds, or would hold, the DS of a name: the nearest strictly above it. */
  parentOf(owner: Name): Authority {
    return this.#nearest((zone) => isBelow(owner, zone))
  }

  /** The zone that a name is in: the nearest at or above it. */
  zoneOf(name: Name): Authority {
    return this.#nearest((zone) => isAtOrBelow(name, zone))
  }

  /**
   * What a validator needs for the DS of a name: the DS RRset or its denial, the keys of the zone that
   * says so, and for that zone and those above it the DS RRset and the keys of the next, up to the
   * root. A bag in no order that matters, with signatures.
   */
  evidence(owner: Name): RR[] {
    return [
      ...this.parentOf(owner).zone.dsOrDenial(owner),
      ...this.chain(this.parentOf(owner).name),
    ]
  }

  /** The keys of a zone, and everything above that they hang from. */
  chain(zone: Name): RR[] {
    const bag: RR[] = []
    let authority: Authority | undefined = this.zoneOf(zone)
    while (authority !== undefined) {
      const { name, parent }: Authority = authority
      bag.push(...authority.zone.rrset(name, TYPE.DNSKEY))
      if (parent !== undefined) bag.push(...parent.zone.rrset(name, TYPE.DS))
      authority = parent
    }
    return bag
  }

  /** The n-th zone's servers are 127.16.n.1, 127.16.n.2, … */
  #withServers(options: ZoneOptions = {}): ZoneOptions {
    if (this.#serversPerZone === 0) return options
    const n = this.#zones.size
    const net = `127.${16 + (n >> 8)}.${n & 0xff}`
    const servers = Array.from({ length: this.#serversPerZone }, (_, i) => [`${net}.${i + 1}`])
    return { servers, ...options }
  }

  #nearest(isAbove: (zone: Name) => boolean): Authority {
    const above = this.zones.filter(({ name }) => isAbove(name))
    const [nearest] = above.sort((a, b) => labelCount(b.name) - labelCount(a.name))
    if (nearest === undefined) throw new RangeError('nothing is above the root')
    return nearest
  }
}

/** A plain record from its presentation form. */
export function record(owner: Name | string, type: string, rdata: string): RR {
  const number = typeFromText(type)
  if (number === undefined) throw new RangeError(`no type ${type}`)
  const name = typeof owner === 'string' ? nameFromText(owner) : owner
  const data = rdataFromText(number, rdata)
  return { owner: name, type: number, class: CLASS_IN, ttl: TTL, rdata: data }
}

/** Name servers of a zone, in the zone itself. */
function serversOf(
  zone: Name,
  addresses: readonly (readonly string[])[] = [[SERVER_ADDRESS]],
): Server[] {
  return addresses.map((each, i) => ({
    name: nameFromText(i === 0 ? 'ns' : `ns${i + 1}`, zone),
    addresses: each,
  }))
}

/** NS records of a zone, and the addresses of its servers. */
function serverRecords(zone: Name, servers: readonly Server[]): RR[] {
  return servers.flatMap(({ name, addresses }) => [
    record(zone, 'NS', nameToText(name)),
    ...addresses.map((address) => record(name, address.includes(':') ? 'AAAA' : 'A', address)),
  ])
}

function setId(owner: Name, type: number): string {
  return `${nameKey(owner)} ${type}`
}
