/** What the monitor asks the DNS with, out of its configuration. */
import { BlockList, isIP, isIPv6 } from 'node:net'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { DnsClient } from '@dslog/resolver/client'
import { EvidenceCollector } from '@dslog/resolver/collect'
import { ReferralWalker } from '@dslog/resolver/walk'
import type { Clock } from '@dslog/service/clock'
import { specialRange } from '@dslog/service/specialaddress'
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
  const allowed = new BlockList()
  for (const network of config.dnsAllow) allow(allowed, network)
  const permits = (address: string): boolean =>
    specialRange(address) === undefined || allowed.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  const exchange = new DnsClient({ port: config.dnsPort, permits })
  for (const address of config.dnsRoots) {
    if (isIP(address) === 0) throw bad('DSLOG_MONITOR_DNS_ROOTS', address)
  }
  const hints = config.dnsRoots.map((address) => ({ address }))
  const begin = hints.length === 0 ? {} : { hints }
  const walker = new ReferralWalker({ exchange, permits, now: clock, ...begin })
  const collector = new EvidenceCollector({ exchange, walker, anchors, backend, now: clock })
  return { exchange, walker, collector, close: () => exchange.close() }
}

function allow(list: BlockList, network: string): void {
  const [address = '', bits] = network.split('/')
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  const most = family === 'ipv6' ? 128 : 32
  const prefix = bits === undefined ? most : Number(bits)
  if (isIP(address) === 0 || !/^\d{1,3}$/.test(bits ?? '0') || prefix > most) {
    throw bad('DSLOG_MONITOR_DNS_ALLOW', network)
  }
  list.addSubnet(address, prefix, family)
}

function bad(name: string, value: string): MonitorError {
  return new MonitorError('dns', `${name}: not an address: ${value}`)
}
