/**
 * The delegations above a name, as the resolver shows them: for each of its ancestors, from the top down, the
 * DS records that it has validated, or that there are none. The walk ends below the zones that a log
 * admits (nobody logs what is signed there), and where nothing is signed any more.
 */
import { DnssecError } from '@dslog/dnssec/error'
import { RCODE } from '@dslog/dnssec/message'
import {
  labelCount,
  lastLabels,
  type Name,
  nameKey,
  nameToText,
  ROOT,
  sameName,
} from '@dslog/dnssec/name'
import { MAX_ITERATIONS, nsec3Hash, nsec3Owner } from '@dslog/dnssec/nsec3'
import { parseNsec, parseNsec3, parseRrsig, type RR, TYPE } from '@dslog/dnssec/records'
import { selectRRset, selectRrsigs } from '@dslog/dnssec/rrset'
import type { ZoneList } from '@dslog/log/zones'
import { ExpiringCache } from '@dslog/resolver/cache'
import { ResolverError } from '@dslog/resolver/error'
import type { Exchange, Server } from '@dslog/resolver/exchange'
import type { Clock } from '@dslog/service/clock'
import { EnforceError } from './error.ts'

/** Names kept, and for how long at most, ms: the resolver has a cache of its own, so this spares little. */
const MAX_KEPT = 10_000
const KEPT_MS = 10_000

/** What a delegation is, or that there is none. */
export interface Cut {
  readonly owner: Name
  /** The zone that says so. */
  readonly zone: Name
  /** RDATA of the DS records; none: proven absent, or not signed. */
  readonly ds: readonly Uint8Array[]
  /** Nothing below it is signed, or there. */
  readonly isEnd: boolean
}

/** Finds delegations by asking a resolver. */
export class Cuts {
  readonly #exchange: Exchange
  readonly #server: Server
  readonly #zones: ZoneList
  readonly #now: Clock
  readonly #kept = new ExpiringCache<Promise<Cut>>(MAX_KEPT)

  constructor(options: {
    readonly exchange: Exchange
    readonly server: Server
    readonly zones: ZoneList
    readonly now: Clock
  }) {
    this.#exchange = options.exchange
    this.#server = options.server
    this.#zones = options.zones
    this.#now = options.now
  }

  /**
   * The delegations at or above a name that a log can know, the highest first.
   *
   * @throws EnforceError `upstream` or `not-validated`
   */
  async above(name: Name): Promise<Cut[]> {
    const cuts: Cut[] = []
    let zone = ROOT
    for (let labels = 1; labels <= labelCount(name); labels++) {
      if (!this.#zones.admits(zone)) break
      const cut = await this.#cut(lastLabels(name, labels), zone)
      cuts.push(cut)
      if (cut.isEnd) break
      if (cut.ds.length > 0) zone = cut.owner
    }
    return cuts
  }

  /** One question for all who ask at once. */
  #cut(owner: Name, zone: Name): Promise<Cut> {
    const key = nameKey(owner)
    const kept = this.#kept.get(key, this.#now())
    if (kept !== undefined) return kept
    const asking = this.#ask(owner, zone)
    this.#kept.set(key, asking, this.#now() + KEPT_MS)
    asking.catch(() => this.#kept.delete(key))
    return asking
  }

  async #ask(owner: Name, zone: Name): Promise<Cut> {
    try {
      const question = { name: owner, type: TYPE.DS }
      const how = { recursive: true, checkingDisabled: false }
      const { message } = await this.#exchange.ask(this.#server, question, how)
      const ds = selectRRset(message.answer, owner, TYPE.DS)?.rdatas ?? []
      const isMissing = message.rcode === RCODE.NXDOMAIN
      if (ds.length === 0) {
        const isEnd = isMissing || !message.ad || isDelegation(message.authority, owner, zone)
        return { owner, zone, ds, isEnd }
      }
      if (!message.ad) {
        const text = `the DS of ${nameToText(owner)} came without AD: a resolver that validates is needed`
        throw new EnforceError('not-validated', text)
      }
      const [rrsig] = selectRrsigs(message.answer, owner, TYPE.DS)
      return {
        owner,
        zone: rrsig === undefined ? zone : parseRrsig(rrsig).signer,
        ds,
        isEnd: false,
      }
    } catch (cause) {
      if (!(cause instanceof ResolverError) && !(cause instanceof DnssecError)) throw cause
      throw new EnforceError('upstream', cause.message, { cause })
    }
  }
}

/** Does a proof that there is no DS say that there is a delegation all the same? */
function isDelegation(authority: readonly RR[], owner: Name, zone: Name): boolean {
  return authority.some(({ owner: at, rdata, type }) => {
    if (type === TYPE.NSEC) return sameName(at, owner) && parseNsec(rdata).types.has(TYPE.NS)
    if (type !== TYPE.NSEC3) return false
    const { iterations, salt, types } = parseNsec3(rdata)
    if (!types.has(TYPE.NS) || iterations > MAX_ITERATIONS) return false
    return sameName(nsec3Owner(nsec3Hash(owner, salt, iterations), zone), at)
  })
}
