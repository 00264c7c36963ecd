/**
 * What a server's reply says about where a name belongs (RFC 1034 §4.3.2, RFC 2181 §5.4.1): a referral to
 * the servers of a zone below, or that the name is in the zone, or nothing that counts. A server that
 * has several zones answers from the nearest without a word; the owner of its SOA, or who signed, tells.
 */
import { wellFormed } from '@dslog/dnssec/error'
import { isAtOrBelow, isBelow, type Name, nameKey, readName, sameName } from '@dslog/dnssec/name'
import { CLASS_IN, parseRrsig, parseSoaNumbers, type RR, TYPE } from '@dslog/dnssec/records'
import { formatAddress } from '@dslog/service/specialaddress'
import { ResolverError } from './error.ts'
import type { Reply } from './exchange.ts'

/** Names of servers taken from one NS RRset; the largest honest ones have thirteen. */
export const MAX_SERVER_NAMES = 16
/** Addresses taken for one name of a server. */
export const MAX_ADDRESSES = 8

/** A set of servers, by name, and the addresses that came with it. */
export interface NameServers {
  readonly zone: Name
  readonly names: readonly Name[]
  /** By key of the name; those only that the sender may speak for. */
  readonly glue: ReadonlyMap<string, readonly string[]>
  /** Seconds: the least of what it is made of. */
  readonly ttl: number
}

/** Where a name belongs. */
export type Whereabouts =
  /** Delegated: below the zone asked, at or above the name. */
  | ({ readonly kind: 'delegated' } & NameServers)
  /** The name is an apex and the server has its zone, too. */
  | ({ readonly kind: 'apex' } & NameServers)
  /** In this zone: that asked, or one below that the server has, too. */
  | { readonly kind: 'inside'; readonly zone: Name; readonly ttl: number }

/** For how long "no such cut" is believed where the SOA does not say, in seconds. */
const NEGATIVE_TTL = 900

/** RDATA of NS: a name. Undefined if it is not just that. */
export function nameOfNs(rdata: Uint8Array): Name | undefined {
  const read = wellFormed(() => readName(rdata, 0, { compressed: false }))
  return read?.end === rdata.length ? read.name : undefined
}

/** The zone nearest to the name that the SOA or the signatures of a reply speak of, if any does. */
export function zoneSpeaking(reply: Reply, zone: Name, name: Name): Name | undefined {
  const { answer, authority } = reply.message
  let nearest: Name | undefined
  const hear = (speaker: Name | undefined): void => {
    if (speaker === undefined || (nearest !== undefined && speaker.length <= nearest.length)) return
    if (isAtOrBelow(speaker, zone) && isAtOrBelow(name, speaker)) nearest = speaker
  }
  for (const { owner, type } of authority) if (type === TYPE.SOA) hear(owner)
  for (const rr of answer) hear(signerOf(rr))
  for (const rr of authority) hear(signerOf(rr))
  return nearest
}

/** Who made a signature; undefined for what is none. */
export function signerOf({ type, rdata }: RR): Name | undefined {
  return type === TYPE.RRSIG ? wellFormed(() => parseRrsig(rdata).signer) : undefined
}

/**
 * Reads the reply of a server of `zone` to a question for the NS of `name`, which is in or below the zone.
 *
 * @throws ResolverError `lame`
 */
export function whereaboutsOf(reply: Reply, zone: Name, name: Name): Whereabouts {
  const { message, server } = reply
  const { aa, answer, authority } = message
  const lame = (what: string): ResolverError => new ResolverError('lame', what, { server })
  const own = answer.filter((rr) => isNs(rr) && sameName(rr.owner, name))
  if (own.length > 0) {
    if (!aa) throw lame('an answer that is not authoritative')
    return { kind: 'apex', ...nameServersOf(reply, name, own, zone) }
  }
  const soa = authority.find(({ type, owner }) => type === TYPE.SOA && isAtOrBelow(name, owner))
  const ns = authority.find(isNs)
  if (answer.length === 0 && soa === undefined && ns !== undefined) {
    // At or above the zone asked, or beside the name: the server does not have the zone.
    if (!isBelow(ns.owner, zone)) throw lame('a referral upwards')
    if (!isAtOrBelow(name, ns.owner)) throw lame('a referral to elsewhere')
    const set = authority.filter((rr) => isNs(rr) && sameName(rr.owner, ns.owner))
    return { kind: 'delegated', ...nameServersOf(reply, ns.owner, set, zone) }
  }
  if (!aa) throw lame('an answer that is not authoritative')
  if (soa !== undefined && !isAtOrBelow(soa.owner, zone)) throw lame('an answer from above')
  const ttl = soa === undefined ? NEGATIVE_TTL : Math.min(soa.ttl, minimumOf(soa.rdata))
  const speaking = zoneSpeaking(reply, zone, name) ?? zone
  if (sameName(speaking, name)) throw lame('an apex without NS')
  return { kind: 'inside', zone: speaking, ttl }
}

function isNs({ type, class: cls }: RR): boolean {
  return type === TYPE.NS && cls === CLASS_IN
}

function minimumOf(soa: Uint8Array): number {
  return wellFormed(() => parseSoaNumbers(soa).minimum) ?? NEGATIVE_TTL
}

function nameServersOf(reply: Reply, zone: Name, set: readonly RR[], asked: Name): NameServers {
  const named = set.flatMap(({ rdata }) => nameOfNs(rdata) ?? [])
  const names = [...new Map(named.map((name) => [nameKey(name), name])).values()].slice(
    0,
    MAX_SERVER_NAMES,
  )
  const glue = new Map<string, string[]>()
  let ttl = Math.min(...set.map((rr) => rr.ttl))
  for (const { owner, type, class: cls, rdata, ttl: own } of reply.message.additional) {
    const isAddress = type === TYPE.A || type === TYPE.AAAA
    // Of names outside the zone asked, its server knows no more than anybody.
    if (!isAddress || cls !== CLASS_IN || !isAtOrBelow(owner, asked)) continue
    const address = addressOf(type, rdata)
    const key = nameKey(owner)
    const held = glue.get(key) ?? []
    const isNamed = names.some((name) => sameName(name, owner))
    if (address === undefined || !isNamed || held.length >= MAX_ADDRESSES) continue
    glue.set(key, [...held, address])
    ttl = Math.min(ttl, own)
  }
  return { zone, names, glue, ttl }
}

/** The text of an A's or AAAA's RDATA; undefined where its length is not that of one. */
export function addressOf(type: number, rdata: Uint8Array): string | undefined {
  return rdata.length === (type === TYPE.A ? 4 : 16) ? formatAddress(rdata) : undefined
}
