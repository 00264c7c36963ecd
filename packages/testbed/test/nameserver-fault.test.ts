/** What is wrong with name servers on purpose: each fault shows as it should, where it should, and goes away. */
import { parseMessage, type Message } from '@dslog/dnssec/message'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { judgeDelegation, type Verdict } from '@dslog/dnssec/chain'
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { toHex } from '@dslog/tlog/bytes'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Internet } from '../src/internet.ts'
import { NameServers } from '../src/nameserver.ts'
import type { NameServer } from '../src/nameserver/server.ts'
import { ownerDs } from '../src/stories.ts'
import { encodeQuery, ofType, TcpAsker, UdpAsker } from '../src/asker.ts'

const OWNER = nameFromText('example.fi.')
const DS = ownerDs(OWNER)
const OTHER_DS = ownerDs(OWNER, 666)
const ASK = { name: 'example.fi.' }
const backend = nodeBackend()

const net = new Internet({ servers: 2 })
const fi = net.addZone('fi.', { denial: { nsec3: {} } })
fi.delegate(OWNER, [DS])
let servers: NameServers
let server: NameServer
let sound: NameServer
let udp: UdpAsker

beforeAll(async () => {
  servers = await NameServers.start(net)
  ;[server, sound] = servers.of(fi) as [NameServer, NameServer]
  udp = await UdpAsker.open(server.address, servers.port)
})
afterEach(() => servers.all.forEach((each) => each.heal()))
afterAll(async () => {
  udp.close()
  await servers.stop()
})

/** What a validator makes of a reply. */
function judge({ answer, authority }: Message, owner = OWNER): Promise<Verdict> {
  const records = [...answer, ...authority]
  const at = net.clock.now()
  return judgeDelegation({ owner, zone: fi.name, keys: fi.keys, records, at, backend })
}

describe('what is said', () => {
  test.each([
    ['servfail', 2],
    ['refused', 5],
  ] as const)('%s: a code and nothing else', async (fault, rcode) => {
    const healed = server.inject(fault)
    const reply = await udp.ask(ASK)
    expect(reply.rcode).toBe(rcode)
    expect([reply.answer, reply.authority]).toEqual([[], []])
    healed()
    expect((await udp.ask(ASK)).rcode).toBe(0)
  })

  test('not-authoritative: the answer without AA', async () => {
    expect((await udp.ask(ASK)).aa).toBe(true)
    server.inject('not-authoritative')
    const reply = await udp.ask(ASK)
    expect(reply.aa).toBe(false)
    expect(ofType(reply, TYPE.DS)).toHaveLength(1)
  })

  test('upward-referral: to the root', async () => {
    server.inject('upward-referral')
    const { aa, answer, authority } = await udp.ask(ASK)
    expect([aa, answer, authority.length]).toEqual([false, [], 1])
    expect(authority[0]).toMatchObject({ owner: Uint8Array.of(0), type: TYPE.NS })
  })

  test.each([
    ['forged-signatures', 'example.fi.', 'bad-signature'],
    ['forged-signatures', 'nothing.fi.', 'bad-signature'],
    ['no-signatures', 'example.fi.', 'no-signature'],
    ['forged-ds', 'example.fi.', 'bad-signature'],
    ['bad-denial', 'nothing.fi.', 'bad-signature'],
    ['no-denial', 'nothing.fi.', 'not-proven'],
  ] as const)('%s: %s is %s', async (fault, name, code) => {
    const owner = nameFromText(name)
    expect((await judge(await udp.ask({ name }), owner)).verdict).not.toBe('unverifiable')
    server.inject(fault)
    const verdict = await judge(await udp.ask({ name }), owner)
    expect(verdict).toMatchObject({ verdict: 'unverifiable', code })
  })

  test('bad-denial leaves what exists alone', async () => {
    server.inject('bad-denial')
    expect(await judge(await udp.ask(ASK))).toMatchObject({ verdict: 'present', ds: [DS] })
  })
})

