/** Evidence: what servers say about delegations, judged, and what every fault of theirs comes to. */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { parseMessage } from '@dslog/dnssec/message'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { typeToText } from '@dslog/dnssec/rdata'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { EvidenceCollector } from '@dslog/resolver/collect'
import type { ResolverErrorCode } from '@dslog/resolver/error'
import { rememberingBackend } from '@dslog/resolver/remember'
import { Observer } from '@dslog/verify/observe'
import { Internet } from '@dslog/testbed/internet'
import { anchorOf } from '@dslog/testbed/key'
import type { NameServer } from '@dslog/testbed/nameserver/server'
import type { Denial } from '@dslog/testbed/signer'
import { ownerDs } from '@dslog/testbed/stories'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DS, expectFailure, OWNER, SILENT, type World, worldOf } from './world.ts'

const ABSENT = nameFromText('absent.fi.')
const INSECURE = nameFromText('insecure.fi.')
const DENIALS: readonly (readonly [string, Denial])[] = [
  ['NSEC', 'nsec'],
  ['NSEC3', { nsec3: {} }],
  ['opt-out', { nsec3: { optOut: true } }],
]

let world: World
let sick: NameServer
let well: NameServer

async function start(denial: Denial = 'nsec', options = {}): Promise<void> {
  const net = new Internet({ servers: 2 })
  const fi = net.addZone('fi.', { denial, ...options })
  fi.delegate(OWNER, [DS])
  fi.delegate(INSECURE)
  world = await worldOf(net)
  ;[sick, well] = world.servers.of(fi) as [NameServer, NameServer]
}

beforeEach(() => start())
afterEach(() => world.stop())

/** Asks one server, or the sick one. */
async function ask(owner = OWNER, how: 'ds' | 'referral' = 'ds', server = sick) {
  const parent = await world.walker.parentOf(owner)
  const at = parent.servers.find(({ address }) => address === server.address)!
  return world.collector.delegation(owner, parent, { server: at, ask: how })
}

/** What a log that knows nothing makes of messages. */
async function admit(owner: typeof OWNER, messages: readonly Uint8Array[]) {
  const time = world.net.clock.now()
  const known = { lookup: () => Promise.resolve([]), keysOfZone: () => Promise.resolve([]) }
  const verifier = { anchors: world.net.anchors, backend: nodeBackend() }
  const records = messages.flatMap((bytes) => {
    const { answer, authority } = parseMessage(bytes)
    return [...answer, ...authority]
  })
  const moment = { time, historical: false } as never
  return new Observer(known, verifier, moment).delegation(owner, records)
}

describe.each(DENIALS)('a zone with %s', (_, denial) => {
  beforeEach(async () => {
    await world.stop()
    await start(denial)
  })

  it.each(['ds', 'referral'] as const)('shows a DS, asked by %s', async (how) => {
    const seen = await ask(OWNER, how)
    expect(seen.verdict).toMatchObject({ verdict: 'present', ds: [DS], insecure: false })
    expect(nameToText(seen.zone)).toBe('fi.')
    expect(seen.observedAt).toBe(world.net.clock.now())
    expect(seen.reply.message.aa).toBe(how === 'ds')
    expect(seen.messages[0]).toBe(seen.reply.bytes)
  })

  it.each(['ds', 'referral'] as const)('shows that there is none, asked by %s', async (how) => {
    expect((await ask(INSECURE, how)).verdict.verdict).toBe('absent')
    expect((await ask(ABSENT)).verdict.verdict).toBe('absent')
  })

  it('gives messages that a log admits alone', async () => {
    for (const owner of [OWNER, INSECURE, ABSENT]) {
      const { messages } = await ask(owner)
      const candidates = await admit(owner, messages)
      expect(candidates.map(({ kind }) => kind)).toEqual(['keys', 'keys', 'state'])
    }
    const keys = await world.collector.zoneKeys(await world.walker.parentOf(OWNER))
    const asked = keys.messages.map((bytes) => {
      const [question] = parseMessage(bytes).question
      return `${nameToText(question!.name)} ${typeToText(question!.type)}`
    })
    expect(asked).toEqual(['fi. DNSKEY', 'fi. DS', '. DNSKEY'])
  })
})

