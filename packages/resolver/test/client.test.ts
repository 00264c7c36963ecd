/** Questions by UDP and TCP, to servers that are well and to servers that are not. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { Worker } from 'node:worker_threads'
import { decode } from 'dns-packet'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { DnsClient } from '@dslog/resolver/client'
import type { ResolverError } from '@dslog/resolver/error'
import type { Server } from '@dslog/resolver/exchange'
import { encodeQuery, questionEnd } from '@dslog/resolver/query'
import { Internet } from '@dslog/testbed/internet'
import type { NameServer } from '@dslog/testbed/nameserver/server'
import { ownerDs } from '@dslog/testbed/stories'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { MINUTE } from '@dslog/schema/time'
import {
  DS,
  expectFailure,
  OWNER,
  SILENT,
  standStill,
  TIMEOUT,
  type World,
  worldOf,
} from './world.ts'

const QUESTION = { name: OWNER, type: TYPE.DS }
/** The machine may be busy. */
const PATIENT = { timeout: 20_000 }

let world: World
let server: NameServer
let at: Server

beforeAll(async () => {
  const net = new Internet({ servers: 2 })
  net.addZone('fi.').delegate(OWNER, [DS])
  net.addZone('v6.', { servers: [['::1']] })
  world = await worldOf(net)
  server = world.servers.of(net.zoneOf(nameFromText('fi.')))[0]!
  at = { address: server.address }
})
afterEach(() => server.heal())
afterAll(() => world.stop())

describe('queries', () => {
  it('are what dns-packet reads', () => {
    const query = encodeQuery(QUESTION, 0xabcd)
    const packet = decode(Buffer.from(query))
    expect(packet).toMatchObject({ id: 0xabcd, type: 'query', flag_rd: false, flag_cd: false })
    expect(packet.questions).toEqual([{ name: 'example.fi', type: 'DS', class: 'IN' }])
    expect(packet.additionals).toMatchObject([
      { type: 'OPT', udpPayloadSize: 1232, flag_do: true, ednsVersion: 0, options: [] },
    ])
    expect(query.length).toBe(questionEnd(QUESTION) + 11)
    const recursive = decode(Buffer.from(encodeQuery(QUESTION, 1, { recursive: true })))
    expect(recursive).toMatchObject({ flag_rd: true, flag_cd: true })
    const checked = { recursive: true, checkingDisabled: false }
    expect(decode(Buffer.from(encodeQuery(QUESTION, 1, checked))).flag_cd).toBe(false)
    expect(decode(Buffer.from(encodeQuery({ name: ROOT, type: 257 }, 0))).questions).toEqual([
      { name: '.', type: 'CAA', class: 'IN' },
    ])
  })

  it('mix the case of letters and of nothing else', () => {
    const name = nameFromText('a-0.{\\[\\]\\200}.' + 'x'.repeat(63) + '.fi.')
    const seen = new Set<string>()
    for (let i = 0; i < 50; i++) {
      const query = encodeQuery({ name, type: 1 }, 0, { mixCase: true })
      const sent = query.slice(12, 12 + name.length)
      const text = Buffer.from(sent).toString('latin1')
      expect(text.toLowerCase()).toBe(Buffer.from(name).toString('latin1').toLowerCase())
      for (const [i, byte] of sent.entries()) {
        if (name[i]! < 0x61 || name[i]! > 0x7a) expect(byte).toBe(name[i])
      }
      seen.add(text)
    }
    expect(seen.size).toBe(50)
  })
})