describe('another zone', () => {
  test('a stale one', async () => {
    server.serve(fi.snapshot())
    fi.delegate(OWNER, [OTHER_DS])
    try {
      expect(await judge(await udp.ask(ASK))).toMatchObject({ verdict: 'present', ds: [DS] })
      server.heal()
      expect(await judge(await udp.ask(ASK))).toMatchObject({ ds: [OTHER_DS] })
    } finally {
      fi.delegate(OWNER, [DS])
    }
  })

  test('a DS swapped, for one client only', async () => {
    const fork = fi.fork()
    fork.delegate(OWNER, [OTHER_DS])
    server.serve(fork, '127.0.0.77')
    const victim = await UdpAsker.open(server.address, servers.port, '127.0.0.77')
    onTestFinished(() => victim.close())
    expect(await judge(await victim.ask(ASK))).toMatchObject({ verdict: 'present', ds: [OTHER_DS] })
    expect(await judge(await udp.ask(ASK))).toMatchObject({ verdict: 'present', ds: [DS] })
    expect(toHex(fi.zone.rrset(OWNER, TYPE.DS)[0]!.rdata)).toBe(toHex(DS))
  })

  test('a back-dated signature', async () => {
    const fork = fi.fork()
    const { expiration, inception } = fi.window()
    const window = { inception: inception - 86_400, expiration }
    fork.makeOdd(OWNER, TYPE.DS, { window })
    server.serve(fork)
    expect(await judge(await udp.ask(ASK))).toMatchObject({ verdict: 'present', ...window })
  })
})

describe('the message', () => {
  test('wrong-id', async () => {
    server.inject('wrong-id', { times: 1 })
    udp.send(encodeQuery({ ...ASK, id: 1 }))
    expect(parseMessage((await udp.next()).bytes).id).not.toBe(1)
  })

  test('wrong-id is no answer to who asks', async () => {
    server.inject('wrong-id', { when: ({ id }) => id === 1 })
    const { strays } = udp
    udp.send(encodeQuery({ ...ASK, id: 1 }))
    expect((await udp.ask({ ...ASK, id: 2 })).id).toBe(2)
    expect(udp.strays).toBe(strays + 1)
  })

  test('wrong-question', async () => {
    server.inject('wrong-question')
    const reply = await udp.ask(ASK)
    expect(reply.question).toHaveLength(1)
    expect(reply.question[0]).not.toMatchObject({ name: OWNER, type: TYPE.DS })
    expect(reply.answer).not.toEqual([])
  })

  test('wrong-case', async () => {
    const ask = { name: 'eXaMpLe.Fi.' }
    const question = async (): Promise<string> => {
      udp.send(encodeQuery(ask))
      const { bytes } = await udp.next()
      return Buffer.from(bytes.subarray(13, 20)).toString()
    }
    expect(await question()).toBe('eXaMpLe')
    server.inject('wrong-case')
    expect(await question()).toBe('example')
  })

  test('truncated, by UDP alone', async () => {
    server.inject('truncated')
    const reply = await udp.ask(ASK)
    expect([reply.tc, reply.answer, reply.authority]).toEqual([true, [], []])
    const tcp = await TcpAsker.open(server.address, servers.port)
    onTestFinished(() => tcp.close())
    expect(await tcp.ask(ASK)).toMatchObject({ tc: false, rcode: 0 })
  })

  test('oversized: more than was asked for', async () => {
    server.inject('oversized')
    udp.send(encodeQuery({ ...ASK, size: 512 }))
    const { bytes } = await udp.next()
    expect(bytes.length).toBeGreaterThan(4096)
    expect(parseMessage(bytes).tc).toBe(false)
  })

  test('half', async () => {
    server.inject('half')
    await expect(udp.ask(ASK)).rejects.toMatchObject({ code: 'bad-message' })
  })

  test('garbage, with the right id', async () => {
    server.inject('garbage')
    udp.send(encodeQuery({ ...ASK, id: 0xabcd }))
    const { bytes } = await udp.next()
    expect(toHex(bytes.subarray(0, 2))).toBe('abcd')
  })
})

