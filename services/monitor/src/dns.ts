/** What the monitor asks the DNS with, out of its configuration. */
import { isIP } from 'node:net'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { DnsClient } from '@dslog/resolver/client'
import { EvidenceCollector } from '@dslog/resolver/collect'
import { ReferralWalker } from '@dslog/resolver/walk'
import type { Clock } from '@dslog/service/clock'
import { type Permission, permission } from '@dslog/service/specialaddress'
import type { MonitorConfig } from './config.ts'
import { MonitorError } from './error.ts'
import type { ProbeOptions } from './probe.ts'

export interface Dns extends Pick<ProbeOptions, 'exchange' | 'walker' | 'collector'> {
  close(): Promise<void>
}

/** @throws MonitorError `dns` for addresses that are none */
export function openDns(
  config: Pick<MonitorConfig, 'dnsAllow' | 'dnsPort' | 'dnsRoots'>,
  {
    anchors,
    backend,
    clock,
  }: { anchors: readonly Anchor[]; backend: SignatureBackend; clock: Clock },
): Dns {
  const permits = permitted(config.dnsAllow)
  const exchange = new DnsClient({ port: config.dnsPort, permits })
  for (const address of config.dnsRoots) {
    if (isIP(address) !== 0) continue
    throw new MonitorError('dns', `DSLOG_MONITOR_DNS_ROOTS: not an address: ${address}`)
  }
  const hints = config.dnsRoots.map((address) => ({ address }))
  const begin = hints.length === 0 ? {} : { hints }
  const walker = new ReferralWalker({ exchange, permits, now: clock, ...begin })
  const collector = new EvidenceCollector({ exchange, walker, anchors, backend, now: clock })
  return { exchange, walker, collector, close: () => exchange.close() }
}

function permitted(networks: readonly string[]): Permission {
  try {
    return permission(networks)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new MonitorError('dns', `DSLOG_MONITOR_DNS_ALLOW: ${cause.message}`, { cause })
  }
}
