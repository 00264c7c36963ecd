/** Other ways to ask: a resolver, plainly and by HTTPS, and servers through a proxy. */
import type { ServerResponse } from 'node:http'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText, nameToText, ROOT } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { EvidenceCollector } from '@dslog/resolver/collect'
import { DohExchange } from '@dslog/resolver/doh'
import type { Exchange, Server } from '@dslog/resolver/exchange'
import { SocksExchange } from '@dslog/resolver/socks'
import { readResolvConf, ResolverWalker, systemResolvers } from '@dslog/resolver/stub'
import { Internet, record } from '@dslog/testbed/internet'
import type { NameServer } from '@dslog/testbed/nameserver/server'
import { dohFront, startDoh, startSocks } from '@dslog/testbed/vantage'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { DS, expectFailure, OWNER, standStill, TIMEOUT, type World, worldOf } from './world.ts'

const QUESTION = { name: OWNER, type: TYPE.DS }
/** Less time than a process stands still in a test. */
const IMPATIENT = { timeout: 500 }

/** One server has all zones, so that it answers as a resolver would. */
let world: World
let all: NameServer
let resolver: Server

beforeAll(async () => {
  const net = new Internet()
  const fi = net.addZone('fi.')
  fi.delegate(OWNER, [DS])
  fi.add(record('alias.fi.', 'CNAME', 'ns.fi.'))
  net.addZone('deep.er.fi.')
  world = await worldOf(net)
  ;[all] = world.servers.all as [NameServer]
  resolver = { address: all.address, port: world.servers.port }
})
afterEach(() => all.heal())
afterAll(() => world.stop())

function collectorOf(exchange: Exchange, server: Server): [EvidenceCollector, ResolverWalker] {
  const now = world.net.clock.now
  const walker = new ResolverWalker(exchange, [server], now)
  const { anchors } = world.net
  const backend = nodeBackend()
  const options = { exchange, walker, anchors, backend, now, recursive: true }
  return [new EvidenceCollector(options), walker]
}

describe('a resolver', () => {
  it('is found where the system has it', async () => {
    const text = `# nameserver 192.0.2.1\nsearch example.org\nnameserver 192.0.2.53\n\tnameserver  ::1 # local\nnameserver\nnameserver none\n`
    expect(readResolvConf(text)).toEqual([{ address: '192.0.2.53' }, { address: '::1' }])
    expect(readResolvConf('')).toEqual([{ address: '127.0.0.1' }])
    const many = Array.from({ length: 5 }, (_, i) => `nameserver 192.0.2.${i}`).join('\n')
    expect(readResolvConf(many)).toHaveLength(3)
    const path = join(tmpdir(), `resolv-${process.pid}.conf`)
    onTestFinished(() => rm(path, { force: true }))
    await writeFile(path, 'nameserver fe80::1%lo\n')
    expect(await systemResolvers(path)).toEqual([{ address: 'fe80::1%lo' }])
    expect(await systemResolvers('/nowhere/resolv.conf')).toEqual([{ address: '127.0.0.1' }])
  })

  it('says where zones are', async () => {
    const [, walker] = collectorOf(world.exchange, resolver)
    const expected: [string, string][] = [
      ['example.fi.', 'fi.'],
      ['a.b.c.absent.fi.', 'fi.'],
      ['x.deep.er.fi.', 'deep.er.fi.'],
      ['deep.er.fi.', 'fi.'],
      ['below.alias.fi.', 'fi.'],
      ['fi.', '.'],
      ['absent.', '.'],
    ]
    for (const [name, zone] of expected) {
      const found = await walker.parentOf(nameFromText(name))
      expect([name, nameToText(found.zone)]).toEqual([name, zone])
      expect(found.servers).toEqual([resolver])
    }
    expect((await walker.zoneOf(ROOT)).zone).toEqual(ROOT)
    world.exchange.asked.length = 0
    await walker.parentOf(OWNER)
    expect(world.exchange.asked).toEqual([])
    await walker.parentOf(OWNER, { fresh: true })
    expect(world.exchange.asked).toHaveLength(1)
  })

  it('gives evidence that is verified here', async () => {
    // It has no authority, and need not.
    all.inject('not-authoritative')
    const [collector, walker] = collectorOf(world.exchange, resolver)
    const seen = await collector.delegation(OWNER, await walker.parentOf(OWNER))
    expect(seen.verdict).toMatchObject({ verdict: 'present', ds: [DS] })
    expect(seen.messages).toHaveLength(4)
    expect(all.questions.at(-1)).toBeDefined()
    all.inject('forged-ds')
    const parent = await walker.parentOf(OWNER)
    await expectFailure(collector.delegation(OWNER, parent), 'unverifiable')
  })
})

