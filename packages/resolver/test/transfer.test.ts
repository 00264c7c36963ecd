/** Zone transfers: whole or not at all, signed where there is a key, within limits. */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server as TcpServer, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { verifyZone } from '@dslog/dnssec/zone'
import { ByteWriter } from '@dslog/tlog/binary'
import { concat } from '@dslog/tlog/bytes'
import type { Server } from '@dslog/resolver/exchange'
import { frame } from '@dslog/resolver/framing'
import { transferZone, type TransferOptions } from '@dslog/resolver/transfer'
import { MAX_UNSIGNED, TsigSession } from '@dslog/resolver/tsig'
import { Internet, record } from '@dslog/testbed/internet'
import type { NameServer } from '@dslog/testbed/nameserver/server'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { DS, expectFailure, OWNER, standStill, type World, worldOf } from './world.ts'

const FI = nameFromText('fi.')
const KEY = {
  name: nameFromText('key.example.'),
  algorithm: 'hmac-sha256',
  secret: new Uint8Array(32).fill(7),
} as const

let world: World
let server: NameServer
let at: Server

beforeAll(async () => {
  const net = new Internet({ servers: 1 })
  const fi = net.addZone('fi.')
  fi.delegate(OWNER, [DS])
  for (let i = 0; i < 500; i++) fi.delegate(nameFromText(`name${i}.fi.`), i % 5 === 0 ? [DS] : [])
  world = await worldOf(net)
  server = world.servers.of(fi)[0]!
  at = { address: server.address, port: world.servers.port }
})
afterEach(() => {
  server.heal()
  server.transfers = 'anybody'
  server.tsigKeys = []
})
afterAll(() => world.stop())

async function transfer(options: TransferOptions = {}, zone = FI): Promise<RR[]> {
  const records: RR[] = []
  const now = world.net.clock.now
  for await (const rr of transferZone(at, zone, { permits: () => true, now, ...options })) {
    records.push(rr)
  }
  return records
}

function text(records: readonly RR[]): string[] {
  return records
    .map(({ owner, type, rdata }) => `${nameToText(owner)} ${type} ${rdata.join()}`)
    .sort()
}

describe('a transfer', () => {
  it('brings the zone, its SOA once, as the zone reader takes it', async () => {
    const records = await transfer()
    expect(records[0]!.type).toBe(TYPE.SOA)
    const zone = world.net.zoneOf(FI)
    expect(text(records)).toEqual(text(zone.zone.records))
    const signed = await verifyZone({
      records,
      zone: FI,
      trust: { ds: zone.dsRecords() },
      at: world.net.clock.now(),
      backend: nodeBackend(),
    })
    expect(signed.delegations).toHaveLength(101)
  })

  it.each(['hmac-sha256', 'hmac-sha512'] as const)('is signed with %s', async (algorithm) => {
    server.transfers = 'signed'
    server.tsigKeys = [{ ...KEY, algorithm }]
    await expectFailure(transfer(), 'refused')
    const records = await transfer({ key: { ...KEY, algorithm } })
    expect(text(records)).toEqual(text(world.net.zoneOf(FI).zone.records))
  })

  it('stops when nobody reads on', async () => {
    for await (const rr of transferZone(at, FI, { permits: () => true })) {
      expect(rr.type).toBe(TYPE.SOA)
      break
    }
  })
})

describe('a server that does not give it', () => {
  it('refuses', async () => {
    server.transfers = 'nobody'
    await expectFailure(transfer(), 'refused')
    await expectFailure(transfer({}, nameFromText('not.here.')), 'rcode')
  })

  it.each([
    ['servfail', 'servfail'],
    ['half', 'malformed'],
    ['wrong-id', 'bad-transfer'],
    ['wrong-question', 'bad-transfer'],
    ['tcp-closes', 'bad-transfer'],
    ['tcp-refuses', 'network'],
  ] as const)('%s: %s', async (fault, code) => {
    server.inject(fault)
    const error: unknown = await transfer().catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'ResolverError', server: { address: server.address } })
    const accepted = fault === 'tcp-refuses' ? [code, 'bad-transfer'] : [code]
    expect(accepted).toContain((error as { code: string }).code)
  })

  it('is slow', async () => {
    server.inject({ delay: 10_000 })
    await expectFailure(transfer({ messageTimeout: 50 }), 'timeout')
    await expectFailure(transfer({ timeout: 50 }), 'timeout')
    const controller = new AbortController()
    const { signal } = controller
    setImmediate(() => controller.abort())
    await expectFailure(transfer({ signal }), 'aborted')
    await expectFailure(transfer({ signal }), 'aborted')
  })

  it('is not there, or not to be asked', async () => {
    const nobody = { address: '127.0.0.1', port: 1 }
    const work = transferZone(nobody, FI, { permits: () => true }).next()
    await expectFailure(work, 'network')
    await expectFailure(transferZone(at, FI).next(), 'forbidden-address')
  })

  it('sends too much', async () => {
    await expectFailure(transfer({ maxBytes: 10_000 }), 'too-large')
  })
})

