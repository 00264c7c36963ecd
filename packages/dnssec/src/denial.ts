/**
 * Proofs that a name has no DS: which of the eight kinds of a log entry (NO_DS) a bag of signed NSEC
 * or NSEC3 records holds, and the exact inverse, which checks that stored records are that proof
 * and nothing else. The rules of each family are `nsec.ts` and `nsec3.ts`; here are the signatures,
 * the bounds and the agreement of both directions.
 *
 * Proving prunes the bag to the records needed. Checking runs the same search on those records alone
 * and must come to the same kind with every one of them, so an entry cannot carry ballast, and one
 * absence has one form for given records.
 */
import { compare, equal } from '@dslog/tlog/bytes'
import type { SignatureBackend } from './backend/backend.ts'
import { DnssecError, wellFormed } from './error.ts'
import { isBelow, nameKey, nameToText, ROOT, type Name } from './name.ts'
import { findNsecProof, nsecsAbout } from './nsec.ts'
import {
  blocksAbout,
  findNsec3Proof,
  MAX_ITERATIONS,
  MAX_SECURE_ITERATIONS,
  nsec3Chains,
  type Nsec3Link,
  nsec3sAbout,
} from './nsec3.ts'
import {
  CLASS_IN,
  parseNsec,
  parseNsec3,
  parseRrsig,
  TYPE,
  unfoldTime,
  type Dnskey,
  type RR,
} from './records.ts'
import { rrset, selectRrsigs } from './rrset.ts'
import { verifyRrsetWithKeys } from './rrsig.ts'

/** The kinds of proof, by their number in a NO_DS entry. */
export const DENIAL = {
  NSEC_MATCH: 1,
  NSEC_NAME_ERROR: 2,
  NSEC_EMPTY_NON_TERMINAL: 3,
  NSEC3_MATCH: 4,
  NSEC3_OPT_OUT: 5,
  NSEC3_NAME_ERROR: 6,
  NSEC_WILDCARD: 7,
  NSEC3_WILDCARD: 8,
} as const

/** One of the eight kinds. */
export type DenialKind = (typeof DENIAL)[keyof typeof DENIAL]

/** Records of the largest proof: closest encloser, next closer name and wildcard. */
export const MAX_PROOF_RECORDS = 3

/**
 * NSEC and NSEC3 owners whose signatures are checked in one bag. A reply has at most three for its own proof; a second
 * proof beside it (of a CNAME's target) doubles that. Of more, those are left out that are not signed, or can have no part
 * in a proof about the name: nothing hides behind records of other names.
 */
export const MAX_BAG_RECORDS = 16

/** NSEC3 chains, by salt and iterations, that are looked through for that: while a zone changes them, it has two. */
const MAX_BAG_CHAINS = 4
/**
 * Blocks of SHA-1 that this may take, some 50 ms: enough for four of the slowest chains and a name directly below its
 * zone. A name of 120 labels would take seconds (CVE-2023-50868), and chains are written by anybody.
 */
const MAX_BAG_BLOCKS = 32_768

/** One record of a proof, with the one signature that counts. */
export interface DenialRecord {
  readonly owner: Name
  /** NSEC or NSEC3. */
  readonly type: number
  readonly rdata: Uint8Array
  /** RRSIG RDATA, signer lower-cased. */
  readonly rrsig: Uint8Array
}

/** A verified proof that a name has no DS. */
export interface NoDsProof {
  readonly kind: DenialKind
  /** Only what the proof needs, sorted by the owner's wire bytes. */
  readonly records: readonly DenialRecord[]
  /** Inception of the deciding record's signature, seconds since the epoch: the order key. */
  readonly inception: number
  /** Resolvers treat the zone as unsigned: too many NSEC3 iterations. */
  readonly insecure: boolean
  /** A signature of the proof is weak evidence: SHA-1, or RSA below 1024 bits. */
  readonly weak: boolean
}

