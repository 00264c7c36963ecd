/**
 * NSEC3: hashed owner names, and what signed NSEC3 records prove about the DS of a name (RFC 5155
 * §5, §8; RFC 9276 for iterations).
 *
 *     IH(0) = SHA-1(name | salt)     IH(k) = SHA-1(IH(k-1) | salt)     owner = base32hex(IH(iterations)).zone
 *
 * Base32hex keeps the order of bytes, so hashes are compared here as the labels they are written in.
 * Pure logic on records whose signatures were checked; `denial.ts` does that, and bounds iterations.
 */
import { sha1 } from '@noble/hashes/legacy.js'
import { concat, toHex } from '@dslog/tlog/bytes'
import { toBase32Hex } from './presentation/binary.ts'
import {
  firstLabel,
  labelCount,
  lastLabels,
  nextCloser,
  nameFromText,
  parentOf,
  sameName,
  wildcardOf,
  type Name,
} from './name.ts'
import { endsAuthority, lacksDs, type NsecSource, wildcardsAbove } from './nsec.ts'
import { parseNsec3, type Nsec3 } from './records.ts'

/** The only hash algorithm: SHA-1 (RFC 5155 §11). */
export const NSEC3_SHA1 = 1
/** Bytes of its hash. */
const HASH_BYTES = 20
/** The opt-out flag, the only one defined (RFC 5155 §3.1.2.1). */
export const NSEC3_OPT_OUT = 1
/** Above this resolvers treat a zone as unsigned (RFC 9276 §3.2), so the state is marked insecure. */
export const MAX_SECURE_ITERATIONS = 100
/** Above this nothing is verified: the most RFC 5155 §10.3 allowed for 2048-bit keys. */
export const MAX_ITERATIONS = 500

/** The hash of a name (RFC 5155 §5). */
export function nsec3Hash(name: Name, salt: Uint8Array, iterations: number): Uint8Array {
  let hash = sha1(concat(name, salt))
  for (let i = 0; i < iterations; i++) hash = sha1(concat(hash, salt))
  return hash
}

/** A hash as it is written in an owner name: base32hex, lower-case. */
function hashLabel(hash: Uint8Array): string {
  return toBase32Hex(hash).toLowerCase()
}

/** The owner name of the NSEC3 record for a hash. */
export function nsec3Owner(hash: Uint8Array, zone: Name): Name {
  return nameFromText(hashLabel(hash), zone)
}

/** How NSEC3 records show that there is no DS. */
export interface Nsec3Finding<T> {
  readonly shape: 'match' | 'opt-out' | 'name-error' | 'wildcard'
  /** The record that matches the name or covers the next closer name. */
  readonly deciding: T
  /** All records needed, each once. */
  readonly used: ReadonlySet<T>
}

/** A usable NSEC3 record: `from` and `to` are hash labels. */
export interface Nsec3Link<T> extends Nsec3 {
  readonly source: T
  readonly from: string
  readonly to: string
}

const HASH_LABEL = /^[0-9a-v]{32}$/

/**
 * Reads a record as a link of the zone's chain. Undefined where it has to be ignored: another hash
 * algorithm or flag (RFC 5155 §8.1, §8.2), or an owner that is not a hash directly below the zone.
 *
 * @throws DnssecError `bad-record`
 */
export function nsec3Link<T extends NsecSource>(source: T, zone: Name): Nsec3Link<T> | undefined {
  const nsec3 = parseNsec3(source.rdata)
  if (nsec3.algorithm !== NSEC3_SHA1 || (nsec3.flags & ~NSEC3_OPT_OUT) !== 0) return undefined
  if (nsec3.nextHash.length !== HASH_BYTES) return undefined
  const from = String.fromCharCode(...firstLabel(source.owner))
  if (!HASH_LABEL.test(from) || !sameName(parentOf(source.owner), zone)) return undefined
  return { ...nsec3, source, from, to: hashLabel(nsec3.nextHash) }
}

/**
 * The usable ones of some records, by what may be used together: one salt and one iteration count (RFC 5155 §8.2).
 *
 * @throws DnssecError `bad-record`
 */