describe('its way', () => {
  test('drop: nothing comes, and the next is answered again', async () => {
    server.inject('drop', { times: 1 })
    udp.send(encodeQuery({ ...ASK, id: 1 }))
    expect((await udp.ask({ ...ASK, id: 2 })).id).toBe(2)
  })

  test('delay', async () => {
    server.inject({ delay: 60 }, { when: ({ id }) => id === 1 })
    udp.send(encodeQuery({ ...ASK, id: 1 }))
    expect((await udp.ask({ ...ASK, id: 2 })).id).toBe(2)
    expect(parseMessage((await udp.next()).bytes).id).toBe(1)
  })

  test('twice', async () => {
    server.inject('twice', { times: 1 })
    udp.send(encodeQuery(ASK))
    expect(await udp.next()).toEqual(await udp.next())
  })

  test('wrong-source', async () => {
    udp.send(encodeQuery(ASK))
    expect(await udp.next()).toMatchObject({ from: server.address, port: servers.port })
    server.inject('wrong-source')
    udp.send(encodeQuery(ASK))
    const { from } = await udp.next()
    expect(from).not.toBe(server.address)
  })

  test('so many a second', async () => {
    const clock = { now: 5000 }
    const lonely = await NameServers.start(net, () => clock.now)
    onTestFinished(() => lonely.stop())
    const [limited] = lonely.of(fi) as [NameServer]
    const asker = await UdpAsker.open(limited.address, lonely.port)
    onTestFinished(() => asker.close())
    limited.inject({ perSecond: 2 })
    for (const id of [1, 2, 3, 4]) asker.send(encodeQuery({ ...ASK, id }))
    const ids = async (n: number): Promise<number[]> => {
      const list: number[] = []
      while (list.length < n) list.push(parseMessage((await asker.next()).bytes).id)
      return list
    }
    expect(await ids(2)).toEqual([1, 2])
    while (limited.asked < 4) await new Promise(setImmediate)
    clock.now += 1000
    for (const id of [5, 6, 7]) asker.send(encodeQuery({ ...ASK, id }))
    expect(await ids(2)).toEqual([5, 6])
  })

  test('tcp-closes in the middle, tcp-refuses at once, drop lets it wait', async () => {
    const heal = server.inject('tcp-closes')
    const cut = await TcpAsker.open(server.address, servers.port)
    cut.send(encodeQuery(ASK))
    expect(await cut.next()).toBeUndefined()
    expect(cut.rest.length).toBeGreaterThan(20)
    heal()

    server.inject('tcp-refuses')
    const refused = await TcpAsker.open(server.address, servers.port)
    expect(await refused.next()).toBeUndefined()
    expect(refused.rest).toHaveLength(0)
    server.heal()

    server.inject('drop', { transport: 'tcp', when: ({ id }) => id === 1 })
    const silent = await TcpAsker.open(server.address, servers.port)
    onTestFinished(() => silent.close())
    silent.send(encodeQuery({ ...ASK, id: 1 }))
    expect(await silent.ask({ ...ASK, id: 2 })).toMatchObject({ id: 2 })
  })

  test("of one server is no other's", async () => {
    server.inject('drop')
    server.inject('servfail')
    const asker = await UdpAsker.open(sound.address, servers.port)
    onTestFinished(() => asker.close())
    expect(await asker.ask(ASK)).toMatchObject({ rcode: 0, aa: true })
  })
})

describe('the log of questions', () => {
  test('has who asked what, in which letters and how', async () => {
    server.forget()
    await udp.ask({ name: 'ExAmple.fI.', id: 99, flags: 0x0110, size: 1400 })
    const tcp = await TcpAsker.open(server.address, servers.port)
    onTestFinished(() => tcp.close())
    await tcp.ask({ name: 'a-b.fi.', type: TYPE.A, size: undefined })
    await tcp.ask({ name: '.', type: TYPE.NS, dnssecOk: false })
    const [first, second, third] = server.questions
    expect(server.asked).toBe(3)
    expect(first).toEqual({
      at: expect.closeTo(Date.now(), -4),
      server: server.address,
      client: { address: '127.0.0.1', port: udp.port, transport: 'udp' },
      id: 99,
      name: OWNER,
      sent: 'ExAmple.fI.',
      type: TYPE.DS,
      recursionDesired: true,
      checkingDisabled: true,
      dnssecOk: true,
      size: 1400,
    })
    expect(second).toMatchObject({ sent: 'a-b.fi.', type: TYPE.A, size: undefined })
    expect(second!.client.transport).toBe('tcp')
    expect(third).toMatchObject({ sent: '.', dnssecOk: false, client: second!.client })
    expect(servers.questions).toContain(third)
    server.forget()
    expect([server.asked, server.questions]).toEqual([0, []])
  })
})