describe('a server that is well', () => {
  it('answers by UDP and by TCP', async () => {
    for (const transport of ['udp', 'tcp'] as const) {
      const reply = await world.client.ask(at, QUESTION, { transport, ...PATIENT })
      expect(reply).toMatchObject({ transport, question: QUESTION })
      expect(reply.server).toEqual({ address: server.address, port: world.servers.port })
      expect(reply.message).toMatchObject({ aa: true, rcode: 0 })
      expect(reply.message.answer[0]!.rdata).toEqual(DS)
      expect(reply.rtt).toBeGreaterThan(0)
      expect(Object.getPrototypeOf(reply.bytes)).toBe(Uint8Array.prototype)
    }
  })

  it('answers by IPv6', async () => {
    const reply = await world.client.ask(
      { address: '::1' },
      { name: nameFromText('v6.'), type: TYPE.SOA },
    )
    expect(reply.message.answer[0]!.type).toBe(TYPE.SOA)
  })

  it('is asked with random ids and case, from changing ports', async () => {
    server.forget()
    for (let i = 0; i < 20; i++) await world.client.ask(at, QUESTION, PATIENT)
    expect(world.client.open).toBeLessThan(4)
    expect(server.questions).toHaveLength(20)
    const different = (of: readonly unknown[]): number => new Set(of).size
    // By chance two may be alike.
    expect(different(server.questions.map(({ id }) => id))).toBeGreaterThan(17)
    expect(different(server.questions.map(({ sent }) => sent))).toBeGreaterThan(10)
    const ports = async (): Promise<number> => {
      await world.client.ask(at, QUESTION, PATIENT)
      return different(server.questions.map(({ client }) => client.port))
    }
    await expect.poll(ports, { timeout: 20_000 }).toBeGreaterThan(1)
  })

  it('answers a thousand questions at once, each its own', async () => {
    const names = Array.from({ length: 1000 }, (_, i) => nameFromText(`n${i}.fi.`))
    const replies = await Promise.all(
      names.map((name) => world.client.ask(at, { name, type: TYPE.DS }, PATIENT)),
    )
    expect(
      replies.every(({ message }, i) => message.question[0]!.name.join() === names[i]!.join()),
    ).toBe(true)
  })

  it('keeps a TCP connection, with many questions on it', async () => {
    const names = Array.from({ length: 50 }, (_, i) => nameFromText(`t${i}.fi.`))
    server.forget()
    const replies = await Promise.all(
      names.map((name) =>
        world.client.ask(at, { name, type: TYPE.DS }, { transport: 'tcp', ...PATIENT }),
      ),
    )
    expect(replies.every(({ message }) => message.rcode === 3)).toBe(true)
    expect(server.questions.map(({ client }) => client.transport)).toEqual(names.map(() => 'tcp'))
    expect(new Set(server.questions.map(({ client }) => JSON.stringify(client))).size).toBe(1)
  })
})

