/** Other ways to ask: a resolver, plainly and by HTTPS, and servers through a proxy. */
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { connect, createServer, type Server as TcpServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
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
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { DS, expectFailure, OWNER, TIMEOUT, type World, worldOf } from './world.ts'

const QUESTION = { name: OWNER, type: TYPE.DS }

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

/** An HTTP server that does as it is told. */
async function httpServer(
  handle: (request: IncomingMessage, body: Buffer, response: ServerResponse) => void,
): Promise<{ url: string; close(): void }> {
  const server = createHttpServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => handle(request, Buffer.concat(chunks), response))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${port}/dns-query`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** A resolver by HTTP in front of the server. */
function dohServer(change: (bytes: Buffer) => Buffer = (bytes) => bytes) {
  return httpServer((request, body, response) => {
    const url = new URL(request.url!, 'http://localhost')
    const query =
      request.method === 'GET' ? Buffer.from(url.searchParams.get('dns')!, 'base64url') : body
    const socket = connect({ host: resolver.address, port: resolver.port! })
    socket.write(Buffer.concat([Buffer.from([0, query.length]), query]))
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (all.length < 2 || all.length < 2 + all.readUInt16BE()) return
      response.setHeader('content-type', 'application/dns-message')
      response.end(change(all.subarray(2)))
      socket.destroy()
    })
  })
}

describe('DNS over HTTPS', () => {
  it.each(['POST', 'GET'] as const)('asks by %s, and validates', async (method) => {
    const server = await dohServer()
    const doh = new DohExchange(`${server.url}{?dns}`, { method })
    all.forget()
    const [collector, walker] = collectorOf(doh, doh.server)
    const seen = await collector.delegation(OWNER, await walker.parentOf(OWNER))
    expect(seen.verdict).toMatchObject({ verdict: 'present', ds: [DS] })
    expect(seen.reply).toMatchObject({ transport: 'https', server: { address: '127.0.0.1' } })
    expect(seen.reply.bytes.subarray(0, 2)).toEqual(Uint8Array.of(0, 0))
    await doh.close()
    await expectFailure(doh.ask(doh.server, QUESTION), 'aborted')
    server.close()
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
    const server = await httpServer((_request, body, response) => handle(response, body))
    const doh = new DohExchange(server.url)
    const error: unknown = await doh
      .ask(doh.server, QUESTION, { timeout: code === 'timeout' ? TIMEOUT : 20_000 })
      .catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'ResolverError', code })
    server.close()
  })

  it.each([
    ['truncated', (bytes: Buffer) => bytes.fill(bytes[2]! | 2, 2, 3), 'truncated'],
    ['servfail', (bytes: Buffer) => bytes.fill(2, 3, 4), 'servfail'],
    ['half', (bytes: Buffer) => bytes.subarray(0, bytes.length - 9), 'malformed'],
  ] as const)('%s is a failure', async (_, change, code) => {
    const server = await dohServer(change)
    const doh = new DohExchange(server.url)
    await expectFailure(doh.ask(doh.server, QUESTION), code)
    server.close()
  })

  it('gives up, and is busy', async () => {
    const server = await httpServer(() => {})
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
    server.close()
  })
})

/** A SOCKS5 proxy; `users` are those that came. */
async function socksProxy(
  behave: 'well' | 'refuse' | 'silent' | 'junk' = 'well',
): Promise<{ port: number; users: string[]; close(): void }> {
  const users: string[] = []
  const open = new Set<Socket>()
  const proxy: TcpServer = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {})
    if (behave === 'silent') return
    if (behave === 'junk') {
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
      return
    }
    let step = 0
    const onData = (data: Buffer): void => {
      step++
      if (step === 1) socket.write(Uint8Array.of(5, 2))
      else if (step === 2) {
        users.push(data.subarray(2, 2 + data[1]!).toString())
        socket.write(Uint8Array.of(1, 0))
      } else {
        socket.off('data', onData)
        const failed = behave === 'refuse'
        const reply = Uint8Array.of(5, failed ? 5 : 0, 0, 1, 0, 0, 0, 0, 0, 0)
        if (failed) {
          socket.end(reply)
          return
        }
        const address = data.subarray(4, 8).join('.')
        const to = connect({ host: address, port: data.readUInt16BE(8) }, () => {
          socket.write(reply)
          socket.pipe(to).pipe(socket)
        })
        to.on('error', () => socket.destroy())
      }
    }
    socket.on('data', onData)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const { port } = proxy.address() as { port: number }
  return {
    port,
    users,
    close() {
      for (const socket of open) socket.destroy()
      proxy.close()
    },
  }
}

describe('a proxy', () => {
  const exchangeOf = (port: number): SocksExchange =>
    new SocksExchange({
      host: '127.0.0.1',
      port,
      dnsPort: world.servers.port,
      permits: () => true,
    })

  it('leads to the servers, each question by a way of its own', async () => {
    const proxy = await socksProxy()
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
    proxy.close()
  })

  it.each([
    ['refuse', 'network'],
    ['junk', 'network'],
    ['silent', 'timeout'],
  ] as const)('that is %s fails the question', async (behaviour, code) => {
    const proxy = await socksProxy(behaviour)
    const work = exchangeOf(proxy.port).ask({ address: '127.0.0.1' }, QUESTION, {
      timeout: code === 'timeout' ? TIMEOUT : 20_000,
    })
    await expectFailure(work, code)
    proxy.close()
  })

  it('is given up', async () => {
    const proxy = await socksProxy('silent')
    const controller = new AbortController()
    const { signal } = controller
    const work = exchangeOf(proxy.port).ask({ address: '127.0.0.1' }, QUESTION, { signal })
    controller.abort()
    await expectFailure(work, 'aborted')
    proxy.close()
  })

  it('is not there, or led to where nobody may ask', async () => {
    await expectFailure(exchangeOf(1).ask({ address: '127.0.0.1' }, QUESTION), 'network')
    const strict = new SocksExchange({ host: '127.0.0.1', port: 1 })
    await expectFailure(strict.ask({ address: '10.0.0.1' }, QUESTION), 'forbidden-address')
  })
})
