/** The DNS of a crawler, out of its configuration: one client at one pace, and vantages on top of it. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Anchor } from '@dslog/dnssec/anchors'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { DnsClient } from '@dslog/resolver/client'
import { EvidenceCollector } from '@dslog/resolver/collect'
import { DohExchange } from '@dslog/resolver/doh'
import { ResolverError } from '@dslog/resolver/error'
import type { Exchange } from '@dslog/resolver/exchange'
import { SocksExchange } from '@dslog/resolver/socks'
import { ResolverWalker } from '@dslog/resolver/stub'
import { threadedBackend } from '@dslog/resolver/threaded'
import { transferZone } from '@dslog/resolver/transfer'
import { ReferralWalker, type Walker } from '@dslog/resolver/walk'
import type { Clock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import { type Permission, permission } from '@dslog/service/specialaddress'
import type { CrawlerConfig } from './config.ts'
import { CrawlerError } from './error.ts'
import type { Counters } from './metrics.ts'
import { type AskCounter, PacedExchange } from './paced.ts'
import type { Pace } from './pace.ts'
import { serialOf, type TransferEdges } from './source/transfer.ts'
import { ResolverVantage, ServerVantage, type Vantage } from './vantage.ts'

/** What a crawler asks with. */
export interface Dns {
  readonly walker: Walker
  readonly direct: ServerVantage
  readonly others: readonly Vantage[]
  readonly edges: TransferEdges
  readonly close: () => Promise<void>
}

export interface DnsOptions {
  readonly config: CrawlerConfig
  readonly anchors: readonly Anchor[]
  readonly pace: Pace
  readonly counters: AskCounter & Pick<Counters, 'unwanted' | 'verifierDied'>
  readonly clock: Clock
  /** For one try over UDP or TCP, in ms; that of the client unless told. */
  readonly timeout?: number | undefined
  readonly logger: Logger
}

/** @throws CrawlerError for what cannot be meant */
export function openDns(options: DnsOptions): Dns {
  const { anchors, clock, config, counters, logger, pace, timeout } = options
  const permits = permitted(config.allow)
  const opened: Exchange[] = []
  const paced = (exchange: Exchange, way?: 'own' | 'proxy'): Exchange => {
    const wrapped = new PacedExchange(exchange, pace, counters, pause, way)
    opened.push(wrapped)
    return wrapped
  }
  const onUnwanted = counters.unwanted
  const exchange = paced(new DnsClient({ port: config.dnsPort, permits, onUnwanted, timeout }))
  const hints = config.rootServers.map((address) => ({ address: addressOf(address) }))
  const walker = new ReferralWalker({
    exchange,
    permits,
    now: clock,
    ...(hints.length === 0 ? {} : { hints }),
  })
  const backend = threadedBackend({
    onDeath: (error) => {
      counters.verifierDied()
      logger.error({ err: error }, 'a thread that verifies has ended; another takes its place')
    },
  })
  const common = { anchors, backend, now: clock }
  const collector = new EvidenceCollector({ exchange, walker, ...common })
  const resolvers = config.resolvers.map((url): Vantage => {
    const doh = resolverAt(url)
    const through = paced(doh)
    const known = new ResolverWalker(through, [doh.server], clock)
    const own = new EvidenceCollector({
      exchange: through,
      walker: known,
      recursive: true,
      ...common,
    })
    return new ResolverVantage(`resolver ${new URL(url).host}`, url, doh.server, known, own)
  })
  const proxies = config.proxies.map((text): Vantage => {
    const socks = new SocksExchange({ ...proxyOf(text), dnsPort: config.dnsPort, permits })
    const own = new EvidenceCollector({ exchange: paced(socks, 'proxy'), walker, ...common })
    return new ServerVantage(`proxy ${text}`, own)
  })
  return {
    walker,
    direct: new ServerVantage('direct', collector),
    others: [...resolvers, ...proxies],
    edges: transferEdges(exchange, permits, config.dnsPort, clock),
    close: async () => {
      await Promise.all(opened.map((each) => each.close()))
      await backend.close()
    },
  }
}

/** Transfers are rare: the one question before each keeps the pace, the transfer itself is one connection. */
function transferEdges(
  exchange: Exchange,
  permits: Permission,
  dnsPort: number,
  now: Clock,
): TransferEdges {
  return {
    async serial(server, zone, signal) {
      const reply = await exchange.ask(server, { name: zone, type: TYPE.SOA }, { signal })
      return serialOf(reply.message.answer, zone)
    },
    async transfer(server, zone, key, signal) {
      const records: RR[] = []
      const to = { port: dnsPort, ...server }
      for await (const record of transferZone(to, zone, { key, permits, signal, now })) {
        records.push(record)
      }
      return records
    },
    async lookup(host) {
      if (isIP(host) !== 0) return [host]
      try {
        const found = await lookup(host, { all: true })
        return found.map(({ address }) => address)
      } catch (cause) {
        throw new ResolverError('unreachable', `${host} has no address`, { cause })
      }
    },
  }
}

/** Which addresses may be asked: those that are everybody's, and networks that the operator allows. */
export function permitted(networks: readonly string[]): Permission {
  try {
    return permission(networks)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new CrawlerError('vantage', `DSLOG_CRAWLER_ALLOW: ${cause.message}`, { cause })
  }
}

function addressOf(text: string): string {
  if (isIP(text) !== 0) return text
  throw new CrawlerError('vantage', `DSLOG_CRAWLER_ROOT_SERVERS: not an address: ${text}`)
}

function resolverAt(url: string): DohExchange {
  try {
    return new DohExchange(url)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    const text = `DSLOG_CRAWLER_RESOLVERS: ${cause.message}`
    throw new CrawlerError('vantage', text, { cause })
  }
}

function proxyOf(text: string): { host: string; port: number } {
  const [, six, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? []
  const host = six ?? plain
  if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) {
    return { host, port: Number(port) }
  }
  throw new CrawlerError('vantage', `DSLOG_CRAWLER_PROXIES: not HOST:PORT: ${text}`)
}

async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal })
  } catch (cause) {
    throw new ResolverError('aborted', 'given up', { cause })
  }
}