describe('a server that is not', () => {
  const ask = (timeout = TIMEOUT): Promise<unknown> => world.client.ask(at, QUESTION, { timeout })

  it.each([
    ['servfail', 'servfail'],
    ['refused', 'refused'],
    ['drop', 'timeout'],
    ['wrong-id', 'timeout'],
    ['wrong-source', 'timeout'],
    ['wrong-question', 'mismatch'],
    ['wrong-case', 'mismatch'],
    ['garbage', 'mismatch'],
    ['half', 'malformed'],
  ] as const)('%s: %s', async (fault, code) => {
    server.inject(fault)
    const error = await expectFailure(ask(SILENT.has(fault) ? TIMEOUT : 20_000), code)
    expect(error.server).toMatchObject(at)
  })

  it.each(['drop', 'wrong-question', 'garbage', 'half', 'tcp-closes', 'tcp-refuses'] as const)(
    '%s over TCP',
    async (fault) => {
      server.inject(fault, { transport: 'tcp' })
      if (fault === 'tcp-refuses') await world.client.close()
      const work = world.client.ask(at, QUESTION, { timeout: TIMEOUT, transport: 'tcp' })
      const error: unknown = await work.catch((error: unknown) => error)
      expect(error).toMatchObject({ name: 'ResolverError' })
      const { code } = error as { code: string }
      expect(['timeout', 'mismatch', 'malformed', 'network']).toContain(code)
    },
  )

  it('truncated: goes on over TCP', async () => {
    server.inject('truncated')
    const before = world.client.counts.truncated
    expect((await world.client.ask(at, QUESTION, PATIENT)).transport).toBe('tcp')
    expect(world.client.counts.truncated).toBe(before + 1)
  })

  it('twice: takes the answer once', async () => {
    server.inject('twice')
    const { message } = await world.client.ask(at, QUESTION, PATIENT)
    expect(message.answer[0]!.rdata).toEqual(DS)
  })

  it('oversized: is not taken as a datagram, whatever it says; goes on over TCP', async () => {
    server.inject('oversized', { transport: 'udp' })
    const before = world.client.counts
    const reply = await world.client.ask(at, QUESTION, PATIENT)
    expect(reply.transport).toBe('tcp')
    expect(reply.message.answer[0]!.rdata).toEqual(DS)
    const { oversized, truncated } = world.client.counts
    expect([oversized, truncated]).toEqual([before.oversized + 1, before.truncated])
  })

  it('oversized over TCP too: no message is that long, so what comes is malformed', async () => {
    server.inject('oversized')
    await expectFailure(world.client.ask(at, QUESTION, PATIENT), 'malformed')
  })

  it('a datagram as large as was allowed is taken', async () => {
    const fi = world.net.zoneOf(OWNER)
    // 36 bytes and a compressed owner each: what is left to 1232 is less than one more.
    const sizes: number[] = []
    for (let count = 20; count <= 26; count++) {
      fi.delegate(
        OWNER,
        Array.from({ length: count }, (_, i) => ownerDs(OWNER, i + 1)),
      )
      const { bytes, transport } = await world.client.ask(at, QUESTION, PATIENT)
      if (transport === 'udp') sizes.push(bytes.length)
      else expect(bytes.length).toBeGreaterThan(1232)
    }
    expect(Math.max(...sizes)).toBeGreaterThan(1232 - 48)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1232)
  })

  it('slow: waits as long as it is told', async () => {
    server.inject({ delay: 2 * TIMEOUT })
    await expectFailure(ask(), 'timeout')
    expect(await world.client.ask(at, QUESTION, { timeout: 20_000 })).toBeDefined()
  })

  it('counts what is late as stray', async () => {
    server.inject({ delay: TIMEOUT })
    const { stray } = world.client.counts
    const late = world.client.ask(at, QUESTION, { timeout: TIMEOUT / 4 })
    // Keeps the socket open.
    const other = world.client.ask(at, QUESTION, PATIENT)
    await expectFailure(late, 'timeout')
    await other
    expect(world.client.counts.stray).toBeGreaterThan(stray)
  })

  it('is answered for by nobody else, however many guess', async () => {
    const seen: string[] = []
    const forger = createSocket('udp4')
    onTestFinished(() => void forger.close())
    forger.on('message', (query, { address, port }) => {
      const reply = Buffer.from(query.subarray(0, questionEnd(QUESTION)))
      reply[2]! |= 0x80
      reply[11] = 0
      const send = (change: (copy: Buffer) => void): void => {
        const copy = Buffer.from(reply)
        change(copy)
        forger.send(copy, port, address)
      }
      for (let i = 1; i <= 200; i++) send((copy) => copy.writeUInt16BE(copy.readUInt16BE() ^ i))
      send((copy) => (copy[13]! ^= 1))
      send((copy) => (copy[2]! &= 0x7f))
      send(() => {})
      send((copy) => copy.writeUInt16BE(copy.readUInt16BE() ^ 1))
    })
    await new Promise<void>((resolve) => forger.bind(0, '127.0.0.1', resolve))
    const client = new DnsClient({ permits: () => true, onUnwanted: (what) => seen.push(what) })
    onTestFinished(() => client.close())
    const { port } = forger.address()
    const reply = await client.ask({ address: '127.0.0.1', port }, QUESTION, PATIENT)
    expect(reply.message).toMatchObject({ rcode: 0, answer: [] })
    const { counts } = client
    // The last guess comes behind the answer, so perhaps after this socket was read.
    expect([203, 204]).toContain(counts.received)
    expect(counts).toMatchObject({ stray: counts.received - 3, mismatched: 2, timeouts: 0 })
    expect(seen.filter((what) => what === 'stray')).toHaveLength(counts.stray)
    expect(seen.filter((what) => what === 'mismatched')).toHaveLength(2)
  })

  it('does not listen: fails at once', async () => {
    const closed = { address: '127.0.0.9', port: await freePort() }
    const started = performance.now()
    await expectFailure(world.client.ask(closed, QUESTION, { timeout: 20_000 }), 'network')
    await expectFailure(world.client.ask(closed, QUESTION, { transport: 'tcp' }), 'network')
    expect(performance.now() - started).toBeLessThan(15_000)
  })
})

describe('a process that stands still', () => {
  const IMPATIENT = { timeout: 500 }
  let thread: Worker
  let elsewhere: Server

  beforeAll(async () => {
    thread = new Worker(ANSWERING, { eval: true })
    const [port] = (await once(thread, 'message')) as [number]
    elsewhere = { address: '127.0.0.1', port }
  })
  afterAll(() => thread.terminate())

  it('finds the answers that wait in its socket, however long it works on each', async () => {
    const { timeouts } = world.client.counts
    const asked = Array.from({ length: 200 }, async () => {
      await world.client.ask(elsewhere, QUESTION, IMPATIENT)
      standStill(10)
    })
    await new Promise((resolve) => setImmediate(resolve))
    standStill(2 * IMPATIENT.timeout)
    await Promise.all(asked)
    expect(world.client.counts.timeouts).toBe(timeouts)
  })

  it('asks over a connection that was opened meanwhile', async () => {
    const work = world.client.ask(elsewhere, QUESTION, { ...IMPATIENT, transport: 'tcp' })
    standStill(2 * IMPATIENT.timeout)
    expect((await work).transport).toBe('tcp')
  })

  it('gives up all the same who does not answer', async () => {
    server.inject('drop')
    for (const transport of ['udp', 'tcp'] as const) {
      const work = world.client.ask(at, QUESTION, { timeout: TIMEOUT, transport })
      const failure = expectFailure(work, 'timeout')
      standStill(2 * TIMEOUT)
      await failure
    }
  })
})