describe('a server at fault gives no verdict', () => {
  const faults: [Parameters<NameServer['inject']>[0], typeof OWNER, ResolverErrorCode][] = [
    ['servfail', OWNER, 'servfail'],
    ['refused', OWNER, 'refused'],
    ['drop', OWNER, 'timeout'],
    ['wrong-id', OWNER, 'timeout'],
    ['wrong-source', OWNER, 'timeout'],
    ['wrong-question', OWNER, 'mismatch'],
    ['garbage', OWNER, 'mismatch'],
    ['half', OWNER, 'malformed'],
    ['not-authoritative', OWNER, 'lame'],
    ['not-authoritative', ABSENT, 'lame'],
    ['upward-referral', OWNER, 'lame'],
    ['forged-ds', OWNER, 'unverifiable'],
    ['forged-signatures', OWNER, 'unverifiable'],
    ['forged-signatures', ABSENT, 'unverifiable'],
    ['no-signatures', OWNER, 'unverifiable'],
    ['no-signatures', ABSENT, 'unverifiable'],
    ['bad-denial', ABSENT, 'unverifiable'],
    ['bad-denial', INSECURE, 'unverifiable'],
    ['no-denial', ABSENT, 'unverifiable'],
    ['no-denial', INSECURE, 'unverifiable'],
  ]

  it.each(faults)('%s', async (fault, owner, code) => {
    // Its keys are known; so the fault shows where it is looked for.
    await ask(owner, 'ds', well)
    sick.inject(fault)
    if (SILENT.has(fault)) world.exchange.with.add(sick.address)
    const error = await expectFailure(ask(owner), code)
    expect(error.server!.address).toBe(sick.address)
    if (code === 'unverifiable') expect(error.cause).toMatchObject({ name: 'DnssecError' })
    // And another server is asked where it is not this one that we want to hear.
    const parent = await world.walker.parentOf(owner)
    const { reply } = await world.collector.delegation(owner, parent)
    expect(reply.server.address).toBe(well.address)
  })

  it.each(faults)('%s, everywhere, from the start', async (fault, owner) => {
    for (const server of world.servers.all) {
      server.inject(fault)
      if (SILENT.has(fault)) world.exchange.with.add(server.address)
    }
    const error: unknown = await ask(owner).catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'ResolverError' })
  })

  it('oversized by UDP, twice, truncated, padded, late: it is the same answer', async () => {
    for (const fault of ['oversized', 'twice', 'truncated', 'padded', { delay: 20 }] as const) {
      sick.inject(fault, fault === 'oversized' ? { transport: 'udp' } : {})
      expect((await ask()).verdict).toMatchObject({ verdict: 'present', ds: [DS] })
    }
  })

  it('a signature of the name itself beside its DS hides nothing, beside a denial all', async () => {
    sick.inject('alien-signature')
    expect((await ask()).verdict).toMatchObject({ verdict: 'present', ds: [DS] })
    await expectFailure(ask(ABSENT), 'child-side')
    sick.inject('forged-ds')
    await expectFailure(ask(), 'child-side')
  })

  it('padded: what is handed on is what proves, and a log admits it', async () => {
    for (const server of world.servers.all) server.inject('padded')
    for (const owner of [OWNER, INSECURE, ABSENT]) {
      const { messages, reply } = await ask(owner)
      expect(reply.message.authority.length).toBeGreaterThanOrEqual(280)
      expect(reply.bytes.length).toBeLessThan(4096)
      expect(reply.transport).toBe('tcp')
      const records = messages
        .map((message) => parseMessage(message))
        .flatMap((m) => [...m.answer, ...m.authority])
      expect(records.length).toBeLessThan(30)
      expect(parseMessage(messages[0]!).question).toEqual(reply.message.question)
      const candidates = await admit(owner, messages)
      expect(candidates.map(({ kind }) => kind)).toEqual(['keys', 'keys', 'state'])
    }
  })

  it('a denial under others is found, and a log admits it', async () => {
    for (const server of world.servers.all) server.inject('padded-denial')
    for (const owner of [INSECURE, ABSENT]) {
      const { messages, reply, verdict } = await ask(owner)
      expect(verdict).toMatchObject({ verdict: 'absent' })
      const denials = ({ type }: RR): boolean => type === TYPE.NSEC || type === TYPE.NSEC3
      expect(reply.message.authority.filter(denials).length).toBeGreaterThan(16)
      const candidates = await admit(owner, messages)
      expect(candidates.map(({ kind }) => kind)).toEqual(['keys', 'keys', 'state'])
    }
  })

  it('a DS set that fits no datagram is evidence like another', async () => {
    const fi = world.net.zoneOf(OWNER)
    fi.delegate(
      OWNER,
      Array.from({ length: 200 }, (_, i) => ownerDs(OWNER, i + 1)),
    )
    const { messages, reply, verdict } = await ask()
    expect(reply.bytes.length).toBeGreaterThan(4096)
    expect(verdict).toMatchObject({ verdict: 'present' })
    const first = parseMessage(messages[0]!)
    expect(first.answer.filter(({ type }) => type === TYPE.DS)).toHaveLength(200)
    expect(first.answer.filter(({ type }) => type === TYPE.RRSIG)).toHaveLength(1)
    const candidates = await admit(OWNER, messages)
    expect(candidates.map(({ kind }) => kind)).toEqual(['keys', 'keys', 'state'])
  })

  it('a stale zone: what it shows was signed, so it is evidence', async () => {
    const fi = world.net.zoneOf(nameFromText('fi.'))
    sick.serve(fi.snapshot())
    world.net.clock.advance(DAY)
    const other = ownerDs(OWNER, 2)
    fi.delegate(OWNER, [other])
    const [old, now] = [await ask(OWNER, 'ds', sick), await ask(OWNER, 'ds', well)]
    expect([old.verdict, now.verdict]).toMatchObject([{ ds: [DS] }, { ds: [other] }])
    expect(old.verdict.inception).toBeLessThan(now.verdict.inception)
  })

  it('signatures of yesterday and of tomorrow', async () => {
    const fi = world.net.zoneOf(nameFromText('fi.'))
    await ask()
    const { inception, expiration } = fi.window()
    fi.makeOdd(OWNER, TYPE.DS, {
      window: { inception: inception - 1000, expiration: inception - 10 },
    })
    expect((await expectFailure(ask(), 'unverifiable')).cause).toMatchObject({ code: 'expired' })
    const late = { inception: expiration, expiration: expiration + 10 }
    fi.makeOdd(OWNER, TYPE.DS, { window: late })
    expect((await expectFailure(ask(), 'unverifiable')).cause).toMatchObject({
      code: 'not-yet-valid',
    })
  })
})