describe('a signature', () => {
  it('of another key, secret, algorithm or time is none', async () => {
    server.transfers = 'signed'
    server.tsigKeys = [KEY]
    const others = [
      { ...KEY, name: nameFromText('other.example.') },
      { ...KEY, secret: new Uint8Array(32) },
      { ...KEY, algorithm: 'hmac-sha512' },
    ]
    for (const key of others) await expectFailure(transfer({ key }), 'tsig')
    const now = (): number => world.net.clock.now() + 301_000
    await expectFailure(transfer({ key: KEY, now }), 'tsig')
    await expect(transfer({ key: { ...KEY, algorithm: 'hmac-md5' } })).rejects.toThrow(RangeError)
  })

  it('must be there where a key is', async () => {
    // One that ignores signatures altogether.
    const stream = streamOf(() => [zoneMessage([SOA, SOA])])
    await expectFailure(stream({ key: KEY }), 'tsig')
  })

  it('covers every byte of every message', () => {
    const session = new TsigSession(KEY, () => 1_700_000_000_000)
    const query = session.sign(zoneMessage([], 0x0000))
    const signed = signReply(query, [zoneMessage([SOA]), zoneMessage([NS]), zoneMessage([SOA])])
    const check = (messages: readonly Uint8Array[]): void => {
      const fresh = new TsigSession(KEY, () => 1_700_000_000_000)
      fresh.sign(zoneMessage([], 0x0000))
      for (const message of messages) fresh.open(message)
      fresh.done()
    }
    expect(() => check(signed)).not.toThrow()
    for (const [i, message] of signed.entries()) {
      for (let at = 2; at < message.length; at++) {
        const changed = signed.map((each) => each.slice())
        changed[i]![at]! ^= 1
        expect(() => check(changed), `${i} ${at}`).toThrow(/TSIG|malformed/)
      }
    }
    const [first, second, third] = signed as [Uint8Array, Uint8Array, Uint8Array]
    expect(() => check([first, third])).toThrow('wrong')
    expect(() => check([first, second])).toThrow('last message')
    expect(() => check([second, third])).toThrow('first message')
    expect(() => check([])).toThrow('last message')
  })

  it('may be missing from 99 messages in a row, not more', () => {
    const session = new TsigSession(KEY, () => 1_700_000_000_000)
    const query = session.sign(zoneMessage([], 0x0000))
    const [first] = signReply(query, [zoneMessage([SOA])])
    session.open(first!)
    for (let i = 0; i < MAX_UNSIGNED; i++) session.open(zoneMessage([NS]))
    expect(() => session.open(zoneMessage([NS]))).toThrow('unsigned')
  })
})

const SOA = record('fi.', 'SOA', 'ns.fi. h.fi. 7 1 1 1 1')
const OTHER_SOA = record('fi.', 'SOA', 'ns.fi. h.fi. 8 1 1 1 1')
const NS = record('fi.', 'NS', 'ns.fi.')

describe('a stream that is no zone', () => {
  const streams: [string, () => Uint8Array[], string][] = [
    ['nothing', () => [], 'bad-transfer'],
    ['no SOA first', () => [zoneMessage([NS, SOA])], 'bad-transfer'],
    [
      'the SOA of another zone',
      () => [zoneMessage([record('se.', 'SOA', 'a. b. 1 1 1 1 1')])],
      'bad-transfer',
    ],
    ['no SOA last', () => [zoneMessage([SOA, NS])], 'bad-transfer'],
    ['another SOA last', () => [zoneMessage([SOA, NS]), zoneMessage([OTHER_SOA])], 'bad-transfer'],
    ['more behind its end', () => [zoneMessage([SOA, NS, SOA, NS])], 'bad-transfer'],
    ['an empty message', () => [zoneMessage([SOA]), zoneMessage([])], 'bad-transfer'],
    ['an empty frame', () => [zoneMessage([SOA]), new Uint8Array(0)], 'malformed'],
    ['a truncated message', () => [zoneMessage([SOA]), zoneMessage([NS], 0x8600)], 'truncated'],
    ['a query', () => [zoneMessage([SOA], 0x0000)], 'bad-transfer'],
    ['a failure under way', () => [zoneMessage([SOA]), zoneMessage([NS], 0x8402)], 'servfail'],
  ]

  it.each(streams)('%s', async (_, messages, code) => {
    const error = (await streamOf(messages)().catch((error: unknown) => error)) as { code: string }
    expect(error).toMatchObject({ name: 'ResolverError', code })
  })

  it('dribbles bytes for ever', async () => {
    const drips: NodeJS.Timeout[] = []
    const work = streamOf(
      () => [],
      (socket) => {
        socket.write(Uint8Array.of(255, 255))
        drips.push(setInterval(() => socket.write(Uint8Array.of(0)), 5))
      },
    )
    onTestFinished(() => drips.forEach((drip) => clearInterval(drip)))
    await expectFailure(work({ messageTimeout: 100 }), 'timeout')
  })

  it('is not blamed for the time in which we stand still', async () => {
    const thread = new Worker(ANSWERING, {
      eval: true,
      workerData: frame(zoneMessage([SOA, NS, SOA])),
    })
    onTestFinished(async () => void (await thread.terminate()))
    const [port] = (await once(thread, 'message')) as [number]
    const impatient = { permits: () => true, messageTimeout: 500, timeout: 500 }
    const work = transferZone({ address: '127.0.0.1', port }, FI, impatient)
    const first = work.next()
    // It is connected meanwhile, and not asked yet.
    standStill(1_500)
    expect((await first).value).toMatchObject({ type: TYPE.SOA })
    expect((await work.next()).value).toMatchObject({ type: TYPE.NS })
    expect((await work.next()).done).toBe(true)
  })

  it('is cut at any byte', async () => {
    const whole = frame(zoneMessage([SOA, NS, SOA]))
    for (let end = 0; end < whole.length; end += 7) {
      const work = streamOf(
        () => [],
        (socket) => socket.end(whole.subarray(0, end)),
      )
      await expectFailure(work(), 'bad-transfer')
    }
  })
})

