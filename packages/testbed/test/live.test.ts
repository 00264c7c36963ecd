/** What happens to zones while they are served: each change shows in the next answer, as a validator sees it. */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { judgeDelegation, verifyZoneKeys, type Verdict } from '@dslog/dnssec/chain'
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE, type RR } from '@dslog/dnssec/records'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DAY } from '@dslog/schema/time'
import { UdpAsker, ofType } from '../src/asker.ts'
import { Internet, record, type Authority } from '../src/internet.ts'
import { NameServers } from '../src/nameserver.ts'
import { ownerDs } from '../src/stories.ts'

const backend = nodeBackend()
const OWNER = nameFromText('example.fi.')
const DS = ownerDs(OWNER)

let net: Internet
let fi: Authority
let servers: NameServers
let root: UdpAsker
let udp: UdpAsker

beforeEach(async () => {
  net = new Internet({ servers: 2 })
  fi = net.addZone('fi.')
  servers = await NameServers.start(net)
  root = await UdpAsker.open(servers.hints()[0]!.addresses[0]!, servers.port)
  udp = await UdpAsker.open(fi.servers[1]!.addresses[0]!, servers.port)
})
afterEach(async () => {
  root.close()
  udp.close()
  await servers.stop()
})

async function ask(from: UdpAsker, name: string, type: number): Promise<RR[]> {
  const { answer, authority } = await from.ask({ name, type })
  return [...answer, ...authority]
}

/** The keys of `fi.` as a validator finds them, by the DS in the root. */
async function keysOfFi(): ReturnType<typeof verifyZoneKeys> {
  const ds = (await ask(root, 'fi.', TYPE.DS)).filter(({ type }) => type === TYPE.DS)
  const records = await ask(udp, 'fi.', TYPE.DNSKEY)
  const of = (type: number): Uint8Array[] =>
    records.filter((rr) => rr.type === type).map(({ rdata }) => rdata)
  return verifyZoneKeys({
    zone: fi.name,
    dnskeys: of(TYPE.DNSKEY),
    rrsigs: of(TYPE.RRSIG),
    trust: { ds: ds.map(({ rdata }) => rdata) },
    at: net.clock.now(),
    backend,
  })
}

/** The verdict on the DS of a name, from the root down. */
async function judge(): Promise<Verdict> {
  const { keys } = await keysOfFi()
  const records = await ask(udp, 'example.fi.', TYPE.DS)
  return judgeDelegation({
    owner: OWNER,
    zone: fi.name,
    keys,
    records,
    at: net.clock.now(),
    backend,
  })
}

describe('a name', () => {
  test('is published, gets a DS, another, none, and goes', async () => {
    expect(await judge()).toMatchObject({ verdict: 'absent' })
    fi.delegate(OWNER)
    expect(await judge()).toMatchObject({ verdict: 'absent' })
    fi.delegate(OWNER, [DS])
    expect(await judge()).toMatchObject({ verdict: 'present', ds: [DS] })
    const other = ownerDs(OWNER, 2)
    fi.delegate(OWNER, [other])
    expect(await judge()).toMatchObject({ verdict: 'present', ds: [other] })
    fi.undelegate(OWNER)
    expect((await udp.ask({ name: 'example.fi.' })).rcode).toBe(3)
    expect(await judge()).toMatchObject({ verdict: 'absent' })
  })

  test('is delegated below, and answered in the parent', async () => {
    fi.delegate(nameFromText('below', OWNER), [])
    expect(await udp.ask({ name: 'example.fi.' })).toMatchObject({ rcode: 0, answer: [] })
    expect(await judge()).toMatchObject({ verdict: 'absent' })
    fi.undelegate(nameFromText('below', OWNER))
    fi.add(record(OWNER, 'A', '192.0.2.1'))
    expect((await ask(udp, 'example.fi.', TYPE.A))[0]).toMatchObject({ type: TYPE.A })
    expect(await judge()).toMatchObject({ verdict: 'absent' })
  })

  test('keeps its servers when its DS changes, and has a server of its own once there is a zone', async () => {
    const child = net.addZone('example.fi.')
    await servers.open()
    const glue = async (): Promise<RR[]> => ofType(await udp.ask({ name: 'x.example.fi.' }), TYPE.A)
    expect((await glue()).map(({ rdata }) => rdata.join('.'))).toEqual(['127.16.2.1', '127.16.2.2'])
    fi.delegate(OWNER, [DS])
    expect(await glue()).toHaveLength(2)
    expect(servers.of(child)).toHaveLength(2)
    expect(() => servers.at('127.9.9.9')).toThrow('no server')
  })
})