describe('whose answer it is', () => {
  it('the child answers for itself', async () => {
    const net = new Internet({ servers: 1 })
    const fi = net.addZone('fi.', { servers: [['127.16.1.1']] })
    const child = net.addZone('example.fi.', { servers: [['127.16.1.1']] })
    await world.stop()
    world = await worldOf(net)
    sick = world.servers.at('127.16.1.1')
    // Its server has the parent, too: asked for the DS it speaks for that, asked for an address not.
    expect((await ask()).verdict.verdict).toBe('present')
    await expectFailure(ask(OWNER, 'referral'), 'child-side')
    const parent = await world.walker.parentOf(OWNER)
    fi.undelegate(OWNER)
    sick.serve({ name: fi.name, zone: child.snapshot().zone })
    await expectFailure(world.collector.delegation(OWNER, parent), 'child-side')
  })

  it('a zone between answers, or is referred to', async () => {
    const net = new Internet({ servers: 1 })
    net.addZone('uk.', { servers: [['127.16.1.1']] })
    net.addZone('co.uk.', { servers: [['127.16.1.1']] })
    net.addZone('org.uk.', { servers: [['127.16.2.1']] })
    await world.stop()
    world = await worldOf(net)
    const uk = await world.walker.zoneOf(nameFromText('uk.'))
    for (const owner of ['a.co.uk.', 'a.org.uk.', 'a.b.c.org.uk.']) {
      await expectFailure(world.collector.delegation(nameFromText(owner), uk), 'other-zone')
    }
    const co = await world.walker.parentOf(nameFromText('a.co.uk.'))
    const { verdict } = await world.collector.delegation(nameFromText('a.co.uk.'), co)
    expect(verdict.verdict).toBe('absent')
    await expect(world.collector.delegation(nameFromText('uk.'), uk)).rejects.toThrow(RangeError)
  })

  it.each(['unsigned', 'signed, without a DS above'])(
    'a zone that is %s proves nothing',
    async (how) => {
      const owner = nameFromText('a.se.')
      const zone = world.net.addZone('se.', { secure: false })
      zone.delegate(owner, [DS])
      if (how === 'unsigned') zone.setKeys([])
      await world.servers.open()
      const parent = await world.walker.parentOf(owner)
      const error = await expectFailure(world.collector.delegation(owner, parent), 'unsigned')
      expect(error.message).toContain('se. is delegated without a DS')
    },
  )
})

