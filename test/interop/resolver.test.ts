/**
 * Our DNS client with other people's servers: NSD and Knot as authorities, by UDP, TCP and transfer with
 * TSIG; Unbound as a resolver; microsocks as a proxy. What is not installed is left out, and a line says so.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { verifyZone } from '@dslog/dnssec/zone'
import { DnsClient } from '@dslog/resolver/client'
import { EvidenceCollector } from '@dslog/resolver/collect'
import type { Exchange } from '@dslog/resolver/exchange'
import { SocksExchange } from '@dslog/resolver/socks'
import { ResolverWalker } from '@dslog/resolver/stub'
import { transferZone } from '@dslog/resolver/transfer'
import { ReferralWalker } from '@dslog/resolver/walk'
import { Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { freePort, isInstalled, Program } from '@dslog/testbed/program'
import { type RealServer, startKnot, startNsd, zoneFile } from '@dslog/testbed/realserver'
import { ownerDs } from '@dslog/testbed/stories'
import { startUnbound } from '@dslog/testbed/unbound'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const OWNERS = ['signed', 'unsigned', 'absent'].map((label) => nameFromText(`${label}.fi.`))
const [SIGNED, UNSIGNED] = OWNERS as [Name, Name, Name]
const DS = ownerDs(SIGNED)
const EXPECTED = ['present', 'absent', 'absent']
const KEY = {
  name: nameFromText('transfer.example.'),
  algorithm: 'hmac-sha512',
  secret: new Uint8Array(64).fill(42),
} as const
const permits = (): boolean => true

/** One that is validated as of now: foreign servers have no other time. */
const net = new Internet()
net.clock.set(Date.now())
const zones = [
  net.root,
  net.addZone('fi.', { denial: { nsec3: { optOut: true } } }),
  net.addZone('net.fi.'),
]
const fi = zones[1]!
fi.delegate(SIGNED, [DS])
fi.delegate(UNSIGNED)
for (let i = 0; i < 3000; i++) fi.delegate(nameFromText(`name${i}.fi.`), i % 10 === 0 ? [DS] : [])

function collectorOf(client: Exchange, walker: ReferralWalker | ResolverWalker) {
  return new EvidenceCollector({
    exchange: client,
    walker,
    anchors: net.anchors,
    backend: nodeBackend(),
    now: net.clock.now,
    recursive: walker instanceof ResolverWalker,
  })
}

describe.each([
  ['NSD', startNsd],
  ['Knot', startKnot],
] as const)('%s', (_, start) => {
  let server: RealServer | undefined
  let client: DnsClient

  beforeAll(async () => {
    const options = { transfers: 'signed', tsigKeys: [KEY] } as const
    server = await start(zones.map(zoneFile), options)
    client = new DnsClient({ port: server?.port ?? 53, permits })
  })
  afterAll(async () => {
    await client.close()
    await server?.stop()
  })

  it.each(['udp', 'tcp'] as const)('answers by %s', async (transport) => {
    if (server === undefined) return
    const hints = [{ address: '127.0.0.1' }]
    const walker = new ReferralWalker({ exchange: client, hints, permits, now: net.clock.now })
    const collector = collectorOf(client, walker)
    for (const [i, owner] of OWNERS.entries()) {
      const parent = await walker.parentOf(owner)
      expect(nameToText(parent.zone)).toBe('fi.')
      for (const ask of ['ds', 'referral'] as const) {
        // A name that is not there is denied by what covers it, of which the label below has none.
        if (ask === 'referral' && i === 2) continue
        const seen = await collector.delegation(owner, parent, { ask, transport })
        expect(seen.verdict.verdict, nameToText(owner)).toBe(EXPECTED[i])
        expect(seen.reply.transport).toBe(transport)
      }
    }
    expect(nameToText((await walker.parentOf(nameFromText('x.net.fi.'))).zone)).toBe('net.fi.')
    const { rdatas } = await collector.zoneKeys(await walker.zoneOf(fi.name))
    expect(rdatas).toHaveLength(2)
  })

  it('gives its zone, under a key, and only so', async () => {
    if (server === undefined) return
    const at = { address: '127.0.0.1', port: server.port }
    const options = { permits, now: net.clock.now }
    const records: RR[] = []
    for await (const rr of transferZone(at, fi.name, { ...options, key: KEY })) records.push(rr)
    expect(records).toHaveLength(fi.zone.records.length)
    const signed = await verifyZone({
      records,
      trust: { ds: fi.dsRecords() },
      at: net.clock.now(),
      backend: nodeBackend(),
    })
    expect(signed.delegations).toHaveLength(302)
    const wrong = { ...KEY, secret: new Uint8Array(64) }
    await expect(
      transferZone(at, fi.name, { ...options, key: wrong }).next(),
    ).rejects.toMatchObject({
      code: 'tsig',
    })
    await expect(transferZone(at, fi.name, options).next()).rejects.toMatchObject({
      name: 'ResolverError',
    })
  })
})

describe('Unbound', () => {
  it('hands on evidence, of names that it would call bogus, too', async () => {
    const servers = await NameServers.start(net, net.clock.now)
    const unbound = await startUnbound(net, { upstream: servers.port })
    const client = new DnsClient({ permits })
    try {
      if (unbound === undefined) return
      const resolver = { address: unbound.address, port: unbound.port }
      const walker = new ResolverWalker(client, [resolver])
      const collector = collectorOf(client, walker)
      for (const [i, owner] of OWNERS.entries()) {
        const parent = await walker.parentOf(owner)
        expect(nameToText(parent.zone)).toBe('fi.')
        const seen = await collector.delegation(owner, parent)
        expect(seen.verdict.verdict, nameToText(owner)).toBe(EXPECTED[i])
      }
      for (const server of servers.all) server.inject('forged-ds')
      await unbound.flush()
      const parent = await walker.parentOf(SIGNED)
      await expect(collector.delegation(SIGNED, parent)).rejects.toMatchObject({
        code: 'unverifiable',
      })
    } finally {
      await client.close()
      await unbound?.stop()
      await servers.stop()
    }
  })
})

describe('microsocks', () => {
  it('leads to servers, by TCP', async () => {
    if (!isInstalled('microsocks')) return
    const servers = await NameServers.start(net, net.clock.now)
    const port = await freePort()
    const proxy = Program.start('microsocks', ['-i', '127.0.0.1', '-p', String(port)])
    const exchange = new SocksExchange({ host: '127.0.0.1', port, dnsPort: servers.port, permits })
    try {
      await proxy.until(() => isListening(port))
      const hints = [{ address: '127.0.0.1' }]
      const walker = new ReferralWalker({ exchange, hints, permits, now: net.clock.now })
      const collector = collectorOf(exchange, walker)
      for (const [i, owner] of OWNERS.entries()) {
        const seen = await collector.delegation(owner, await walker.parentOf(owner))
        expect(seen.verdict.verdict, nameToText(owner)).toBe(EXPECTED[i])
        expect(seen.reply.transport).toBe('socks5')
      }
      expect(new Set(servers.questions.map(({ client }) => client.transport))).toEqual(
        new Set(['tcp']),
      )
    } finally {
      await exchange.close()
      await proxy.end()
      await servers.stop()
    }
  })
})

/** Whether somebody takes connections at a port. */
async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    await sleep(20)
    return false
  } finally {
    socket.destroy()
  }
}
