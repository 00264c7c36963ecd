/**
 * The DNS as a resolver shows it: that of this machine (resolv.conf(5)), or one by HTTPS. What a victim sees,
 * its resolver sees, so `dslog check` looks there, too. A resolver finds servers itself; where zones begin
 * is asked of it as well, by the SOA that comes with an answer.
 *
 * With an `EvidenceCollector` that is `recursive`, this gives evidence as good as a walk does: it is signed.
 */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { labelCount, type Name, nameKey, parentOf, ROOT, sameName } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { type Clock, systemClock } from '@dslog/service/clock'
import { ExpiringCache } from './cache.ts'
import type { AskOptions, Exchange, Reply, Server } from './exchange.ts'
import { zoneSpeaking } from './referral.ts'
import { askAny } from './retry.ts'
import type { Walker, WalkOptions, ZoneServers } from './walk.ts'

/** As many as the system itself would ask (resolv.conf(5), MAXNS). */
const MAX_RESOLVERS = 3
/** Zones kept, and for how long, in ms: a command runs for a moment, a vantage for months. */
const MAX_KEPT = 5_000
const KEPT_MS = 15 * 60_000

/** The name servers of a resolv.conf; this machine where it names none, as the system has it. */
export function readResolvConf(text: string): Server[] {
  const servers = text.split('\n').flatMap((line) => {
    const [keyword, address] = line.trim().split(/\s+/)
    return keyword === 'nameserver' && address !== undefined && isIP(address) !== 0
      ? [{ address }]
      : []
  })
  return servers.length === 0 ? [{ address: '127.0.0.1' }] : servers.slice(0, MAX_RESOLVERS)
}

/** The resolvers this machine is configured with. */
export async function systemResolvers(path = '/etc/resolv.conf'): Promise<Server[]> {
  return readResolvConf(await readFile(path, 'utf8').catch(() => ''))
}

/** Finds zones by asking resolvers. */
export class ResolverWalker implements Walker {
  readonly #exchange: Exchange
  readonly #resolvers: readonly Server[]
  readonly #now: Clock
  readonly #zones = new ExpiringCache<ZoneServers>(MAX_KEPT)

  constructor(exchange: Exchange, resolvers: readonly Server[], now: Clock = systemClock) {
    this.#exchange = exchange
    this.#resolvers = resolvers
    this.#now = now
  }

  parentOf(owner: Name, options: WalkOptions = {}): Promise<ZoneServers> {
    return this.zoneOf(parentOf(owner), options)
  }

  async zoneOf(name: Name, { fresh = false, signal }: WalkOptions = {}): Promise<ZoneServers> {
    const kept = fresh ? undefined : this.#zones.get(nameKey(name), this.#now())
    if (kept !== undefined) return kept
    const how: AskOptions = { recursive: true, ...(signal === undefined ? {} : { signal }) }
    let zone: Name | undefined
    // A name below a DNAME, or an unsigned alias, comes with the SOA of elsewhere: then the one above is asked.
    for (let at = name; zone === undefined && labelCount(at) > 0; at = parentOf(at)) {
      const question = { name: at, type: TYPE.SOA }
      zone = zoneIn(await askAny(this.#exchange, this.#resolvers, question, how), at)
    }
    const expires = this.#now() + KEPT_MS
    const found = { zone: zone ?? ROOT, parent: undefined, servers: this.#resolvers, expires }
    this.#zones.set(nameKey(name), found, expires)
    return found
  }
}

/** The zone that a reply about the SOA of a name says it is in. */
function zoneIn(reply: Reply, name: Name): Name | undefined {
  const { answer } = reply.message
  const isApex = answer.some(({ owner, type }) => type === TYPE.SOA && sameName(owner, name))
  return isApex ? name : zoneSpeaking(reply, ROOT, name)
}
