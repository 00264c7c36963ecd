/**
 * From a bag of DNS records to candidates: what a submitter saw, turned into what the log may
 * record. The bag holds a DS RRset or a denial of one, and, as far as the log does not know them,
 * the DNSKEY and DS RRsets of the zones above. Nothing in it is trusted and nothing in it has to be
 * in any order; records of no use are ignored.
 */
import { equal, toHex } from '@dslog/tlog/bytes'
import type { Hash } from '@dslog/tlog/hash'
import { judgeDelegation, parseKeySet } from '@dslog/dnssec/chain'
import { DnssecError } from '@dslog/dnssec/error'
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
}

/**
 * Key sets of one zone that are tried for a signature: during a roll there are two, and a set that
 * was replaced may be valid for a while.
 */
const MAX_KEY_SETS = 4

/** Zones that are tried as signer of one bag; an honest reply has one. */
const MAX_SIGNERS = 3

/** Reads the observations of one submission; keys seen in one of them count for the next. */
export class Observer {
  readonly #known: KnownKeys
  readonly #verifier: Verifier
  readonly #moment: Moment
  /** Keys proven in this submission, as if they were logged already. */
  readonly #seen: ZoneKeys[] = []

  /** @param moment when the evidence has to be valid */
  constructor(known: KnownKeys, verifier: Verifier, moment: Moment) {
    this.#known = known
    this.#verifier = verifier
    this.#moment = moment
  }

  /**
   * What a bag proves about the delegation of `owner`: key sets from the top down, then the state.
   *
   * @throws VerifyError why nothing is proven
   */
  async delegation(owner: Name, bag: readonly RR[]): Promise<Candidate[]> {
    const { time: at } = this.#moment
    const { backend } = this.#verifier
    let failure = new VerifyError(
      'unproven',
      `nothing is signed about the DS of ${nameToText(owner)}`,
    )
    for (const zone of signersAbove(owner, bag)) {
      const { candidates, sets } = await this.#keysOf(zone, bag)
      for (const trusted of sets) {
        const question = { owner, zone, keys: trusted.keys, records: bag, at, backend }
        const verdict = await judgeDelegation(question)
        if (verdict.verdict === 'unverifiable') {
          failure = verifyErrorOf(verdict.code, verdict.reason)
          continue
        }
        return [...candidates, candidateOf(owner, trusted, verdict, at)]
      }
      if (sets.length === 0) {
        failure = new VerifyError('unproven', `no keys of ${nameToText(zone)} are known or proven`)
      }
    }
    throw failure
  }

