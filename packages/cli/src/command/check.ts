/**
 * `dslog check NAME`: the delegation of a name as the resolver of this machine shows it, as each server of
 * its parent does, and as the log has it; and how well it is protected. What a victim sees, its resolver
 * sees, so this is to be run where the victim is. With `--submit` the log is sent what it lacks.
 */
import { isIP } from 'node:net'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameToText, sameName } from '@dslog/dnssec/name'
import { dsToText, type RR, TYPE } from '@dslog/dnssec/records'
import { toBase64 } from '@dslog/tlog/bytes'
import { permitted } from '@dslog/crawler/dns'
import { DnsClient } from '@dslog/resolver/client'
import { EvidenceCollector, type Observation } from '@dslog/resolver/collect'
import { ResolverError } from '@dslog/resolver/error'
import type { Server } from '@dslog/resolver/exchange'
import { askAny } from '@dslog/resolver/retry'
import { ResolverWalker, systemResolvers } from '@dslog/resolver/stub'
import { ReferralWalker } from '@dslog/resolver/walk'
import { LogApi } from '@dslog/service/logapi'
import { readServiceConfig } from '../config.ts'
import { EXIT, Failure } from '../failure.ts'
import { readName } from '../name.ts'
import { caaRemarks, cdsRemarks, dsRemarks, type Remark } from '../posture.ts'
import type { Session } from '../session.ts'
import { submitStates } from './submit.ts'

export interface CheckOptions {
  /** Sends the log what it lacks. */
  readonly submit?: boolean
  /** Instead of the resolver of this machine: an address, and perhaps `#PORT`. */
  readonly resolver?: string
}

/** What one place shows: proven, or why not. */
type View =
  | { readonly place: string; readonly seen: Observation }
  | { readonly place: string; readonly failure: ResolverError }

export async function check(session: Session, text: string, options: CheckOptions): Promise<void> {
  const name = readName(text)
  if (name.length === 1) throw new Failure(EXIT.usage, 'the root is not delegated')
  const resolvers = await resolversOf(options.resolver)
  const url = options.submit === true ? await session.requireLogUrl() : await session.logUrl()
  const dns = await Dns.open(session, resolvers)
  try {
    const views = [...(await dns.atResolver(name)), ...(await dns.atServers(name))]
    const api = url === undefined ? undefined : new LogApi(url, session.http())
    const logged = await api?.name(name)
    for (const view of views) show(session, view)
    const states = statesOf(views)
    const inLog = logged?.state?.ds
    showLog(session, inLog, states, url)
    const [first] = states.values()
    const remarks = [
      ...(first === undefined ? [] : dsRemarks(rdatasOf(first))),
      ...(await dns.posture(name)),
    ]
    for (const remark of remarks) showRemark(session, remark)
    const missing = [...states].filter(([ds, seen]) => isMissing(ds, seen, inLog))
    if (options.submit === true && api !== undefined) {
      await submitStates(
        session,
        api,
        missing.map(([, seen]) => stateOf(seen)),
      )
    }
    conclude(session, views, states.size)
  } finally {
    await dns.close()
  }
}

/** Ends with what was found: places that disagree, or what is signed wrongly, is a failed verification. */
function conclude(session: Session, views: readonly View[], states: number): void {
  const bogus = views.filter((view) => 'failure' in view && view.failure.code === 'unverifiable')
  if (states > 1) throw new Failure(EXIT.unverified, 'not all places show the same')
  if (bogus.length > 0) {
    throw new Failure(
      EXIT.unverified,
      bogus.length === 1 ? 'an answer does not verify' : `${bogus.length} answers do not verify`,
    )
  }
  if (states > 0) return
  const unsigned = views.some((view) => 'failure' in view && view.failure.code === 'unsigned')
  if (unsigned) session.output.note('the zone above is not signed: nothing can be proven')
  else throw new Failure(EXIT.service, 'nobody has answered')
}

/** The DNS of this machine: its resolver, and the servers that a walk from the root finds. */
class Dns {
  readonly #client: DnsClient
  readonly #local: DnsClient
  readonly #resolvers: readonly Server[]
  readonly #walker: ReferralWalker
  readonly #collector: EvidenceCollector
  readonly #stub: ResolverWalker
  readonly #stubCollector: EvidenceCollector