describe('keys', () => {
  test('roll, and change their algorithm, in zone and parent at once', async () => {
    const before = await keysOfFi()
    net.rekey(fi, 2, 13)
    const rolled = await keysOfFi()
    expect(rolled.keys.map(({ tag }) => tag)).not.toEqual(before.keys.map(({ tag }) => tag))
    net.rekey(fi, 2, 15)
    expect((await keysOfFi()).keys.every(({ algorithm }) => algorithm === 15)).toBe(true)
    fi.delegate(OWNER, [DS])
    expect(await judge()).toMatchObject({ verdict: 'present' })
  })

  test('roll in the zone alone: nothing verifies', async () => {
    fi.setKeys([fi.makeKey(257, 13, 9)])
    await expect(keysOfFi()).rejects.toMatchObject({ code: 'no-secure-entry' })
  })
})

describe('a zone', () => {
  test('that nobody signs expires, and its changes wait', async () => {
    fi.delegate(OWNER, [DS])
    expect(await judge()).toMatchObject({ verdict: 'present' })
    fi.isNeglected = true
    fi.undelegate(OWNER)
    net.clock.advance(10 * DAY)
    expect(await judge()).toMatchObject({ verdict: 'present' })
    net.clock.advance(10 * DAY)
    await expect(keysOfFi()).rejects.toMatchObject({ code: 'expired' })
    fi.isNeglected = false
    expect(await judge()).toMatchObject({ verdict: 'absent' })
  })

  test('goes unsigned: with the DS in the parent it is bogus, then insecure', async () => {
    fi.delegate(OWNER)
    fi.setKeys([])
    expect(await ask(udp, 'fi.', TYPE.DNSKEY)).toMatchObject([{ type: TYPE.SOA }])
    expect((await ask(udp, 'example.fi.', TYPE.DS)).map(({ type }) => type)).toEqual([TYPE.SOA])
    const referral = await ask(udp, 'www.example.fi.', TYPE.A)
    expect(referral.map(({ type }) => type)).toEqual([TYPE.NS])
    expect(await udp.ask({ name: 'nothing.fi.' })).toMatchObject({ rcode: 3 })
    net.root.delegate(fi.name, fi.dsRecords())
    const proof = await ask(root, 'fi.', TYPE.DS)
    expect(proof.some(({ type }) => type === TYPE.DS)).toBe(false)
    expect(proof.some(({ type }) => type === TYPE.NSEC)).toBe(true)
  })

  test('answers for all types at once, and for signatures', async () => {
    const types = async (type: number): Promise<number[]> => {
      const { answer } = await udp.ask({ name: 'ns.fi.', type })
      return [...new Set(answer.map((rr) => rr.type))].sort((a, b) => a - b)
    }
    expect(await types(255)).toEqual([TYPE.A, TYPE.RRSIG, TYPE.NSEC])
    expect(await types(TYPE.RRSIG)).toEqual([TYPE.RRSIG])
    fi.add(record('alias.fi.', 'CNAME', 'ns.fi.'))
    const { answer } = await udp.ask({ name: 'alias.fi.', type: 255 })
    expect(answer.some(({ type }) => type === TYPE.A)).toBe(false)
  })
})