/** Whose DS is in question, and what to verify with. */
export interface DenialQuestion {
  readonly owner: Name
  /** The zone that must have signed: above the owner. */
  readonly zone: Name
  /** Keys of the zone, trusted. */
  readonly keys: readonly Dnskey[]
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly backend: SignatureBackend
}

/** A record whose signature was checked. */
interface Evidence extends DenialRecord {
  readonly inception: number
  readonly weak: boolean
}

/** What the search found; or, in the error, why there is nothing. */
type Found = { readonly proof: NoDsProof } | { readonly reason: DnssecError }

function dnssecErrorOrThrow(error: unknown): DnssecError {
  if (error instanceof DnssecError) return error
  throw error
}

/** Verifies one NSEC or NSEC3. One made from a wildcard would speak for names it is not about. */
async function verified(
  question: DenialQuestion,
  owner: Name,
  type: number,
  rdata: Uint8Array,
  rrsigs: readonly Uint8Array[],
): Promise<Evidence> {
  const { zone, keys, at, backend } = question
  const set = rrset(owner, type, [rdata])
  const answer = await verifyRrsetWithKeys({ rrset: set, rrsigs, keys, zone, at, backend })
  if (answer.expanded) {
    throw new DnssecError('wildcard-expanded', 'a record of denial was made from a wildcard')
  }
  const { rrsig, inception, weak } = answer
  return { owner, type, rdata, rrsig, inception, weak }
}

/** The first proof in verified records, NSEC before NSEC3; these are sorted by owner. */
function search(owner: Name, zone: Name, evidence: readonly Evidence[]): Found {
  const finish = (
    kind: DenialKind,
    finding: { deciding: Evidence; used: ReadonlySet<Evidence> },
    insecure: boolean,
  ): Found => {
    const used = evidence.filter((record) => finding.used.has(record))
    return {
      proof: {
        kind,
        records: used.map(({ owner, type, rdata, rrsig }) => ({ owner, type, rdata, rrsig })),
        inception: finding.deciding.inception,
        insecure,
        weak: used.some((record) => record.weak),
      },
    }
  }

  const nsec = findNsecProof(
    owner,
    zone,
    evidence.filter((record) => record.type === TYPE.NSEC),
  )
  if (nsec) {
    const kind = {
      match: DENIAL.NSEC_MATCH,
      'name-error': DENIAL.NSEC_NAME_ERROR,
      'empty-non-terminal': DENIAL.NSEC_EMPTY_NON_TERMINAL,
      wildcard: DENIAL.NSEC_WILDCARD,
    }[nsec.shape]
    return finish(kind, nsec, false)
  }

  const chains = nsec3Chains(
    evidence.filter((record) => record.type === TYPE.NSEC3),
    zone,
  )
  let reason = new DnssecError('not-proven', `${nameToText(owner)} is not proven to have no DS`)
  for (const links of chains) {
    const iterations = links[0]!.iterations
    if (iterations > MAX_ITERATIONS) {
      reason = new DnssecError('too-many-iterations', `NSEC3 of ${iterations} iterations`)
      continue
    }
    const nsec3 = findNsec3Proof(owner, zone, links)
    if (nsec3 === undefined) continue
    const kind = {
      match: DENIAL.NSEC3_MATCH,
      'opt-out': DENIAL.NSEC3_OPT_OUT,
      'name-error': DENIAL.NSEC3_NAME_ERROR,
      wildcard: DENIAL.NSEC3_WILDCARD,
    }[nsec3.shape]
    return finish(kind, nsec3, iterations > MAX_SECURE_ITERATIONS)
  }
  return { reason }
}

function mustBeBelow(owner: Name, zone: Name): void {
  if (isBelow(owner, zone)) return
  const text = `${nameToText(owner)} is not below the zone ${nameToText(zone)}`
  throw new DnssecError('bad-owner', text)
}

/** An NSEC or NSEC3 of a bag, its signatures unchecked. */
interface Claim {
  readonly owner: Name
  readonly type: number
  readonly rdata: Uint8Array
  readonly rrsigs: readonly Uint8Array[]
}

