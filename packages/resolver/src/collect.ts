/**
 * From a name and one server of its parent to evidence: the reply about its DS, and the DNSKEY and DS
 * replies of every zone up to the root, as they came, with what they prove.
 */
import { UnderWay } from '@dslog/tlog/underway'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { judgeDelegation, type Verdict, verifyZoneKeys, type ZoneKeys } from '@dslog/dnssec/chain'
import { DnssecError, type DnssecErrorCode } from '@dslog/dnssec/error'
import type { Message } from '@dslog/dnssec/message'
import {
  isAtOrBelow,
  isBelow,
  labelCount,
  MAX_NAME_BYTES,
  type Name,
  nameFromText,
  nameKey,
  nameToText,
  sameName,
} from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { recordsOf, selectRRset, selectRrsigs } from '@dslog/dnssec/rrset'
import { type Clock, systemClock } from '@dslog/service/clock'
import { ExpiringCache } from './cache.ts'
import { ResolverError } from './error.ts'
import { evidenceIn } from './evidence.ts'
import type { AskOptions, Exchange, Question, Reply, Server } from './exchange.ts'
import { shuffled } from './order.ts'
import { zoneSpeaking } from './referral.ts'
import { rememberingBackend } from './remember.ts'
import { askAny } from './retry.ts'
import type { Walker, ZoneServers } from './walk.ts'

/** How to ask for a delegation. */
export interface CollectOptions {
  /** Which server of the parent; default: some, then others until one gives a verdict. */
  readonly server?: Server
  /** `referral` asks for an address below the name, which is what resolvers ask. Default `ds`. */
  readonly ask?: 'ds' | 'referral'
  readonly transport?: 'udp' | 'tcp'
  readonly signal?: AbortSignal
}

/** What a server's reply proves about a delegation. There is none that proves nothing: that throws. */
export interface Observation {
  readonly owner: Name
  /** The zone that signed: the parent. */
  readonly zone: Name
  /** The DS answer, the denial or the referral. */
  readonly reply: Reply
  readonly verdict: Exclude<Verdict, { verdict: 'unverifiable' }>
  /** When the reply came, in ms since the epoch: the time of the verdict. */
  readonly observedAt: number
  /** Messages for `POST /v1/observations`, as `evidence.ts` has them: the reply first, then keys up to the root. */
  readonly messages: readonly Uint8Array[]
}

/** The keys of a zone, validated up to a trust anchor, and what proves them. */
export interface KeysObservation {
  readonly zone: Name
  /** DNSKEY RDATA, in canonical order. */
  readonly rdatas: readonly Uint8Array[]
  readonly observedAt: number
  /** Likewise: the DNSKEY reply of the zone first, then DS and DNSKEY replies up to the root. */
  readonly messages: readonly Uint8Array[]
}

/**
 * Collects evidence; keys of zones are kept for their TTL.
 */
export interface Collector {
  /**
   * Asks about the DS of `owner` and validates.
   *
   * @param parent from `Walker.parentOf`
   * @throws ResolverError: `unverifiable` (its `cause` says why), `unsigned`, `lame`, `child-side`,
   *   `other-zone` (walk again, fresh), and those of asking
   */
  delegation(owner: Name, parent: ZoneServers, options?: CollectOptions): Promise<Observation>
  /**
   * Asks one server (or some) for the keys of its zone, now, and validates them.
   *
   * @throws ResolverError as `delegation`
   */
  zoneKeys(zone: ZoneServers, options?: CollectOptions): Promise<KeysObservation>
}

/** What a collector stands on. */
export interface CollectorOptions {
  readonly exchange: Exchange
  readonly walker: Walker
  readonly anchors: readonly Anchor[]
  /** Signatures that verified are remembered. */
  readonly backend: SignatureBackend
  readonly now?: Clock
  /** From 0 to 1, for the order in which servers are asked. */
  readonly random?: () => number
  /** The walker knows a resolver, not authoritative servers: RD and CD are set, AA is not asked for. */
  readonly recursive?: boolean
}

