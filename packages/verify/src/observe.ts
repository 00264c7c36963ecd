/**
 * From a bag of DNS records to candidates: what a submitter saw, turned into what the log may
 * record. The bag holds a DS RRset or a denial of one, and, as far as the log does not know them,
 * the DNSKEY and DS RRsets of the zones above. Nothing in it is trusted and nothing in it has to be
 * in any order; records of no use are ignored.
 */
import { equal, toHex } from '@dslog/tlog/bytes'
import type { Hash } from '@dslog/tlog/hash'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { judgeDelegation } from '@dslog/dnssec/chain'
import { DnssecError, wellFormed } from '@dslog/dnssec/error'
import { isBelow, labelCount, type Name, nameKey, nameToText } from '@dslog/dnssec/name'
import { parseRrsig, type RR, TYPE } from '@dslog/dnssec/records'
import { selectRRset, selectRrsigs } from '@dslog/dnssec/rrset'
import { isParentLink, type ZoneKeysEntry } from '@dslog/schema/entry'
import { keysId } from '@dslog/schema/identity'
import { type Candidate, entryOf, type KeysCandidate, type Moment } from './candidate.ts'
import { VerifyError } from './error.ts'
import {
  candidateOf,
  keysOfChain,
  type KeysEvidence,
  proveKeys,
  type TrustedKeys,
  type Verifier,
  verifyErrorOf,
} from './evidence.ts'
import { chainFrom, type KeysLookup, type ZoneKeys } from './keys.ts'

/** What the log already vouches for. */
export interface KnownKeys {
  readonly lookup: KeysLookup
  /** ZONE_KEYS entries of a zone, newest first. */
  keysOfZone(zone: Name): Promise<readonly ZoneKeys[]>
  /** Whether signatures of a zone are taken (admission rule 1); asked before any is verified. */
  admits?(zone: Name): boolean
}

/**
 * Key sets of one zone that are tried for a signature: during a roll there are two, and a set that
 * was replaced may be valid for a while.
 */
const MAX_KEY_SETS = 4

/** Zones that are tried as signer of one bag; an honest reply has one. */
const MAX_SIGNERS = 3

/** Zones whose keys are looked at for one bag: the root, a top-level domain, some public suffixes. */
export const MAX_ZONES = 16

/**
 * Signatures verified for one bag. An honest one takes two for each zone of its chain and at most three
 * for the state, and while keys roll some more; an attacker's asks for every key, set and signer.
 */
export const MAX_SIGNATURES = 64

/** Reads the observations of one submission; keys seen in one of them count for the next. */
export class Observer {
  readonly #known: KnownKeys
  readonly #verifier: Verifier
  readonly #moment: Moment
  readonly #seen = new SeenKeys()
  readonly #zones = new Map<string, Promise<readonly ZoneKeys[]>>()
  /** What is trusted of a zone, until an observation proves more keys: thousands of names hang from the same ones. */
  readonly #trusted = new Map<string, Promise<KnownSets>>()

  /** @param moment when the evidence has to be valid */
  constructor(known: KnownKeys, verifier: Verifier, moment: Moment) {
    this.#known = known
    this.#verifier = verifier
    this.#moment = moment
  }