/** NSEC and NSEC3 in a bag, sorted by owner. */
function claimsIn(records: readonly RR[]): Claim[] {
  const sets = new Map<string, { owner: Name; type: number; rdatas: Uint8Array[] }>()
  for (const { class: inClass, owner, rdata, type } of records) {
    if (inClass !== CLASS_IN || (type !== TYPE.NSEC && type !== TYPE.NSEC3)) continue
    const key = `${type} ${nameKey(owner)}`
    const set = sets.get(key)
    if (set === undefined) sets.set(key, { owner, type, rdatas: [rdata] })
    else set.rdatas.push(rdata)
  }
  const claims = [...sets.values()].flatMap(({ owner, rdatas, type }): Claim[] => {
    const [rdata, second] = rrset(owner, type, rdatas).rdatas
    // A name has one NSEC; with two, the signature is over both and no entry could hold it.
    if (rdata === undefined || second !== undefined) return []
    return [{ owner, type, rdata, rrsigs: selectRrsigs(records, owner, type) }]
  })
  return claims.sort((a, b) => compare(a.owner, b.owner))
}

/**
 * Those of the chains that names are hashed for.
 *
 * @throws DnssecError `too-many-tries` where that takes more than a moment for all of them
 */
function hashableOf<T>(
  owner: Name,
  zone: Name,
  chains: readonly Nsec3Link<T>[][],
): readonly Nsec3Link<T>[][] {
  const hashable = chains.filter(([link]) => link!.iterations <= MAX_ITERATIONS)
  const blocks = hashable.reduce((sum, [link]) => sum + blocksAbout(owner, zone, link!), 0)
  if (blocks <= MAX_BAG_BLOCKS) return hashable
  throw new DnssecError('too-many-tries', 'chains of NSEC3 records that take too long to hash')
}

/**
 * Blocks of SHA-1 that {@link proveNoDs} may take for these records, for who has to pay for them: a few for what zones
 * publish, and as many as there may be for what strangers think of.
 */
export function denialBlocks(owner: Name, records: readonly RR[]): number {
  let blocks = 0
  for (const { rdata, type } of records) {
    if (type !== TYPE.NSEC3) continue
    const nsec3 = wellFormed(() => parseNsec3(rdata))
    if (nsec3 === undefined || nsec3.iterations > MAX_ITERATIONS) continue
    blocks += blocksAbout(owner, ROOT, nsec3)
  }
  // Once to choose records, and once to find a proof among those chosen.
  return Math.min(blocks, 2 * MAX_BAG_BLOCKS)
}

/** What is signed and can have a part in a proof about `owner`: never mind by whom, or what else it is. */
function claimsAbout(owner: Name, zone: Name, claims: readonly Claim[]): Claim[] {
  const readable = claims.filter(({ rdata, rrsigs, type }) => {
    const parse = type === TYPE.NSEC ? parseNsec : parseNsec3
    return rrsigs.length > 0 && wellFormed(() => parse(rdata)) !== undefined
  })
  const ofType = (type: number) => readable.filter((claim) => claim.type === type)
  const chains = nsec3Chains(ofType(TYPE.NSEC3), zone)
  if (chains.length > MAX_BAG_CHAINS) {
    throw new DnssecError('too-many-tries', 'too many chains of NSEC3 records to try')
  }
  const hashable = hashableOf(owner, zone, chains)
  return [
    ...nsecsAbout(owner, zone, ofType(TYPE.NSEC)),
    ...hashable.flatMap((links) => nsec3sAbout(owner, zone, links).map(({ source }) => source)),
  ]
}

/**
 * Picks a proof out of a bag of records (a reply's authority section, or what a zone holds around the
 * name): NSEC and NSEC3 with their RRSIGs, everything else is ignored. Records that do not verify
 * are left out; if there is then no proof, the first of them is the reason given.
 *
 * @throws DnssecError `bad-owner`, `not-proven`, `too-many-iterations`, `too-many-tries`, and the
 *   codes of `verifyRrsetWithKeys`
 */