const ID = 0

/** A server of its own thread, which answers whatever happens here. */
const ANSWERING = `
const { parentPort, workerData } = require('node:worker_threads')
const server = require('node:net').createServer((socket) => {
  socket.once('data', (query) => {
    const message = Buffer.from(workerData)
    query.copy(message, 2, 2, 4)
    socket.end(message)
  })
})
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

/** A message of a transfer of `fi.` with id 0 and no question; `streamOf` puts in the id asked. */
function zoneMessage(records: readonly RR[], flags = 0x8400): Uint8Array {
  const writer = new ByteWriter().u16(ID).u16(flags).u16(1).u16(records.length).u16(0).u16(0)
  writer.bytes(FI).u16(252).u16(1)
  for (const { owner, type, ttl, rdata } of records) {
    writer.bytes(owner).u16(type).u16(1).u32(ttl).u16(rdata.length).bytes(rdata)
  }
  return writer.finish()
}

/** A server that answers with these messages, and then closes unless it does something else. */
function streamOf(
  messages: () => readonly Uint8Array[],
  then: (socket: Socket) => void = (socket) => socket.end(),
): (options?: TransferOptions) => Promise<RR[]> {
  return async (options = {}) => {
    const listener: TcpServer = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', (query: Uint8Array) => {
        for (const message of messages()) {
          message.set(query.subarray(2, 4).subarray(0, message.length))
          socket.write(frame(message))
        }
        then(socket)
      })
    })
    const port = await listenOnLoopback(listener)
    try {
      const records: RR[] = []
      const stream = transferZone({ address: '127.0.0.1', port }, FI, {
        permits: () => true,
        ...options,
      })
      for await (const rr of stream) records.push(rr)
      return records
    } finally {
      listener.close()
    }
  }
}

/** Signs the first and the last of some replies, as a server may (RFC 8945 §5.3.1). */
function signReply(query: Uint8Array, messages: readonly Uint8Array[]): Uint8Array[] {
  const algorithm = nameFromText(KEY.algorithm)
  const time = new ByteWriter().u16(0).u32(1_700_000_000).finish()
  const head = concat(KEY.name, new ByteWriter().u16(255).u32(0).bytes(algorithm).finish())
  const whole = concat(head, time, new ByteWriter().u16(300).u16(0).u16(0).finish())
  const short = concat(time, new ByteWriter().u16(300).finish())
  // RDATA of the query: algorithm, time, fudge, size, MAC, id, error, other.
  let previous = query.slice(query.length - 6 - 32, query.length - 6)
  let pending: Uint8Array[] = []
  return messages.map((message, i) => {
    pending.push(message)
    if (i !== 0 && i !== messages.length - 1) return message
    const hmac = createHmac('sha256', KEY.secret).update(Uint8Array.of(0, 32)).update(previous)
    for (const each of pending) hmac.update(each)
    const mac = new Uint8Array(hmac.update(i === 0 ? whole : short).digest())
    previous = mac
    pending = []
    const rdata = new ByteWriter().bytes(algorithm).bytes(time).u16(300).u16(32).bytes(mac)
    const data = rdata.u16(ID).u16(0).u16(0).finish()
    const rr = new ByteWriter()
      .bytes(KEY.name)
      .u16(250)
      .u16(255)
      .u32(0)
      .u16(data.length)
      .bytes(data)
    const out = concat(message, rr.finish())
    out[11]! += 1
    return out
  })
}