/** Key sets of zones kept: some hundred zones delegate most of what is signed. */
const MAX_KEPT = 5_000
/** For how long the keys of a zone are taken from the cache at most, in ms, whatever their TTL. */
const MAX_KEPT_MS = 3600 * 1000
/** Keys this old, in ms, are asked for again where they do not fit a signature: the zone may have rolled. */
const ROLLED_AFTER_MS = 30_000
/** The label in front of a name for a question that its parent answers with a referral. */
const BELOW = 'www'

/** What a signature says that other keys than those we have could make good. */
const MAY_HAVE_ROLLED: ReadonlySet<DnssecErrorCode> = new Set([
  'no-matching-key',
  'bad-signature',
  'no-secure-entry',
])

/** The keys of a zone, and what they hang from. */
interface Chain {
  readonly keys: ZoneKeys
  readonly messages: readonly Uint8Array[]
  readonly fetchedAt: number
  /** In ms since the epoch: of TTLs and signatures, up to the root. */
  readonly expires: number
}

/** What the keys of a zone have to fit: trust anchors or the zone's DS RRset. */
interface Link {
  readonly trust: { readonly ds: readonly Uint8Array[] } | { readonly anchors: readonly Anchor[] }
  readonly messages: readonly Uint8Array[]
  readonly expires: number
}

/** Collects by asking. */
export class EvidenceCollector implements Collector {
  readonly #exchange: Exchange
  readonly #walker: Walker
  readonly #anchors: readonly Anchor[]
  readonly #backend: SignatureBackend
  readonly #now: Clock
  readonly #random: () => number
  readonly #recursive: boolean
  readonly #chains = new ExpiringCache<Chain>(MAX_KEPT)
  readonly #underWay = new UnderWay<string, Chain>()

  constructor(options: CollectorOptions) {
    this.#exchange = options.exchange
    this.#walker = options.walker
    this.#anchors = options.anchors
    this.#backend = rememberingBackend(options.backend)
    this.#now = options.now ?? systemClock
    this.#random = options.random ?? Math.random
    this.#recursive = options.recursive ?? false
  }