export async function proveNoDs(
  question: DenialQuestion & { readonly records: readonly RR[] },
): Promise<NoDsProof> {
  const { owner, zone, records } = question
  mustBeBelow(owner, zone)
  const claims = claimsIn(records)
  const bag = claims.length > MAX_BAG_RECORDS ? claimsAbout(owner, zone, claims) : claims
  if (bag.length > MAX_BAG_RECORDS) {
    throw new DnssecError('too-many-tries', 'too many NSEC and NSEC3 records to try')
  }
  const tried = await Promise.all(
    bag.map(({ owner, type, rdata, rrsigs }) => {
      return verified(question, owner, type, rdata, rrsigs).catch(dnssecErrorOrThrow)
    }),
  )
  const evidence = tried.flatMap((t) => (t instanceof DnssecError ? [] : [t]))
  const signed = evidence.filter(({ type }) => type === TYPE.NSEC3)
  hashableOf(owner, zone, nsec3Chains(signed, zone))
  const found = search(owner, zone, evidence)
  if ('proof' in found) return found.proof
  const failure = tried.find((t) => t instanceof DnssecError)
  if (failure === undefined) throw found.reason
  const text = `${found.reason.message}: ${failure.message}`
  throw new DnssecError(failure.code, text, { cause: failure })
}

/**
 * Inception of the deciding signature of a proof that has been checked: nothing is verified again.
 *
 * @param at ms since the epoch, when the proof was valid
 * @returns seconds since the epoch, as `NoDsProof.inception`
 * @throws DnssecError if the records are no proof
 */
export function decidingInception(
  owner: Name,
  zone: Name,
  records: readonly DenialRecord[],
  at: number,
): number {
  const evidence = records.map((record): Evidence => {
    const { inception } = parseRrsig(record.rrsig)
    return { ...record, inception: unfoldTime(inception, Math.floor(at / 1000)), weak: false }
  })
  const found = search(owner, zone, evidence)
  if ('reason' in found) throw found.reason
  return found.proof.inception
}

/**
 * Checks stored records: they must be exactly a proof of `kind`, each needed, in order, each with
 * a valid signature. What it returns is what `proveNoDs` returned when it picked them.
 *
 * @throws DnssecError `bad-proof`, and the codes of `proveNoDs`
 */
export async function checkNoDs(
  question: DenialQuestion & {
    readonly kind: number
    readonly records: readonly DenialRecord[]
  },
): Promise<NoDsProof> {
  const { owner, zone, kind, records } = question
  mustBeBelow(owner, zone)
  if (records.length < 1 || records.length > MAX_PROOF_RECORDS) {
    throw new DnssecError('bad-proof', `a proof of ${records.length} records`)
  }
  records.forEach((record, i) => {
    if (record.type !== TYPE.NSEC && record.type !== TYPE.NSEC3) {
      throw new DnssecError('bad-proof', `record of type ${record.type} in a proof`)
    }
    if (i > 0 && compare(records[i - 1]!.owner, record.owner) >= 0) {
      throw new DnssecError('bad-proof', 'records of the proof are out of order')
    }
  })
  const evidence = await Promise.all(
    records.map(async (record) => {
      const { owner, type, rdata, rrsig } = record
      const checked = await verified(question, owner, type, rdata, [rrsig])
      if (!equal(checked.rrsig, rrsig)) {
        throw new DnssecError('bad-proof', 'RRSIG of the proof is not in canonical form')
      }
      return checked
    }),
  )
  const found = search(owner, zone, evidence)
  if ('reason' in found) throw found.reason
  if (found.proof.kind !== kind) {
    throw new DnssecError('bad-proof', `a proof of kind ${found.proof.kind}, not ${kind}`)
  }
  if (found.proof.records.length !== records.length) {
    throw new DnssecError('bad-proof', 'the proof has records it does not need')
  }
  return found.proof
}
