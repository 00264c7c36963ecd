/**
 * From a heap of records to observations: signed DS records, and signed proof that there are none, each
 * with the keys above it as far as they are in the heap. The log has most keys already.
 */
import { toBase64 } from '@dslog/tlog/bytes'
import { wellFormed } from '@dslog/dnssec/error'
import { isBelow, type Name, nameKey, nameToText } from '@dslog/dnssec/name'
import { findNsecProof } from '@dslog/dnssec/nsec'
import { findNsec3Proof, MAX_ITERATIONS, nsec3Chains, type Nsec3Link } from '@dslog/dnssec/nsec3'
import { dsToText, parseNsec, parseNsec3, parseRrsig, type RR, TYPE } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { Observation } from '@dslog/schema/api'

/** An RRset with its signatures. */
interface SignedSet {
  readonly owner: Name
  readonly type: number
  readonly records: Map<string, RR>
  readonly rrsigs: Map<string, RR>
}

/** A signed state that somebody saw. */
export interface SeenState {
  readonly owner: Name
  /** The zone that signed it. */
  readonly zone: Name
  /** In presentation form; empty for none. */
  readonly ds: readonly string[]
  readonly observation: Observation
}

const KEPT: ReadonlySet<number> = new Set([TYPE.DS, TYPE.DNSKEY, TYPE.NSEC, TYPE.NSEC3])
/** Zones above one another. */
const MAX_DEPTH = 16

/** A heap of records, in order. */
export class Bag {
  readonly #sets = new Map<string, SignedSet>()

  constructor(records: Iterable<RR>) {
    for (const rr of records) {
      const type = rr.type === TYPE.RRSIG ? covered(rr) : rr.type
      if (type === undefined || !KEPT.has(type)) continue
      const key = setKey(rr.owner, type)
      const set = this.#sets.get(key) ?? {
        owner: rr.owner,
        type,
        records: new Map<string, RR>(),
        rrsigs: new Map<string, RR>(),
      }
      this.#sets.set(key, set)
      const into = rr.type === TYPE.RRSIG ? set.rrsigs : set.records
      into.set(toBase64(rr.rdata), rr)
    }
  }

  /** Every signed DS set. */
  states(): SeenState[] {
    return [...this.#sets.values()].flatMap((set): SeenState[] => {
      const zone = set.type === TYPE.DS ? signerOf(set) : undefined
      if (zone === undefined || set.records.size === 0) return []
      const ds = [...set.records.values()].map(({ rdata }) => dsToText(rdata))
      const records = [...recordsOf(set), ...this.#chain(zone)]
      return [{ owner: set.owner, zone, ds, observation: observationOf(set.owner, records) }]
    })
  }

  /** Zones that signed something about what is not there. */
  denyingZones(): Name[] {
    const zones = new Map<string, Name>()
    for (const set of this.#denials()) {
      const zone = signerOf(set)
      if (zone !== undefined) zones.set(nameKey(zone), zone)
    }
    return [...zones.values()]
  }

  /** What proves that these names, of which a zone held a DS, have none; those that nothing is proven of are left out. */
  absences(zone: Name, names: readonly Name[]): SeenState[] {
    const sets = [...this.#denials()].filter((set) => {
      const signer = signerOf(set)
      return signer !== undefined && nameKey(signer) === nameKey(zone)
    })
    const proof = new Denials(zone, sets)
    return names.flatMap((owner): SeenState[] => {
      const has = this.#sets.get(setKey(owner, TYPE.DS))
      if ((has !== undefined && has.records.size > 0) || !isBelow(owner, zone)) return []
      const used = proof.of(owner)
      if (used === undefined) return []
      const records = [...[...used].flatMap((set) => recordsOf(set)), ...this.#chain(zone)]
      return [{ owner, zone, ds: [], observation: observationOf(owner, records) }]
    })
  }

  *#denials(): Generator<SignedSet> {
    for (const set of this.#sets.values()) {
      const isDenial = set.type === TYPE.NSEC || set.type === TYPE.NSEC3
      if (isDenial && set.records.size === 1 && set.rrsigs.size > 0) yield set
    }
  }

  /** Keys of a zone and what they hang from, up to the root or to where nothing is known. */
  #chain(zone: Name): RR[] {
    const records: RR[] = []
    let at: Name | undefined = zone
    for (let depth = 0; at !== undefined && depth < MAX_DEPTH; depth++) {
      const keys = this.#sets.get(setKey(at, TYPE.DNSKEY))
      const ds = this.#sets.get(setKey(at, TYPE.DS))
      if (keys !== undefined) records.push(...recordsOf(keys))
      if (ds !== undefined) records.push(...recordsOf(ds))
      at = ds === undefined ? undefined : signerOf(ds)
    }
    return records
  }
}

/** The records of denial of one zone. */
class Denials {
  readonly #zone: Name
  readonly #nsec: readonly Source[]
  readonly #nsec3: readonly (readonly Nsec3Link<Source>[])[]

  constructor(zone: Name, sets: readonly SignedSet[]) {
    this.#zone = zone
    const sources = sets.map((set): Source => {
      const [record] = set.records.values()
      return { owner: set.owner, rdata: record!.rdata, set }
    })
    const readable = (type: number, parse: (rdata: Uint8Array) => unknown): Source[] =>
      sources.filter(({ rdata, set }) => {
        return set.type === type && wellFormed(() => parse(rdata)) !== undefined
      })
    this.#nsec = readable(TYPE.NSEC, parseNsec)
    // The log believes no chain that takes longer to hash; anybody can write one that takes hours.
    this.#nsec3 = nsec3Chains(readable(TYPE.NSEC3, parseNsec3), zone).filter(([link]) => {
      return link!.iterations <= MAX_ITERATIONS
    })
  }

  /** The sets that show that a name has no DS. */
  of(owner: Name): ReadonlySet<SignedSet> | undefined {
    const found = [
      wellFormed(() => findNsecProof(owner, this.#zone, this.#nsec)),
      ...this.#nsec3.map((links) => wellFormed(() => findNsec3Proof(owner, this.#zone, links))),
    ].find((proof) => proof !== undefined)
    return found && new Set([...found.used].map(({ set }) => set))
  }
}

interface Source {
  readonly owner: Name
  readonly rdata: Uint8Array
  readonly set: SignedSet
}

function covered(rr: RR): number | undefined {
  return wellFormed(() => parseRrsig(rr.rdata).typeCovered)
}

/** The zone that signed, if it is above the owner or, for keys, the owner. */
function signerOf({ owner, rrsigs, type }: SignedSet): Name | undefined {
  for (const { rdata } of rrsigs.values()) {
    const signer = wellFormed(() => parseRrsig(rdata).signer)
    if (signer === undefined) continue
    if (isBelow(owner, signer) || (type !== TYPE.DS && nameKey(owner) === nameKey(signer))) {
      return signer
    }
  }
  return undefined
}

function recordsOf({ records, rrsigs }: SignedSet): RR[] {
  return [...records.values(), ...rrsigs.values()]
}

function observationOf(owner: Name, records: readonly RR[]): Observation {
  return {
    owner: nameToText(owner),
    records: records.map((record) => toBase64(encodeRecord(record))),
  }
}

function setKey(owner: Name, type: number): string {
  return `${nameKey(owner)} ${type}`
}
