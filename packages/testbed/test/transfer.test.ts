/** Zone transfers: asked by `dig`, which checks TSIG, and message by message. */
import { parseMessage } from '@dslog/dnssec/message'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { TYPE, type RR } from '@dslog/dnssec/records'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import { HOUR } from '@dslog/schema/time'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Internet, record } from '../src/internet.ts'
import { NameServers } from '../src/nameserver.ts'
import { QTYPE } from '../src/nameserver/query.ts'
import type { NameServer } from '../src/nameserver/server.ts'
import { tsigKeyToText, type TsigKey } from '../src/nameserver/tsig.ts'
import { TcpAsker, UdpAsker } from '../src/asker.ts'
import { dig, hasDig } from './dig.ts'

const NAMES = 400

const net = new Internet({ servers: 1 })
const fi = net.addZone('fi.')
for (let i = 0; i < NAMES; i++) fi.delegate(nameFromText(`name${i}.fi.`))
fi.add(record('text.fi.', 'TXT', `"${'x'.repeat(255)}" `.repeat(200)))
let servers: NameServers
let server: NameServer

beforeAll(async () => {
  servers = await NameServers.start(net)
  server = servers.at('127.16.1.1')
})
afterEach(() => {
  server.heal()
  server.transfers = 'anybody'
  server.tsigKeys = []
})
afterAll(() => servers.stop())

const KEYS = (['hmac-sha256', 'hmac-sha384', 'hmac-sha512'] as const).map((algorithm): TsigKey => ({
  name: nameFromText(`Key.${algorithm}.example.`),
  algorithm,
  secret: new TextEncoder().encode(`secret of ${algorithm}`),
}))

/** Records as one text each, in order of texts: what two transfers may differ in is their order. */
function texts(records: readonly RR[]): string[] {
  return records
    .map(({ owner, rdata, type }) => `${nameToText(owner)} ${type} ${rdata.join()}`)
    .sort()
}

describe.skipIf(!hasDig)('dig', () => {
  const transfer = (...words: string[]): Promise<string> =>
    dig(server.address, servers.port, 'fi.', 'AXFR', '+onesoa', ...words)

  test('has the whole zone', async () => {
    const said = parseZoneFile(await transfer(), { origin: fi.name })
    expect(texts(said)).toEqual(texts(fi.zone.records))
  })

  test.each(KEYS)('checks our signatures: $algorithm', async (key) => {
    server.transfers = 'signed'
    server.tsigKeys = KEYS
    const said = await transfer('-y', tsigKeyToText(key))
    expect(said).not.toMatch(/;; (Couldn't|WARNING)/)
    const [signatures, records] = [/^.*\tTSIG\t.* NOERROR 0 $/gm, /^.*\tTSIG\t.*$/gm]
    expect(said.match(signatures)!.length).toBeGreaterThan(5)
    const zone = parseZoneFile(said.replaceAll(records, ''), { origin: fi.name })
    expect(texts(zone)).toEqual(texts(fi.zone.records))
  })

  test('is refused without a key, with an unknown one, with a wrong secret, or at all', async () => {
    server.transfers = 'signed'
    server.tsigKeys = [KEYS[0]!]
    expect(await transfer()).toMatch(/Transfer failed/)
    const unknown = await transfer('-y', tsigKeyToText(KEYS[1]!))
    expect(unknown).toMatch(/TSIG\t.* BADKEY|tsig indicates error/)
    const wrong = await transfer('-y', tsigKeyToText({ ...KEYS[0]!, secret: new Uint8Array(20) }))
    expect(wrong).toMatch(/tsig indicates error/)
    server.transfers = 'nobody'
    expect(await transfer('-y', tsigKeyToText(KEYS[0]!))).toMatch(/Transfer failed/)
  })

  test('signs questions by UDP, too', async () => {
    server.tsigKeys = KEYS
    const key = tsigKeyToText(KEYS[0]!)
    const said = await dig(server.address, servers.port, 'fi.', 'SOA', '-y', key)
    expect(said).toMatch(/status: NOERROR/)
    expect(said).toMatch(/TSIG PSEUDOSECTION/)
    expect(said).not.toMatch(/;; (Couldn't|WARNING: .*TSIG)/)
  })
})

describe.skipIf(!hasDig)('dig, at another time than the server', () => {
  test('is told the time', async () => {
    const late = await NameServers.start(net, () => Date.now() + HOUR)
    onTestFinished(() => late.stop())
    late.at(server.address).tsigKeys = KEYS
    const key = tsigKeyToText(KEYS[0]!)
    const said = await dig(server.address, late.port, 'fi.', 'SOA', '-y', key)
    expect(said).toMatch(/BADTIME/)
  })
})

describe('a transfer', () => {
  test('has many messages, the question in the first, the SOA first and last', async () => {
    const tcp = await TcpAsker.open(server.address, servers.port)
    onTestFinished(() => tcp.close())
    const first = await tcp.ask({ name: 'fi.', type: QTYPE.AXFR })
    const records = [...first.answer]
    const messages = [first]
    while (records.length === 1 || records.at(-1)!.type !== TYPE.SOA) {
      const message = parseMessage((await tcp.next())!)
      messages.push(message)
      records.push(...message.answer)
    }
    expect(messages.length).toBeGreaterThan(5)
    expect(messages.map(({ question }) => question.length)).toEqual([
      1,
      ...messages.slice(1).map(() => 0),
    ])
    expect(messages.every(({ aa, id, rcode }) => aa && id === 4711 && rcode === 0)).toBe(true)
    expect(records[0]).toEqual(records.at(-1))
    expect(records.slice(0, -1)).toEqual(fi.zone.records)
  })

  test('may be cut off, and be unwell like anything else', async () => {
    server.inject('tcp-closes')
    const cut = await TcpAsker.open(server.address, servers.port)
    await cut.ask({ name: 'fi.', type: QTYPE.AXFR })
    let messages = 1
    while ((await cut.next()) !== undefined) messages++
    expect(messages).toBeGreaterThan(3)
    expect(cut.rest.length).toBeGreaterThan(0)
    server.heal()

    server.inject('servfail')
    const unwell = await TcpAsker.open(server.address, servers.port)
    onTestFinished(() => unwell.close())
    expect(await unwell.ask({ name: 'fi.', type: QTYPE.AXFR })).toMatchObject({
      rcode: 2,
      answer: [],
    })
  })

  test('is for zones, and by TCP', async () => {
    const tcp = await TcpAsker.open(server.address, servers.port)
    onTestFinished(() => tcp.close())
    expect(await tcp.ask({ name: 'name1.fi.', type: QTYPE.AXFR })).toMatchObject({ rcode: 9 })
    expect(await tcp.ask({ name: '.', type: QTYPE.AXFR })).toMatchObject({ rcode: 9 })
    expect(await tcp.ask({ name: 'fi.', type: QTYPE.AXFR, class: 3 })).toMatchObject({ rcode: 9 })
    const udp = await UdpAsker.open(server.address, servers.port)
    onTestFinished(() => udp.close())
    expect(await udp.ask({ name: 'fi.', type: QTYPE.AXFR })).toMatchObject({ rcode: 4, answer: [] })
    const { answer } = await udp.ask({ name: 'fi.', type: QTYPE.IXFR })
    expect(answer.map(({ type }) => type)).toEqual([TYPE.SOA])
  })
})