/** A resolver by HTTP in front of the server. */
function dohServer(change?: (bytes: Buffer) => Buffer) {
  return startDoh(dohFront({ address: resolver.address, port: resolver.port! }, change))
}

describe('DNS over HTTPS', () => {
  it.each(['POST', 'GET'] as const)('asks by %s, and validates', async (method) => {
    const server = await dohServer()
    onTestFinished(() => server.close())
    const doh = new DohExchange(`${server.url}{?dns}`, { method })
    all.forget()
    const [collector, walker] = collectorOf(doh, doh.server)
    const seen = await collector.delegation(OWNER, await walker.parentOf(OWNER))
    expect(seen.verdict).toMatchObject({ verdict: 'present', ds: [DS] })
    expect(seen.reply).toMatchObject({ transport: 'https', server: { address: '127.0.0.1' } })
    expect(seen.reply.bytes.subarray(0, 2)).toEqual(Uint8Array.of(0, 0))
    await doh.close()
    await expectFailure(doh.ask(doh.server, QUESTION), 'aborted')
  })

  it('talks to nobody in clear but to this machine', () => {
    for (const url of [
      'http://dns.example/dns-query',
      'http://10.0.0.1/',
      'http://127.example.org/',
      'ftp://127.0.0.1/',
      'https://user:secret@dns.example/',
      'nonsense',
    ]) {
      expect(() => new DohExchange(url), url).toThrow(RangeError)
    }
    expect(new DohExchange('https://dns.example/dns-query{?dns}').server).toEqual({
      address: 'dns.example',
      port: 443,
    })
    expect(new DohExchange('http://localhost:8053/').server.port).toBe(8053)
  })

  const broken: [string, (response: ServerResponse, body: Buffer) => void, string][] = [
    ['an error', (response) => response.writeHead(503).end(), 'network'],
    [
      'a redirect to elsewhere',
      (response) => response.writeHead(302, { location: 'http://192.0.2.1/' }).end(),
      'network',
    ],
    ['another type', (response) => response.end('hello'), 'network'],
    ['nothing', (response) => typed(response).end(), 'mismatch'],
    ['the query', (response, body) => typed(response).end(body), 'mismatch'],
    ['junk', (response) => typed(response).end(Buffer.alloc(100, 0xff)), 'mismatch'],
    ['too much', (response) => typed(response).end(Buffer.alloc(70_000)), 'too-large'],
    ['silence', () => {}, 'timeout'],
    ['a broken connection', (response) => response.destroy(), 'network'],
  ]
  const typed = (response: ServerResponse): ServerResponse =>
    response.setHeader('content-type', 'application/dns-message; charset=x')

  it.each(broken)('%s is no answer', async (_, handle, code) => {
    const server = await startDoh((query, response) => handle(response, query))
    onTestFinished(() => server.close())
    const doh = new DohExchange(server.url)
    const error: unknown = await doh
      .ask(doh.server, QUESTION, { timeout: code === 'timeout' ? TIMEOUT : 20_000 })
      .catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'ResolverError', code })
  })

  it.each([
    ['truncated', (bytes: Buffer) => bytes.fill(bytes[2]! | 2, 2, 3), 'truncated'],
    ['servfail', (bytes: Buffer) => bytes.fill(2, 3, 4), 'servfail'],
    ['half', (bytes: Buffer) => bytes.subarray(0, bytes.length - 9), 'malformed'],
  ] as const)('%s is a failure', async (_, change, code) => {
    const server = await dohServer(change)
    onTestFinished(() => server.close())
    const doh = new DohExchange(server.url)
    await expectFailure(doh.ask(doh.server, QUESTION), code)
  })

  it('is not blamed for the time in which this process stood still', async () => {
    const server = await dohServer()
    onTestFinished(() => server.close())
    const doh = new DohExchange(server.url)
    const work = doh.ask(doh.server, QUESTION, IMPATIENT)
    standStill(2 * IMPATIENT.timeout)
    expect((await work).transport).toBe('https')
    const silent = await startDoh(() => {})
    onTestFinished(() => silent.close())
    const other = new DohExchange(silent.url)
    const failure = expectFailure(
      other.ask(other.server, QUESTION, { timeout: TIMEOUT }),
      'timeout',
    )
    standStill(2 * TIMEOUT)
    await failure
  })

  it('gives up, and is busy', async () => {
    const server = await startDoh(() => {})
    onTestFinished(() => server.close())
    const doh = new DohExchange(server.url)
    const controller = new AbortController()
    const { signal } = controller
    const asked = Array.from({ length: 101 }, () =>
      doh
        .ask(doh.server, QUESTION, { signal })
        .catch((error: unknown) => (error as { code: string }).code),
    )
    setImmediate(() => controller.abort())
    const codes = (await Promise.all(asked)) as string[]
    expect(codes.filter((code) => code === 'busy')).toHaveLength(1)
    expect(codes.filter((code) => code === 'aborted')).toHaveLength(100)
  })
})