  async delegation(
    owner: Name,
    parent: ZoneServers,
    options: CollectOptions = {},
  ): Promise<Observation> {
    if (!isBelow(owner, parent.zone)) {
      const text = `${nameToText(owner)} is not below ${nameToText(parent.zone)}`
      throw new RangeError(text)
    }
    return this.#ask(parent, questionFor(owner, options.ask ?? 'ds'), options, (reply) =>
      this.#observe(owner, parent.zone, reply),
    )
  }

  async zoneKeys(zone: ZoneServers, options: CollectOptions = {}): Promise<KeysObservation> {
    const chain = await this.#fetch(zone, options)
    const { keys, messages } = chain
    return { zone: zone.zone, rdatas: keys.rdatas, observedAt: chain.fetchedAt, messages }
  }

  /** Asks the one server, or some until one says what `read` can make something of. */
  async #ask<T>(
    { servers }: ZoneServers,
    question: Question,
    { server, signal, transport }: CollectOptions,
    read: (reply: Reply) => Promise<T>,
  ): Promise<T> {
    const how: AskOptions = {
      recursive: this.#recursive,
      ...(transport === undefined ? {} : { transport }),
      ...(signal === undefined ? {} : { signal }),
    }
    if (server !== undefined) return read(await this.#exchange.ask(server, question, how))
    let made: { readonly value: T } | undefined
    await askAny(this.#exchange, shuffled(servers, this.#random), question, {
      ...how,
      accept: async (reply) => {
        made = { value: await read(reply) }
      },
    })
    return made!.value
  }

  async #observe(owner: Name, zone: Name, reply: Reply): Promise<Observation> {
    const { answer, authority } = reply.message
    const records = [...answer, ...authority]
    if (!this.#recursive) checkAuthority(reply, zone, owner)
    // What stands beside a DS RRset takes nothing from it, if the parent's signature fits.
    const hasDs = records.some(({ owner: of, type }) => type === TYPE.DS && sameName(of, owner))
    if (!hasDs) this.#checkSpeaker(reply, zone, owner)
    const observedAt = this.#now()
    let chain = await this.#chain(zone)
    const judge = ({ keys }: Chain): Promise<Verdict> =>
      judgeDelegation({
        owner,
        zone,
        keys: keys.keys,
        records,
        at: observedAt,
        backend: this.#backend,
      })
    let verdict = await judge(chain)
    if (verdict.verdict === 'unverifiable' && this.#mayHaveRolled(verdict.code, chain)) {
      chain = await this.#chain(zone, 'fresh')
      verdict = await judge(chain)
    }
    if (verdict.verdict === 'unverifiable') {
      this.#checkSpeaker(reply, zone, owner)
      throw unverifiable(reply, new DnssecError(verdict.code, verdict.reason))
    }
    const proven = verdict
    const evidence = evidenceIn(reply, () => {
      return proven.verdict === 'present'
        ? recordsOf(owner, TYPE.DS, proven.ds, proven.rrsig)
        : proven.records.flatMap((r) => recordsOf(r.owner, r.type, [r.rdata], r.rrsig))
    })
    const messages = [evidence, ...chain.messages]
    return { owner, zone, reply, verdict, observedAt, messages }
  }

  #checkSpeaker(reply: Reply, zone: Name, owner: Name): void {
    const elsewhere = speaksElsewhere(reply, zone, owner, this.#recursive)
    if (elsewhere !== undefined) throw elsewhere
  }

  #mayHaveRolled(code: DnssecErrorCode, { fetchedAt }: Chain): boolean {
    return MAY_HAVE_ROLLED.has(code) && this.#now() - fetchedAt >= ROLLED_AFTER_MS
  }

  /** The keys of a zone, asked for where they are not kept; once, whoever waits. */
  async #chain(zone: Name, fresh?: 'fresh'): Promise<Chain> {
    const key = nameKey(zone)
    const kept = fresh === undefined ? this.#chains.get(key, this.#now()) : undefined
    if (kept !== undefined) return kept
    return this.#underWay.once(key, async () => this.#fetch(await this.#walker.zoneOf(zone)))
  }

  async #fetch(servers: ZoneServers, options: CollectOptions = {}): Promise<Chain> {
    const { zone } = servers
    const link = await this.#link(zone)
    const chain = await this.#ask(servers, { name: zone, type: TYPE.DNSKEY }, options, (reply) =>
      this.#verify(zone, link, reply),
    )
    this.#chains.set(nameKey(zone), chain, chain.expires)
    return chain
  }

  /** What the keys of a zone must fit: the anchors, or the DS that its parent signs. */
  async #link(zone: Name): Promise<Link> {
    if (labelCount(zone) === 0) {
      return { trust: { anchors: this.#anchors }, messages: [], expires: Infinity }
    }
    const parent = await this.#walker.parentOf(zone)
    const { verdict, messages, reply } = await this.delegation(zone, parent)
    if (verdict.verdict === 'absent' || verdict.insecure) {
      const text = `${nameToText(zone)} is delegated without a DS that can be used`
      throw new ResolverError('unsigned', text, { server: reply.server })
    }
    const above = await this.#chain(parent.zone)
    const expires = Math.min(above.expires, (verdict.expiration + 1) * 1000)
    return { trust: { ds: verdict.ds }, messages, expires }
  }

  async #verify(zone: Name, link: Link, reply: Reply): Promise<Chain> {
    const { answer, aa } = reply.message
    const { server } = reply
    if (!aa && !this.#recursive) throw new ResolverError('lame', 'not authoritative', { server })
    const fetchedAt = this.#now()
    try {
      const set = selectRRset(answer, zone, TYPE.DNSKEY)
      if (set === undefined) throw new DnssecError('no-secure-entry', 'no DNSKEY records')
      const keys = await verifyZoneKeys({
        zone,
        dnskeys: set.rdatas,
        rrsigs: selectRrsigs(answer, zone, TYPE.DNSKEY),
        trust: link.trust,
        at: fetchedAt,
        backend: this.#backend,
      })
      const ttl = Math.min(...answer.map((rr) => rr.ttl)) * 1000
      const kept = fetchedAt + Math.min(Math.max(ttl, ROLLED_AFTER_MS), MAX_KEPT_MS)
      const expires = Math.min(kept, (keys.expiration + 1) * 1000, link.expires)
      const { rdatas, rrsig } = keys
      const evidence = evidenceIn(reply, () => recordsOf(zone, TYPE.DNSKEY, rdatas, rrsig))
      return { keys, messages: [evidence, ...link.messages], fetchedAt, expires }
    } catch (error) {
      if (!(error instanceof DnssecError)) throw error
      throw unverifiable(reply, error)
    }
  }
}