  private constructor(
    clients: { readonly client: DnsClient; readonly local: DnsClient },
    resolvers: readonly Server[],
    walker: ReferralWalker,
    common: Pick<ConstructorParameters<typeof EvidenceCollector>[0], 'anchors' | 'backend'>,
  ) {
    this.#client = clients.client
    this.#local = clients.local
    this.#resolvers = resolvers
    this.#walker = walker
    this.#collector = new EvidenceCollector({ exchange: this.#client, walker, ...common })
    this.#stub = new ResolverWalker(this.#local, resolvers)
    this.#stubCollector = new EvidenceCollector({
      exchange: this.#local,
      walker: this.#stub,
      recursive: true,
      ...common,
    })
  }

  static async open(session: Session, resolvers: readonly Server[]): Promise<Dns> {
    const { crawler: config } = readServiceConfig(session.serviceEnv())
    const anchors = await session.anchors()
    // Servers of one's own are asked where the crawler would ask them, too.
    const permits = permitted(config.allow)
    const client = new DnsClient({ port: config.dnsPort, permits })
    const local = new DnsClient({ permits: () => true })
    const hints = config.rootServers.map((address) => ({ address }))
    const walker = new ReferralWalker({
      exchange: client,
      permits,
      ...(hints.length === 0 ? {} : { hints }),
    })
    return new Dns({ client, local }, resolvers, walker, { anchors, backend: nodeBackend() })
  }

  async atResolver(name: Name): Promise<View[]> {
    const place = `resolver ${this.#resolvers.map(({ address }) => address).join(', ')}`
    return [
      await view(place, async () => {
        return this.#stubCollector.delegation(name, await this.#stub.parentOf(name))
      }),
    ]
  }

  async atServers(name: Name): Promise<View[]> {
    let parent
    try {
      parent = await this.#walker.parentOf(name)
    } catch (error) {
      if (!(error instanceof ResolverError)) throw error
      return [{ place: "the parent's servers", failure: error }]
    }
    const { servers } = parent
    const views = await Promise.all(
      servers.map((server) => {
        const place = server.name === undefined ? '' : ` (${nameToText(server.name)})`
        return view(server.address + place, () => {
          return this.#collector.delegation(name, parent, { server })
        })
      }),
    )
    // A family that this machine has not is no fault of the servers.
    const reached = views.filter((one) => !('failure' in one) || one.failure.code !== 'network')
    return reached.length === 0 ? views.slice(0, 1) : reached
  }

  /** What the resolver says of the name itself. */
  async posture(name: Name): Promise<Remark[]> {
    const ask = async (type: number): Promise<readonly RR[]> => {
      const how = { recursive: true, checkingDisabled: false }
      const reply = await askAny(this.#local, this.#resolvers, { name, type }, how)
      return reply.message.answer.filter(({ owner }) => sameName(owner, name))
    }
    try {
      const [cds, caa] = await Promise.all([ask(TYPE.CDS), ask(TYPE.CAA)])
      return [...cdsRemarks(cds), ...caaRemarks(caa)]
    } catch (error) {
      if (!(error instanceof ResolverError)) throw error
      return [{ weak: false, text: `CDS, CAA: the resolver does not say (${error.code})` }]
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#client.close(), this.#local.close()])
  }
}

async function view(place: string, ask: () => Promise<Observation>): Promise<View> {
  try {
    return { place, seen: await ask() }
  } catch (failure) {
    if (!(failure instanceof ResolverError)) throw failure
    return { place, failure }
  }
}

async function resolversOf(text: string | undefined): Promise<readonly Server[]> {
  if (text === undefined) return systemResolvers()
  const [address = '', port] = text.split('#')
  const isPort = port === undefined || (/^\d{1,5}$/.test(port) && Number(port) <= 65_535)
  if (isIP(address) === 0 || !isPort) {
    throw new Failure(EXIT.usage, `not an address of a resolver: ${text}`)
  }
  return [port === undefined ? { address } : { address, port: Number(port) }]
}

function rdatasOf({ verdict }: Observation): readonly Uint8Array[] {
  return verdict.verdict === 'present' ? verdict.ds : []
}

function dsOf(seen: Observation): string[] {
  return rdatasOf(seen).map(dsToText).sort()
}

/** One observation of each state, the newest signature first in each. */
function statesOf(views: readonly View[]): Map<string, Observation> {
  const states = new Map<string, Observation>()
  for (const one of views) {
    if (!('seen' in one)) continue
    const key = dsOf(one.seen).join()
    const held = states.get(key)
    if (held === undefined || held.verdict.inception < one.seen.verdict.inception) {
      states.set(key, one.seen)
    }
  }
  return states
}

/** What was never signed is no news to a log. */
function isMissing(ds: string, seen: Observation, inLog: readonly string[] | undefined): boolean {
  if (inLog === undefined) return seen.verdict.verdict === 'present'
  return inLog.toSorted().join() !== ds
}

function stateOf(seen: Observation) {
  const observation = {
    owner: nameToText(seen.owner),
    messages: seen.messages.map((message) => toBase64(message)),
  }
  return { owner: seen.owner, zone: seen.zone, ds: dsOf(seen), observation }
}

function show({ output }: Session, one: View): void {
  const { place } = one
  if ('failure' in one) {
    const { code, message } = one.failure
    output.event({ event: 'view', place, error: code, detail: message })
    output.line(`  ${place}: ${code}: ${message}`)
    return
  }
  const { zone, verdict } = one.seen
  const ds = dsOf(one.seen)
  const { inception, insecure } = verdict
  output.event({ event: 'view', place, zone: nameToText(zone), ds, inception, insecure })
  output.line(`  ${place}: ${ds.length === 0 ? 'provably no DS' : ds.join(', ')}`)
}

function showLog(
  { output }: Session,
  inLog: readonly string[] | undefined,
  states: ReadonlyMap<string, Observation>,
  url: string | undefined,
): void {
  if (url === undefined) {
    output.note('no log to compare with: give --log URL')
    return
  }
  const same = [...states].every(([ds, seen]) => !isMissing(ds, seen, inLog))
  output.event({ event: 'log', url, ds: inLog ?? null, same })
  const has =
    inLog === undefined ? 'nothing' : inLog.length === 0 ? 'no DS any more' : inLog.join(', ')
  const offer = same ? '' : ' — differs: --submit hands it what it lacks'
  output.line(`  the log: ${has}${offer}`)
}

function showRemark({ output }: Session, { text, weak }: Remark): void {
  output.event({ event: 'posture', weak, text })
  if (weak) output.line(`! ${text}`, output.colors.yellow)
  else output.line(`  ${text}`)
}