  /**
   * What a bag proves about the keys of `zone`, and of the zones above it; without those that an
   * earlier bag of the submission has proven.
   *
   * @throws VerifyError why nothing is proven
   */
  async zoneKeys(zone: Name, bag: readonly RR[]): Promise<Candidate[]> {
    const { candidates, failure } = await this.#keysOf(zone, bag)
    if (this.#seen.some(({ entry }) => equal(entry.zone, zone))) return candidates
    throw failure ?? new VerifyError('unproven', `no DNSKEY RRset of ${nameToText(zone)}`)
  }

  /** Keys of a zone that are trusted now: proven by the bag, else known. */
  async #keysOf(zone: Name, bag: readonly RR[]): Promise<ZoneSet> {
    const known = await this.#knownSets(zone)
    const rrset = selectRRset(bag, zone, TYPE.DNSKEY)
    if (rrset === undefined) return { candidates: [], sets: known.sets }
    const id = keysId(zone, rrset.rdatas)
    // Every observation of a submission may carry the same keys: proving them once is enough.
    const again = this.#seen.some((seen) => equal(seen.keysId, id))
    if (again) return { candidates: [], sets: preferring(id, known.sets) }
    const keys = { zone, keys: rrset.rdatas, rrsigs: selectRrsigs(bag, zone, TYPE.DNSKEY) }
    let failure: VerifyError | undefined
    for await (const { candidates, evidence } of this.#links(keys, bag, known.links)) {
      try {
        const proven = await proveKeys(evidence, this.#moment.time, this.#verifier)
        this.#remember(proven)
        const set = { zone, keysId: id, keys: parseKeySet(proven.keys) }
        return { candidates: [...candidates, proven], sets: preferring(id, [set, ...known.sets]) }
      } catch (error) {
        if (!(error instanceof VerifyError)) throw error
        failure = error
      }
    }
    return { candidates: [], sets: known.sets, failure }
  }

  /** Ways in which keys may hang from above: by DS records of the bag, then by those of the log. */
  async *#links(
    keys: KeysEvidence,
    bag: readonly RR[],
    known: readonly ZoneKeysEntry['link'][],
  ): AsyncGenerator<{ candidates: KeysCandidate[]; evidence: KeysEvidence }> {
    const { zone } = keys
    if (labelCount(zone) === 0) {
      yield { candidates: [], evidence: keys }
      return
    }
    const set = selectRRset(bag, zone, TYPE.DS)
    if (set !== undefined) {
      const rrsigs = selectRrsigs(bag, zone, TYPE.DS)
      for (const signer of signersAbove(zone, bag)) {
        const above = await this.#keysOf(signer, bag)
        for (const trusted of above.sets) {
          const parent = { trusted, ds: set.rdatas, rrsigs }
          yield { candidates: above.candidates, evidence: { ...keys, parent } }
        }
      }
    }
    for (const link of known) {
      if (!isParentLink(link)) continue
      for (const trusted of (await this.#knownSets(link.zone)).sets) {
        const parent = { trusted, ds: link.ds, rrsigs: [link.rrsig] }
        yield { candidates: [], evidence: { ...keys, parent } }
      }
    }
  }

  async #knownSets(zone: Name): Promise<{ sets: TrustedKeys[]; links: ZoneKeysEntry['link'][] }> {
    const sets = new Map<string, TrustedKeys>()
    const links: ZoneKeysEntry['link'][] = []
    const seen = this.#seen.filter(({ entry }) => equal(entry.zone, zone)).toReversed()
    for (const keys of [...seen, ...(await this.#known.keysOfZone(zone))]) {
      if (sets.size >= MAX_KEY_SETS) break
      const chain = await chainFrom(keys, this.#moment.time, this.#lookup, this.#verifier.anchors)
      if (chain === undefined) continue
      links.push(keys.entry.link)
      const trusted = keysOfChain(chain)
      sets.set(toHex(trusted.keysId), trusted)
    }
    return { sets: [...sets.values()], links }
  }

  readonly #lookup: KeysLookup = async (id) => {
    const seen = this.#seen.filter((keys) => equal(keys.keysId, id)).toReversed()
    return [...seen, ...(await this.#known.lookup(id))]
  }

  #remember(proven: KeysCandidate): void {
    const entry = entryOf(proven, this.#moment, false) as ZoneKeysEntry
    const index = Number.MAX_SAFE_INTEGER
    this.#seen.push({ index, keysId: proven.keysId, entry, ...proven.window })
  }
}

interface ZoneSet {
  /** Key sets proven by the bag on the way, from the top down. */
  readonly candidates: KeysCandidate[]
  /** Trusted key sets of the zone, most likely first. */
  readonly sets: readonly TrustedKeys[]
  /** Why the bag's own keys are not among them. */
  readonly failure?: VerifyError | undefined
}

/** The same sets, once each, with `first` in front. */
function preferring(first: Hash, sets: readonly TrustedKeys[]): TrustedKeys[] {
  const unique = new Map(sets.map((set) => [toHex(set.keysId), set]))
  return [...unique.values()].sort((a, b) => rank(b) - rank(a))

  function rank(set: TrustedKeys): number {
    return equal(set.keysId, first) ? 1 : 0
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
    let rrsig
    try {
      rrsig = parseRrsig(rdata)
    } catch (error) {
      if (error instanceof DnssecError) continue
      throw error
    }
    const { signer, typeCovered } = rrsig
    const denies = typeCovered === TYPE.NSEC || typeCovered === TYPE.NSEC3
    if ((hasDs || denies) && isBelow(owner, signer)) signers.set(nameKey(signer), signer)
  }
  // The nearest zone is the one that delegates; one above it can only deny that the name exists.
  const nearest = [...signers.values()].sort((a, b) => labelCount(b) - labelCount(a))
  return nearest.slice(0, MAX_SIGNERS)
}