function unverifiable({ question, server }: Reply, cause: DnssecError): ResolverError {
  const text = `${nameToText(question.name)} from ${server.address}: ${cause.message}`
  return new ResolverError('unverifiable', text, { server, cause })
}

/** The question for a delegation. A name too long for a label in front of it is asked for its DS. */
function questionFor(owner: Name, ask: 'ds' | 'referral'): Question {
  if (ask === 'ds' || owner.length + 1 + BELOW.length > MAX_NAME_BYTES) {
    return { name: owner, type: TYPE.DS }
  }
  return { name: nameFromText(BELOW, owner), type: TYPE.A }
}

/**
 * Does the server have the zone, or refer to servers of the name?
 *
 * @throws ResolverError `lame`
 */
function checkAuthority({ message, server }: Reply, zone: Name, owner: Name): void {
  if (message.aa) return
  // Without AA the parent refers to the servers of the name, or of one above it in the zone.
  const cut = cutIn(message)
  const refers = cut !== undefined && isBelow(cut, zone) && isAtOrBelow(owner, cut)
  if (refers) return
  throw new ResolverError('lame', `no authority for ${nameToText(zone)}`, { server })
}

/**
 * Is it the parent that speaks? What the zone below says of itself, what a zone between says, and what
 * a server says that has but the zone above, are no evidence that there is no DS.
 *
 * @returns who speaks instead: `child-side`, `other-zone`, `lame`; undefined where it is the parent
 */
function speaksElsewhere(
  reply: Reply,
  zone: Name,
  owner: Name,
  recursive: boolean,
): ResolverError | undefined {
  const { message, server } = reply
  const where = nameToText(zone)
  const speaker = zoneSpeaking(reply, zone, owner)
  if (speaker !== undefined && sameName(speaker, owner)) {
    const text = `${nameToText(owner)} answers for itself, not ${where}`
    return new ResolverError('child-side', text, { server })
  }
  for (const other of [speaker, cutIn(message)]) {
    if (other !== undefined && isBelow(other, zone) && isBelow(owner, other)) {
      const text = `${nameToText(owner)} is in ${nameToText(other)}, not in ${where}`
      return new ResolverError('other-zone', text, { server })
    }
  }
  const soa = message.authority.find(({ type }) => type === TYPE.SOA)
  // A resolver has no zone of its own.
  if (recursive || soa === undefined || !isBelow(zone, soa.owner)) return undefined
  return new ResolverError('lame', `an answer from above ${where}`, { server })
}

/** The name that a referral is for. */
function cutIn({ authority }: Message): Name | undefined {
  if (authority.some(({ type }) => type === TYPE.SOA)) return undefined
  return authority.find(({ type }) => type === TYPE.NS)?.owner
}