export function nsec3Chains<T extends NsecSource>(
  records: readonly T[],
  zone: Name,
): Nsec3Link<T>[][] {
  const chains = new Map<string, Nsec3Link<T>[]>()
  for (const record of records) {
    const link = nsec3Link(record, zone)
    if (link === undefined) continue
    const key = `${link.iterations} ${toHex(link.salt)}`
    const chain = chains.get(key)
    if (chain === undefined) chains.set(key, [link])
    else chain.push(link)
  }
  return [...chains.values()]
}

/** Strictly between both ends; the last link goes round. */
function covers<T>(link: Nsec3Link<T>, hash: string): boolean {
  if (link.from < link.to) return link.from < hash && hash < link.to
  return hash > link.from || hash < link.to
}

/**
 * Those of the links that can have a part in a proof about `owner`: they match or cover the hash of it, of a
 * name between it and the zone, or of a wildcard that might stand for it. For links whose signatures are not
 * checked yet; they share salt and iterations.
 */
export function nsec3sAbout<T>(
  owner: Name,
  zone: Name,
  links: readonly Nsec3Link<T>[],
): Nsec3Link<T>[] {
  const [first] = links
  if (first === undefined) return []
  const names = wildcardsAbove(owner, zone).flatMap((wildcard) => [wildcard, parentOf(wildcard)])
  const hashes = [owner, ...names].map((name) =>
    hashLabel(nsec3Hash(name, first.salt, first.iterations)),
  )
  return links.filter((link) => hashes.some((hash) => link.from === hash || covers(link, hash)))
}

/** Blocks of SHA-1 that {@link nsec3sAbout} takes: 64 bytes each, 9 of which are no data in the last (RFC 3174 §4). */
export function blocksAbout(owner: Name, zone: Name, { iterations, salt }: Nsec3): number {
  const names = 1 + 2 * (labelCount(owner) - labelCount(zone))
  return names * (iterations + 1) * Math.ceil((HASH_BYTES + salt.length + 9) / 64)
}

/**
 * The first proof that these links hold that `owner`, a name below `zone`, has no DS. They are of
 * that zone and share salt and iterations; their order decides where several would do.
 */
export function findNsec3Proof<T>(
  owner: Name,
  zone: Name,
  links: readonly Nsec3Link<T>[],
): Nsec3Finding<T> | undefined {
  const [first] = links
  if (first === undefined) return undefined
  const hashOf = (name: Name): string => hashLabel(nsec3Hash(name, first.salt, first.iterations))
  const matching = (name: Name): Nsec3Link<T> | undefined => {
    const hash = hashOf(name)
    return links.find((link) => link.from === hash)
  }
  const found = (
    shape: Nsec3Finding<T>['shape'],
    deciding: Nsec3Link<T>,
    ...others: Nsec3Link<T>[]
  ): Nsec3Finding<T> => ({
    shape,
    deciding: deciding.source,
    used: new Set([deciding, ...others].map((link) => link.source)),
  })

  const match = matching(owner)
  if (match) return lacksDs(match.types) ? found('match', match) : undefined

  // The closest encloser: the deepest ancestor that provably exists (RFC 5155 §8.3).
  let encloser: Nsec3Link<T> | undefined
  let labels = labelCount(owner)
  while (encloser === undefined) {
    if (labels === labelCount(zone)) return undefined
    labels -= 1
    encloser = matching(lastLabels(owner, labels))
  }
  if (endsAuthority(encloser.types)) return undefined
  const enclosing = lastLabels(owner, labels)

  const nextHash = hashOf(nextCloser(owner, enclosing))
  // Where several would do, one that is needed anyway.
  const covering = [encloser, ...links].filter((link) => covers(link, nextHash))
  const optOut = covering.find((link) => (link.flags & NSEC3_OPT_OUT) !== 0)
  if (optOut) return found('opt-out', optOut, encloser)
  const [over] = covering
  if (over === undefined) return undefined

  const wildcard = wildcardOf(enclosing)
  const wildcardHash = hashOf(wildcard)
  const denies = [encloser, over, ...links].find((link) => covers(link, wildcardHash))
  if (denies) return found('name-error', over, encloser, denies)
  const own = links.find((link) => link.from === wildcardHash)
  if (own && lacksDs(own.types)) return found('wildcard', over, encloser, own)
  return undefined
}
