/** Name servers of others: what they are given they serve, until they are given something else. */
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Internet } from '../src/internet.ts'
import { NameServers } from '../src/nameserver.ts'
import { servedSerial } from '../src/nameserver/probe.ts'
import { tsigKeyToText, type TsigKey } from '../src/nameserver/tsig.ts'
import { startKnot, startAll, startNsd, zoneFile, type RealServer } from '../src/realserver.ts'
import { ownerDs } from '../src/stories.ts'
import { startUnbound, type Unbound } from '../src/unbound.ts'
import { ofType, TcpAsker, UdpAsker } from '../src/asker.ts'
import { isInstalled } from '../src/program.ts'
import { dig, hasDig } from './dig.ts'

const OWNER = nameFromText('example.fi.')
const KEY: TsigKey = {
  name: nameFromText('transfer.example.'),
  algorithm: 'hmac-sha256',
  secret: new TextEncoder().encode('a secret that everybody knows'),
}

describe.each([
  ['NSD', startNsd],
  ['Knot', startKnot],
])('%s', (_, start) => {
  const net = new Internet()
  const fi = net.addZone('fi.', { denial: { nsec3: { optOut: true } } })
  let server: RealServer | undefined

  beforeAll(async () => {
    const addresses = ['127.20.0.1', '127.20.0.2']
    const options = { addresses, transfers: 'signed', tsigKeys: [KEY] } as const
    server = await start([zoneFile(net.root), zoneFile(fi)], options)
  })
  afterAll(() => server?.stop())

  test('serves zones by UDP and TCP, and new ones after a reload', async ({ skip }) => {
    if (server === undefined) skip()
    const { addresses, port } = server!
    const udp = await UdpAsker.open(addresses[0]!, port)
    onTestFinished(() => udp.close())
    expect(await udp.ask({ name: 'example.fi.' })).toMatchObject({ rcode: 3, aa: true })
    fi.delegate(OWNER, [ownerDs(OWNER)])
    await server!.reload([zoneFile(fi)])
    expect(ofType(await udp.ask({ name: 'example.fi.' }), TYPE.DS)).toHaveLength(1)
    const tcp = await TcpAsker.open(addresses[1]!, port)
    onTestFinished(() => tcp.close())
    expect(ofType(await tcp.ask({ name: 'example.fi.' }), TYPE.DS)).toHaveLength(1)
    await expect(server!.reload([zoneFile(new Internet().addZone('se.'))])).rejects.toThrow('se.')
  })

  test.skipIf(!hasDig)('gives zones to who has the key', async ({ skip }) => {
    if (server === undefined) skip()
    const { addresses, port } = server!
    const transfer = (...words: string[]): Promise<string> =>
      dig(addresses[0]!, port, 'fi.', 'AXFR', '+onesoa', ...words)
    expect(await transfer()).toMatch(/Transfer failed/)
    const said = await transfer('-y', tsigKeyToText(KEY))
    const records = parseZoneFile(said.replaceAll(/^.*\tTSIG\t.*$/gm, ''), { origin: fi.name })
    expect(records).toHaveLength(fi.zone.records.length)
  })
})

describe.each([
  ['NSD', startNsd],
  ['Knot', startKnot],
])('a whole internet on %s', (_, start) => {
  test('refers from server to server, and shows what has changed', async ({ skip }) => {
    const net = new Internet({ servers: 1 })
    const fi = net.addZone('fi.')
    const servers = await startAll(start, net)
    if (servers === undefined) skip()
    const { port, reload, stop } = servers!
    onTestFinished(stop)
    const root = await UdpAsker.open(net.root.servers[0]!.addresses[0]!, port)
    onTestFinished(() => root.close())
    const glue = ofType(await root.ask({ name: 'example.fi.' }), TYPE.A)
    expect(glue.map(({ rdata }) => rdata.join('.'))).toEqual(['127.16.1.1'])
    const udp = await UdpAsker.open('127.16.1.1', port)
    onTestFinished(() => udp.close())
    expect(await udp.ask({ name: 'example.fi.' })).toMatchObject({ aa: true, rcode: 3 })
    fi.delegate(OWNER, [ownerDs(OWNER)])
    await reload()
    expect(ofType(await udp.ask({ name: 'example.fi.' }), TYPE.DS)).toHaveLength(1)
    await reload()
  })
})

test('a server that cannot start says why', async ({ skip }) => {
  const zones = [zoneFile(new Internet().root)]
  if (!isInstalled('knotd')) skip()
  const nowhere = startKnot(zones, { addresses: ['no address'], port: 5300 })
  await expect(nowhere).rejects.toThrow('knotd ended with')
})

describe('Unbound', () => {
  const net = new Internet({ servers: 1 })
  const fi = net.addZone('fi.')
  net.addZone('example.fi.', { algorithm: 15 })
  let servers: NameServers
  let unbound: Unbound | undefined

  beforeAll(async () => {
    servers = await NameServers.start(net)
    unbound = await startUnbound(net, { upstream: servers.port })
  })
  afterAll(async () => {
    await unbound?.stop()
    await servers.stop()
  })

  test('validates at the time of the internet, and forgets when told', async ({ skip }) => {
    if (unbound === undefined) skip()
    const udp = await UdpAsker.open(unbound!.address, unbound!.port)
    onTestFinished(() => udp.close())
    const ask = { name: 'ns.example.fi.', type: TYPE.A, flags: 0x0100 }
    expect(await udp.ask(ask)).toMatchObject({ ad: true, rcode: 0 })
    fi.makeOdd(OWNER, TYPE.DS, 'bad')
    await unbound!.flush()
    expect(await udp.ask({ ...ask, name: 'example.fi.', type: TYPE.DS })).toMatchObject({
      rcode: 2,
    })
    fi.makeOdd(OWNER, TYPE.DS, undefined)
    await unbound!.flush()
    expect(await udp.ask({ ...ask, name: 'example.fi.', type: TYPE.DS })).toMatchObject({
      ad: true,
    })
  })
})

test('nobody serves where nobody listens', async () => {
  expect(await servedSerial('127.0.0.1', 1, OWNER)).toBeUndefined()
})