describe('keys', () => {
  it('are asked for once, by all who need them', async () => {
    const names = Array.from({ length: 20 }, (_, i) => nameFromText(`n${i}.fi.`))
    await Promise.all(names.map((name) => ask(name)))
    const asked = world.exchange.asked.map(
      ({ question }) => `${nameToText(question.name)} ${typeToText(question.type)}`,
    )
    const others = asked.filter((question) => !question.startsWith('n'))
    expect(others.sort()).toEqual(['. DNSKEY', '. NS', 'fi. DNSKEY', 'fi. DS', 'fi. NS'])
  })

  it('are asked for again after their TTL', async () => {
    await ask()
    world.exchange.asked.length = 0
    world.net.clock.advance(HOUR - 1)
    await ask()
    expect(world.exchange.asked).toHaveLength(1)
    world.net.clock.advance(1)
    await ask()
    expect(world.exchange.asked.length).toBeGreaterThan(3)
  })

  it('are asked for again where the zone has rolled', async () => {
    await ask()
    const fi = world.net.zoneOf(nameFromText('fi.'))
    world.net.clock.advance(MINUTE)
    world.net.rekey(fi, 2, 15)
    const { verdict, messages } = await ask()
    expect(verdict).toMatchObject({ verdict: 'present', ds: [DS] })
    expect(await admit(OWNER, messages)).toHaveLength(3)
    // But not for each of a thousand forged answers.
    sick.inject('forged-signatures')
    world.exchange.asked.length = 0
    for (let i = 0; i < 5; i++) await expectFailure(ask(), 'unverifiable')
    expect(world.exchange.asked).toHaveLength(5)
  })

  it('must hang from the anchors', async () => {
    const { exchange, walker } = world
    const stranger = new Internet().root.makeKey(257, 13, 7)
    const collector = new EvidenceCollector({
      exchange,
      walker,
      anchors: [anchorOf(stranger)],
      backend: nodeBackend(),
      now: world.net.clock.now,
    })
    const parent = await walker.parentOf(OWNER)
    const error = await expectFailure(collector.delegation(OWNER, parent), 'unverifiable')
    expect(error.cause).toMatchObject({ code: 'no-secure-entry' })
  })

  it('of a server are told from those of another', async () => {
    const fi = world.net.zoneOf(nameFromText('fi.'))
    const fork = fi.fork()
    fork.setKeys(fi.keys, [fi.makeKey(256, 13, 9)])
    sick.serve({ name: fork.name, zone: fork.zone })
    const zone = await world.walker.zoneOf(fi.name)
    const seen = await Promise.all(
      zone.servers.map((server) => world.collector.zoneKeys(zone, { server })),
    )
    expect(new Set(seen.map(({ rdatas }) => rdatas.length))).toEqual(new Set([2, 3]))
  })
})

describe('signatures that verified', () => {
  it('are not verified again, and those that did not are', async () => {
    let calls = 0
    const inner = nodeBackend()
    const counting = {
      digest: inner.digest,
      verify: (...signature: Parameters<typeof inner.verify>) => {
        calls++
        return inner.verify(...signature)
      },
    }
    const { exchange, walker } = world
    const now = world.net.clock.now
    const { anchors } = world.net
    const collector = new EvidenceCollector({ exchange, walker, anchors, backend: counting, now })
    const parent = await walker.parentOf(OWNER)
    const seen = async () => {
      calls = 0
      const { verdict } = await collector.delegation(OWNER, parent)
      return [verdict.verdict, calls]
    }
    expect(await seen()).toEqual(['present', 4])
    expect(await seen()).toEqual(['present', 0])
    world.net.zoneOf(nameFromText('fi.')).delegate(OWNER, [ownerDs(OWNER, 2)])
    expect(await seen()).toEqual(['present', 1])
    for (const server of [sick, well]) server.inject('forged-ds')
    calls = 0
    const again = (): Promise<unknown> => collector.delegation(OWNER, parent)
    for (let i = 0; i < 3; i++) await expectFailure(again(), 'unverifiable')
    expect(calls).toBeGreaterThanOrEqual(3)
    // The window is looked at each time.
    for (const server of [sick, well]) server.heal()
    const fi = world.net.zoneOf(nameFromText('fi.'))
    fi.isNeglected = true
    world.net.clock.advance(15 * DAY)
    await expectFailure(collector.delegation(OWNER, parent), 'unverifiable')
  })

  it('are forgotten where there are too many', async () => {
    let calls = 0
    const backend = rememberingBackend(
      { digest: nodeBackend().digest, verify: () => Promise.resolve(++calls > 0) },
      4,
    )
    const verify = (i: number) =>
      backend.verify(13, Uint8Array.of(1), Uint8Array.of(i), Uint8Array.of(2))
    for (const i of [1, 2, 2, 1]) await verify(i)
    expect(calls).toBe(2)
    for (const i of [3, 4, 5, 1]) await verify(i)
    expect(calls).toBe(6)
    // Fields cannot run into each other.
    await backend.verify(13, Uint8Array.of(1, 1), new Uint8Array(0), Uint8Array.of(2))
    expect(calls).toBe(7)
  })
})