  /**
   * What a bag proves about the delegation of `owner`: key sets from the top down, then the state.
   * The answer stands alone: keys that an earlier bag has proven are in it, where the state hangs from
   * them, for what became of that bag is not known here.
   *
   * @throws VerifyError why nothing is proven
   */
  async delegation(owner: Name, records: readonly RR[]): Promise<Candidate[]> {
    const { time: at } = this.#moment
    const bag = new Bag(records, this.#verifier)
    const { backend } = bag.verifier
    for (const zone of signersAbove(owner, records)) {
      if (this.#isAlien(zone, bag)) continue
      const { own, sets } = await this.#keysOf(zone, bag)
      for (const { candidates, trusted } of sets) {
        const question = { owner, zone, keys: trusted.keys, records, at, backend }
        const verdict = await judgeDelegation(question)
        if (verdict.verdict !== 'unverifiable') {
          const state = candidateOf(owner, trusted, verdict, at)
          return [...new Set([...own, ...candidates]), state]
        }
        bag.fail(verifyErrorOf(verdict.code, verdict.reason))
      }
      if (sets.length === 0) {
        bag.fail(new VerifyError('unproven', `no keys of ${nameToText(zone)} are known or proven`))
      }
    }
    throw bag.failure ?? missing(`about the DS of ${nameToText(owner)}`)
  }

  /**
   * What a bag proves about the keys of `zone`, and of the zones above it that they hang from.
   *
   * @throws VerifyError why nothing is proven
   */
  async zoneKeys(zone: Name, records: readonly RR[]): Promise<Candidate[]> {
    const bag = new Bag(records, this.#verifier)
    const { own } = await this.#keysOf(zone, bag)
    if (own.length > 0) return [...own]
    throw bag.failure ?? missing(`about the keys of ${nameToText(zone)}`)
  }

  /** Keys of a zone that are trusted now: proven by the bag, else known. Each zone is looked at once. */
  async #keysOf(zone: Name, bag: Bag): Promise<ZoneSets> {
    const text = nameKey(zone)
    const held = bag.zones.get(text)
    if (held !== undefined) return held
    if (this.#isAlien(zone, bag)) return { own: [], sets: [] }
    if (bag.zones.size >= MAX_ZONES) {
      bag.fail(new VerifyError('unsupported', `keys of more than ${MAX_ZONES} zones`))
      return { own: [], sets: [] }
    }
    const read = this.#readKeys(zone, bag)
    bag.zones.set(text, read)
    return read
  }

  #isAlien(zone: Name, bag: Bag): boolean {
    if (this.#known.admits === undefined || this.#known.admits(zone)) return false
    bag.fail(new VerifyError('zone-not-admitted', `signed by ${nameToText(zone)}`))
    return true
  }

  async #readKeys(zone: Name, bag: Bag): Promise<ZoneSets> {
    const known = await this.#knownSets(zone)
    const rrset = selectRRset(bag.records, zone, TYPE.DNSKEY)
    if (rrset === undefined) return { own: [], sets: known.sets }
    const id = keysId(zone, rrset.rdatas)
    // Every observation of a submission may carry the same keys: proving them once is enough.
    const again = preferring(id, known.sets)
    if (again.own.length > 0) return again
    const keys = {
      zone,
      keys: rrset.rdatas,
      rrsigs: selectRrsigs(bag.records, zone, TYPE.DNSKEY),
    }
    for await (const evidence of this.#links(keys, bag, known.links)) {
      try {
        this.#remember(await proveKeys(evidence, this.#moment.time, bag.verifier))
        return preferring(id, (await this.#knownSets(zone)).sets)
      } catch (error) {
        if (!(error instanceof VerifyError)) throw error
        bag.fail(error)
      }
    }
    return { own: [], sets: known.sets }
  }

  /** Ways in which keys may hang from above: by DS records of the bag, then by those of the log. */
  async *#links(
    keys: KeysEvidence,
    bag: Bag,
    known: readonly ZoneKeysEntry['link'][],
  ): AsyncGenerator<KeysEvidence> {
    const { zone } = keys
    if (labelCount(zone) === 0) {
      yield keys
      return
    }
    const set = selectRRset(bag.records, zone, TYPE.DS)
    if (set !== undefined) {
      const rrsigs = selectRrsigs(bag.records, zone, TYPE.DS)
      for (const signer of signersAbove(zone, bag.records)) {
        for (const { trusted } of (await this.#keysOf(signer, bag)).sets) {
          yield { ...keys, parent: { trusted, ds: set.rdatas, rrsigs } }
        }
      }
    }
    for (const link of known) {
      if (!isParentLink(link)) continue
      for (const { trusted } of (await this.#knownSets(link.zone)).sets) {
        yield { ...keys, parent: { trusted, ds: link.ds, rrsigs: [link.rrsig] } }
      }
    }
  }

  #knownSets(zone: Name): Promise<KnownSets> {
    const text = nameKey(zone)
    const sets = this.#trusted.get(text) ?? this.#findSets(zone)
    this.#trusted.set(text, sets)
    return sets
  }

  async #findSets(zone: Name): Promise<KnownSets> {
    const sets = new Map<string, KeySet>()
    const links: ZoneKeysEntry['link'][] = []
    for (const keys of [...this.#seen.ofZone(zone), ...(await this.#logged(zone))]) {
      if (sets.size >= MAX_KEY_SETS) break
      const chain = await chainFrom(keys, this.#moment.time, this.#lookup, this.#verifier.anchors)
      if (chain === undefined) continue
      links.push(keys.entry.link)
      const trusted = keysOfChain(chain)
      const id = toHex(trusted.keysId)
      if (sets.has(id)) continue
      const candidates = chain.links.flatMap((link) => this.#seen.candidate(link) ?? [])
      sets.set(id, { trusted, candidates: candidates.toReversed() })
    }
    return { sets: [...sets.values()], links }
  }

  /** What the log has of a zone: asked once for all bags of a submission. */
  #logged(zone: Name): Promise<readonly ZoneKeys[]> {
    const text = nameKey(zone)
    const keys = this.#zones.get(text) ?? this.#known.keysOfZone(zone)
    this.#zones.set(text, keys)
    return keys
  }

  readonly #lookup: KeysLookup = async (id) => {
    return [...this.#seen.ofSet(id), ...(await this.#known.lookup(id))]
  }

  #remember(proven: KeysCandidate): void {
    const entry = entryOf(proven, this.#moment, false) as ZoneKeysEntry
    const index = Number.MAX_SAFE_INTEGER
    this.#seen.add({ index, keysId: proven.keysId, entry, ...proven.window }, proven)
    this.#trusted.clear()
  }
}

/** Keys proven in one submission, as if they were logged already; newest first. */
class SeenKeys {
  readonly #candidates = new Map<ZoneKeys, KeysCandidate>()
  readonly #zones = new Map<string, ZoneKeys[]>()
  readonly #sets = new Map<string, ZoneKeys[]>()

  add(keys: ZoneKeys, candidate: KeysCandidate): void {
    this.#candidates.set(keys, candidate)
    this.#zones.set(nameKey(candidate.zone), [keys, ...this.ofZone(candidate.zone)])
    this.#sets.set(toHex(keys.keysId), [keys, ...this.ofSet(keys.keysId)])
  }

  ofZone(zone: Name): readonly ZoneKeys[] {
    return this.#zones.get(nameKey(zone)) ?? []
  }

  ofSet(keysId: Hash): readonly ZoneKeys[] {
    return this.#sets.get(toHex(keysId)) ?? []
  }

  /** The candidate that became these keys; none where they are the log's. */
  candidate(keys: ZoneKeys): KeysCandidate | undefined {
    return this.#candidates.get(keys)
  }
}

/** One bag while it is read. */
class Bag {
  readonly records: readonly RR[]
  readonly verifier: Verifier
  readonly zones = new Map<string, Promise<ZoneSets>>()
  #failure: VerifyError | undefined

  constructor(records: readonly RR[], { anchors, backend }: Verifier) {
    this.records = records
    this.verifier = { anchors, backend: limited(backend, MAX_SIGNATURES) }
  }

  /** The first thing that is wrong; that something is missing counts only where nothing else is. */
  get failure(): VerifyError | undefined {
    return this.#failure
  }

  fail(error: VerifyError): void {
    if (this.#failure === undefined || this.#failure.code === 'unproven') this.#failure = error
  }
}

/** Trusted keys, and those candidates of the submission, from the top down, that they hang from. */
interface KeySet {
  readonly trusted: TrustedKeys
  readonly candidates: readonly KeysCandidate[]
}

/** Key sets of a zone that are trusted, and by what links. */
interface KnownSets {
  readonly sets: readonly KeySet[]
  readonly links: readonly ZoneKeysEntry['link'][]
}

interface ZoneSets {
  /** What the bag proves about the keys of the zone; empty if nothing. */
  readonly own: readonly KeysCandidate[]
  /** Trusted key sets of the zone, most likely first. */
  readonly sets: readonly KeySet[]
}

/** The sets of a zone, that of the bag in front, if this submission has proven it. */
function preferring(id: Hash, sets: readonly KeySet[]): ZoneSets {
  const own = sets.find(({ candidates }) => {
    const nearest = candidates.at(-1)
    return nearest !== undefined && equal(nearest.keysId, id)
  })
  if (own === undefined) return { own: [], sets }
  return { own: own.candidates, sets: [own, ...sets.filter((set) => set !== own)] }
}

function missing(what: string): VerifyError {
  return new VerifyError('unproven', `nothing is signed ${what}`)
}

/** A backend that verifies so many signatures and no more. */
function limited(backend: SignatureBackend, limit: number): SignatureBackend {
  let left = limit
  return {
    digest: (type, data) => backend.digest(type, data),
    verify: async (...signature) => {
      if (left === 0) throw new DnssecError('too-many-tries', `over ${limit} signatures to verify`)
      left--
      return backend.verify(...signature)
    },
  }
}

/** Zones strictly above `owner` that signed its DS RRset, or, if there is none, records of denial. */
function signersAbove(owner: Name, bag: readonly RR[]): Name[] {
  const hasDs = selectRRset(bag, owner, TYPE.DS) !== undefined
  const rrsigs = hasDs
    ? selectRrsigs(bag, owner, TYPE.DS)
    : bag.filter((rr) => rr.type === TYPE.RRSIG).map((rr) => rr.rdata)
  const signers = new Map<string, Name>()
  for (const rdata of rrsigs) {
    const rrsig = wellFormed(() => parseRrsig(rdata))
    if (rrsig === undefined) continue
    const { signer, typeCovered } = rrsig
    const denies = typeCovered === TYPE.NSEC || typeCovered === TYPE.NSEC3
    if ((hasDs || denies) && isBelow(owner, signer)) signers.set(nameKey(signer), signer)
  }
  // The nearest zone is the one that delegates; one above it can only deny that the name exists.
  const nearest = [...signers.values()].sort((a, b) => labelCount(b) - labelCount(a))
  return nearest.slice(0, MAX_SIGNERS)
}
