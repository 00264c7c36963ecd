/**
 * What signed NSEC records prove about the DS of a name (RFC 4034 §4, RFC 4035 §5.4, RFC 6840 §4).
 *
 * Every record says: its owner exists with these types, and nothing exists between it and the next
 * name. The order is canonical; the last record's next name is the zone's apex. Records from the
 * parent's side of a cut, or with a DNAME, say nothing about names below them (RFC 6840 §4.1).
 *
 * Pure logic on records whose signatures were checked; `denial.ts` does that.
 */
import {
  commonAncestor,
  compareCanonical,
  isAtOrBelow,
  isBelow,
  labelCount,
  lastLabels,
  sameName,
  wildcardOf,
  type Name,
} from './name.ts'
import { parseNsec, TYPE, type Nsec } from './records.ts'

/** A record that a proof may use; the caller's kind of record, with its owner and RDATA. */
export interface NsecSource {
  readonly owner: Name
  readonly rdata: Uint8Array
}

/** How NSEC records show that there is no DS. */
export interface NsecFinding<T> {
  readonly shape: 'match' | 'name-error' | 'empty-non-terminal' | 'wildcard'
  /** The record that matches or covers the name: its signature decides the order of states. */
  readonly deciding: T
  /** All records needed, each once. */
  readonly used: ReadonlySet<T>
}

/** Has the name of these types neither DS nor CNAME, and is it not the apex of a zone of its own? */
export function lacksDs(types: ReadonlySet<number>): boolean {
  return !types.has(TYPE.DS) && !types.has(TYPE.CNAME) && !types.has(TYPE.SOA)
}

/** Do these types end the zone's authority below their owner: a delegation, or a DNAME? */
export function endsAuthority(types: ReadonlySet<number>): boolean {
  return types.has(TYPE.DNAME) || (types.has(TYPE.NS) && !types.has(TYPE.SOA))
}

interface Link<T> extends Nsec {
  readonly source: T
  readonly owner: Name
}

/** Does the record cover `name`, strictly between both ends, with authority to say so? */
function covers<T>(link: Link<T>, name: Name, zone: Name): boolean {
  if (isBelow(name, link.owner) && endsAuthority(link.types)) return false
  if (compareCanonical(link.owner, name) >= 0) return false
  if (compareCanonical(link.owner, link.next) < 0) return compareCanonical(name, link.next) < 0
  return sameName(link.next, zone)
}

/** Wildcards that might stand for a name below `zone`, the nearest first. */
export function wildcardsAbove(owner: Name, zone: Name): Name[] {
  const wildcards: Name[] = []
  for (let labels = labelCount(owner) - 1; labels >= labelCount(zone); labels--) {
    wildcards.push(wildcardOf(lastLabels(owner, labels)))
  }
  return wildcards
}

/**
 * Those of the records that can have a part in a proof about `owner`, a name below `zone`: they match or cover
 * it, or a wildcard that might stand for it. Cheap: for records whose signatures are not checked yet.
 *
 * @throws DnssecError `bad-record`
 */
export function nsecsAbout<T extends NsecSource>(
  owner: Name,
  zone: Name,
  records: readonly T[],
): T[] {
  const names = [owner, ...wildcardsAbove(owner, zone)]
  return linksOf(records, zone)
    .filter((link) => names.some((name) => sameName(link.owner, name) || covers(link, name, zone)))
    .map(({ source }) => source)
}

function linksOf<T extends NsecSource>(records: readonly T[], zone: Name): Link<T>[] {
  return records
    .map((source): Link<T> => ({ source, owner: source.owner, ...parseNsec(source.rdata) }))
    .filter((link) => isAtOrBelow(link.owner, zone) && isAtOrBelow(link.next, zone))
}

/**
 * The first proof that these records hold that `owner`, a name below `zone`, has no DS. The records
 * are of that zone; their order decides where several would do.
 *
 * @throws DnssecError `bad-record`
 */
export function findNsecProof<T extends NsecSource>(
  owner: Name,
  zone: Name,
  records: readonly T[],
): NsecFinding<T> | undefined {
  const links = linksOf(records, zone)

  const match = links.find((link) => sameName(link.owner, owner))
  if (match) {
    if (!lacksDs(match.types)) return undefined
    return { shape: 'match', deciding: match.source, used: new Set([match.source]) }
  }

  const covering = links.filter((link) => covers(link, owner, zone))
  const above = covering.find((link) => isBelow(link.next, owner))
  if (above) {
    const used = new Set([above.source])
    return { shape: 'empty-non-terminal', deciding: above.source, used }
  }

  for (const link of covering) {
    // Both ends of the gap exist, so what the name shares with the nearer of them does too.
    const left = commonAncestor(owner, link.owner)
    const right = commonAncestor(owner, link.next)
    const wildcard = wildcardOf(left.length > right.length ? left : right)
    // Where several would do, the one that is needed anyway.
    const candidates = [link, ...links.filter((other) => other !== link)]
    const over = candidates.filter((other) => covers(other, wildcard, zone))
    const denies = over.find((other) => !isBelow(other.next, wildcard))
    if (denies) {
      const used = new Set([link.source, denies.source])
      return { shape: 'name-error', deciding: link.source, used }
    }
    // The wildcard exists, without a DS: by its own record, or as an empty non-terminal.
    const own = candidates.find((other) => sameName(other.owner, wildcard) && lacksDs(other.types))
    const exists = own ?? over[0]
    if (exists) {
      const used = new Set([link.source, exists.source])
      return { shape: 'wildcard', deciding: link.source, used }
    }
  }
  return undefined
}