describe('a proxy', () => {
  const exchangeOf = (port: number): SocksExchange =>
    new SocksExchange({
      host: '127.0.0.1',
      port,
      dnsPort: world.servers.port,
      permits: () => true,
    })

  it('leads to the servers, each question by a way of its own', async () => {
    const proxy = await startSocks()
    onTestFinished(() => proxy.close())
    const exchange = exchangeOf(proxy.port)
    const { walker, net } = world
    const collector = new EvidenceCollector({
      exchange,
      walker,
      anchors: net.anchors,
      backend: nodeBackend(),
      now: net.clock.now,
    })
    const seen = await collector.delegation(OWNER, await walker.parentOf(OWNER))
    expect(seen.reply.transport).toBe('socks5')
    expect(seen.verdict.verdict).toBe('present')
    expect(proxy.users.length).toBeGreaterThanOrEqual(4)
    expect(new Set(proxy.users).size).toBe(proxy.users.length)
    await exchange.close()
    await expectFailure(exchange.ask({ address: '127.0.0.1' }, QUESTION), 'aborted')
  })

  it.each([
    ['refuse', 'network'],
    ['junk', 'network'],
    ['silent', 'timeout'],
  ] as const)('that is %s fails the question', async (behaviour, code) => {
    const proxy = await startSocks(behaviour)
    onTestFinished(() => proxy.close())
    const work = exchangeOf(proxy.port).ask({ address: '127.0.0.1' }, QUESTION, {
      timeout: code === 'timeout' ? TIMEOUT : 20_000,
    })
    await expectFailure(work, code)
  })

  it.each(['well', 'silent'] as const)(
    'that is %s is not blamed for the time in which this process stood still',
    async (behaviour) => {
      const proxy = await startSocks(behaviour)
      onTestFinished(() => proxy.close())
      const { timeout } = behaviour === 'well' ? IMPATIENT : { timeout: TIMEOUT }
      const work = exchangeOf(proxy.port).ask({ address: '127.0.0.1' }, QUESTION, { timeout })
      const outcome =
        behaviour === 'well'
          ? work.then(({ transport }) => expect(transport).toBe('socks5'))
          : expectFailure(work, 'timeout')
      standStill(2 * timeout)
      await outcome
    },
  )

  it('is given up', async () => {
    const proxy = await startSocks('silent')
    onTestFinished(() => proxy.close())
    const controller = new AbortController()
    const { signal } = controller
    const work = exchangeOf(proxy.port).ask({ address: '127.0.0.1' }, QUESTION, { signal })
    controller.abort()
    await expectFailure(work, 'aborted')
  })

  it('is not there, or led to where nobody may ask', async () => {
    await expectFailure(exchangeOf(1).ask({ address: '127.0.0.1' }, QUESTION), 'network')
    const strict = new SocksExchange({ host: '127.0.0.1', port: 1 })
    await expectFailure(strict.ask({ address: '10.0.0.1' }, QUESTION), 'forbidden-address')
  })
})
