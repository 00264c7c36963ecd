/** A small signed internet with its servers, and everything of this package that asks them. */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import { DnsClient } from '@dslog/resolver/client'
import { EvidenceCollector } from '@dslog/resolver/collect'
import { ResolverError, type ResolverErrorCode } from '@dslog/resolver/error'
import type { AskOptions, Exchange, Question, Reply, Server } from '@dslog/resolver/exchange'
import { ReferralWalker } from '@dslog/resolver/walk'
import type { Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { ownerDs } from '@dslog/testbed/stories'
import { expect } from 'vitest'

/** Short: everything is on this machine. In ms. */
export const TIMEOUT = 150

/** The name that tests ask about, and its DS. */
export const OWNER = nameFromText('example.fi.')
export const DS = ownerDs(OWNER)

/** Faults that are seen by nothing coming. */
export const SILENT: ReadonlySet<unknown> = new Set([
  'drop',
  'wrong-id',
  'wrong-source',
  'wrong-question',
  'wrong-case',
  'garbage',
])

/** An exchange that keeps what was asked, and does not wait long for some servers. */
export class Impatient implements Exchange {
  /** For these it does not: on a busy machine others may take their time. */
  readonly with = new Set<string>()
  readonly asked: { readonly server: Server; readonly question: Question }[] = []
  readonly #inner: Exchange

  constructor(inner: Exchange) {
    this.#inner = inner
  }

  ask(server: Server, question: Question, options?: AskOptions): Promise<Reply> {
    this.asked.push({ server, question })
    const timeout = this.with.has(server.address) ? TIMEOUT : 20_000
    return this.#inner.ask(server, question, { timeout, ...options })
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

export interface World {
  readonly net: Internet
  readonly servers: NameServers
  readonly client: DnsClient
  readonly exchange: Impatient
  readonly walker: ReferralWalker
  readonly collector: EvidenceCollector
  stop(): Promise<void>
}

/** Starts servers for a net. */
export async function worldOf(net: Internet): Promise<World> {
  const servers = await NameServers.start(net, net.clock.now)
  const permits = (): boolean => true
  const client = new DnsClient({ port: servers.port, permits })
  const exchange = new Impatient(client)
  const hints = servers
    .hints()
    .flatMap(({ addresses, name }) => addresses.map((address) => ({ address, name })))
  const now = net.clock.now
  const walker = new ReferralWalker({ exchange, hints, permits, now })
  const { anchors } = net
  const collector = new EvidenceCollector({
    exchange,
    walker,
    anchors,
    backend: nodeBackend(),
    now,
  })
  return {
    net,
    servers,
    client,
    exchange,
    walker,
    collector,
    async stop() {
      await client.close()
      await servers.stop()
    },
  }
}

/** Keeps this thread from everything else. */
export function standStill(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

/** Expects a ResolverError of this code; gives it. */
export async function expectFailure(
  work: Promise<unknown>,
  code: ResolverErrorCode,
): Promise<ResolverError> {
  const error: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(error).toBeInstanceOf(ResolverError)
  expect(error).toMatchObject({ code })
  return error as ResolverError
}