describe('limits', () => {
  it('asks no special-purpose address, literal forms and mapped ones included', async () => {
    const strict = new DnsClient()
    onTestFinished(() => strict.close())
    const addresses = ['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', '::ffff:127.0.0.1']
    for (const address of [...addresses, '127.1', 'localhost', '64:ff9b::a00:1', 'fe80::1%lo']) {
      const error = await expectFailure(strict.ask({ address }, QUESTION), 'forbidden-address')
      expect(error.message).toContain(address)
    }
    expect(strict.open).toBe(0)
  })

  it('gives up when it is told to', async () => {
    server.inject('drop')
    for (const transport of ['udp', 'tcp'] as const) {
      const controller = new AbortController()
      const { signal } = controller
      const work = world.client.ask(at, QUESTION, { signal, transport, timeout: MINUTE })
      controller.abort(new Error('enough'))
      const error = await expectFailure(work, 'aborted')
      expect(error.cause).toMatchObject({ message: 'enough' })
      await expectFailure(world.client.ask(at, QUESTION, { signal }), 'aborted')
    }
  })

  it('does not send what is given up before', async () => {
    await world.client.ask(at, QUESTION, PATIENT)
    const { sent } = world.client.counts
    const controller = new AbortController()
    const { signal } = controller
    const work = world.client.ask(at, QUESTION, { signal, ...PATIENT })
    controller.abort()
    await expectFailure(work, 'aborted')
    await world.client.ask(at, QUESTION, PATIENT)
    expect(world.client.counts.sent).toBe(sent + 1)
  })

  it('ends what is under way when it is closed', async () => {
    server.inject('drop')
    const client = new DnsClient({ port: world.servers.port, permits: () => true })
    const work = ['udp', 'tcp'] as const
    const asked = work.map((transport) => client.ask(at, QUESTION, { transport, timeout: MINUTE }))
    const failures = asked.map((each) => expectFailure(each, 'aborted'))
    await client.close()
    await Promise.all(failures)
    expect(client.open).toBe(0)
  })

  it('is busy where too much is open', async () => {
    const silent = createSocket('udp4')
    onTestFinished(() => void silent.close())
    await new Promise<void>((resolve) => silent.bind(0, '0.0.0.0', resolve))
    const client = new DnsClient({ port: silent.address().port, permits: () => true })
    onTestFinished(() => client.close())
    const asked = Array.from({ length: 600 }, async (_, i) => {
      const address = `127.99.${1 + (i >> 8)}.${i & 255}`
      const work = client.ask({ address }, QUESTION, { timeout: TIMEOUT })
      return work.then(
        () => '',
        (error: unknown) => (error as ResolverError).code,
      )
    })
    const outcomes = await Promise.all(asked)
    expect(outcomes.filter((each) => each === 'busy')).toHaveLength(600 - 512)
  })

  it('closes a connection whose server talks of other things', async () => {
    const chatty = createServer((socket) => {
      socket.on('error', () => {})
      for (let i = 0; i < 64; i++) socket.write(Uint8Array.of(0, 2, i, i))
    })
    onTestFinished(() => void chatty.close())
    const port = await listenOnLoopback(chatty)
    const client = new DnsClient({ permits: () => true })
    onTestFinished(() => client.close())
    const work = client.ask({ address: '127.0.0.1', port }, QUESTION, { transport: 'tcp' })
    await expectFailure(work, 'mismatch')
  })
})

/** A server for a thread of its own: it says that there is nothing, and the port it listens at. */
const ANSWERING = `
  const answered = (message, at) => ((message[at] |= 0x80), message)
  const udp = require('node:dgram').createSocket('udp4')
  udp.on('message', (query, { address, port }) => udp.send(answered(query, 2), port, address))
  const tcp = require('node:net').createServer((connection) =>
    connection.on('data', (framed) => connection.write(answered(framed, 4))))
  tcp.listen(0, '127.0.0.1', () => {
    const { port } = tcp.address()
    udp.bind(port, '127.0.0.1', () => require('node:worker_threads').parentPort.postMessage(port))
  })
`

/** A port nobody listens at. */
async function freePort(): Promise<number> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.9', resolve))
  const { port } = socket.address()
  await new Promise<void>((resolve) => socket.close(() => resolve()))
  return port
}
