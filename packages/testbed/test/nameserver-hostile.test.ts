/** What strangers send to a name server: whatever it is, the server answers the next question. */
import { ByteWriter } from '@dslog/tlog/binary'
import { concat } from '@dslog/tlog/bytes'
import { parseMessage } from '@dslog/dnssec/message'
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { encodeRecord } from '@dslog/dnssec/wire'
import fc from 'fast-check'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
} from 'vitest'
import { encodeQuery, TcpAsker, UdpAsker } from '../src/asker.ts'
import { Internet, record } from '../src/internet.ts'
import { NameServers } from '../src/nameserver.ts'
import { framed, optRecord } from '../src/nameserver/packet.ts'
import type { NameServer } from '../src/nameserver/server.ts'

const net = new Internet({ servers: 1 })
const fi = net.addZone('fi.', { denial: { nsec3: {} } })
let servers: NameServers
let server: NameServer
let udp: UdpAsker

beforeAll(async () => {
  servers = await NameServers.start(net)
  ;[server] = servers.of(fi) as [NameServer]
})
beforeEach(async () => {
  udp = await UdpAsker.open(server.address, servers.port)
})
afterEach(() => udp.close())
afterAll(() => servers.stop())

const QUERY = encodeQuery({ name: 'example.fi.', id: 1 })
const HEADER_BYTES = 12

/** A message of these counts: header, then the bytes. */
function message(counts: readonly number[], ...parts: readonly Uint8Array[]): Uint8Array {
  const header = new ByteWriter().u16(7).u16(0)
  for (const count of counts) header.u16(count)
  return concat(header.finish(), ...parts)
}

const question = new ByteWriter().bytes(nameFromText('example.fi.')).u16(43).u16(1).finish()
const opt = encodeRecord(optRecord(1232, true, 0))

/** What comes first after these bytes and a right question: the answer to which of the two? */
async function firstAnswer(bytes: Uint8Array): Promise<{ id: number; rcode: number }> {
  udp.send(bytes)
  udp.send(encodeQuery({ name: 'fi.', type: TYPE.SOA, id: 0xffff }))
  const { id, rcode } = parseMessage((await udp.next()).bytes)
  return { id, rcode }
}

describe('a question that is none', () => {
  const ignored = { id: 0xffff, rcode: 0 }
  const refused = { id: 7, rcode: 1 }
  test.each<[string, Uint8Array, { id: number; rcode: number }]>([
    ['nothing', new Uint8Array(), ignored],
    ['half a header', message([1, 0, 0, 0]).subarray(0, 11), ignored],
    [
      'an answer',
      concat(Uint8Array.of(0, 7, 0x84, 0), message([1, 0, 0, 0], question).subarray(4)),
      ignored,
    ],
    ['a header alone', message([0, 0, 0, 0]), refused],
    ['two questions', message([2, 0, 0, 0], question, question), refused],
    ['a question promised', message([1, 0, 0, 0]), refused],
    ['65,535 questions promised', message([0xffff, 0xffff, 0xffff, 0xffff], question), refused],
    ['records promised', message([1, 0xffff, 0xffff, 0xffff], question, opt), refused],
    ['bytes behind the last', message([1, 0, 0, 0], question, Uint8Array.of(0)), refused],
    [
      'a name that points at itself',
      message([1, 0, 0, 0], Uint8Array.of(0xc0, 12, 0, 43, 0, 1)),
      refused,
    ],
    [
      'a name that points ahead',
      message([1, 0, 0, 0], Uint8Array.of(0xc0, 14, 0xc0, 12, 0, 43, 0, 1)),
      refused,
    ],
    [
      'a record whose name points at itself',
      message([1, 0, 0, 1], question, Uint8Array.of(0xc0, 28, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0)),
      refused,
    ],
    [
      'a label of a reserved type',
      message([1, 0, 0, 0], Uint8Array.of(0x41, 1, 0, 43, 0, 1)),
      refused,
    ],
    ['a name without end', message([1, 0, 0, 0], new Uint8Array(400).fill(1)), refused],
    [
      'a record longer than the message',
      message([1, 0, 0, 1], question, opt.subarray(0, 9), Uint8Array.of(0xff, 0xff)),
      refused,
    ],
    ['two OPT', message([1, 0, 0, 2], question, opt, opt), refused],
    ['an OPT in the answer', message([1, 1, 0, 0], question, opt), refused],
    ['an OPT with a name', message([1, 0, 0, 1], question, Uint8Array.of(1, 97), opt), refused],
    [
      'a TSIG of garbage',
      message([1, 0, 0, 1], question, Uint8Array.of(0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 3, 1, 2, 3)),
      refused,
    ],
    [
      'records behind a TSIG',
      message([1, 0, 0, 2], question, Uint8Array.of(0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0), opt),
      refused,
    ],
  ])('%s', async (_, bytes, expected) => {
    expect(await firstAnswer(bytes)).toEqual(expected)
  })
})

describe('a question for something else', () => {
  test.each<[string, Uint8Array, number]>([
    ['another class', encodeQuery({ name: 'fi.', class: 3, id: 7 }), 5],
    ['another operation', encodeQuery({ name: 'fi.', flags: 4 << 11, id: 7 }), 4],
    ['a zone of others', encodeQuery({ name: 'example.se.', id: 7 }), 5],
    [
      'EDNS of a later version',
      message([1, 0, 0, 1], question, opt.subarray(0, 6), Uint8Array.of(1), opt.subarray(7)),
      16,
    ],
  ])('%s', async (_, bytes, rcode) => {
    expect(await firstAnswer(bytes)).toEqual({ id: 7, rcode })
  })

  test('answers without OPT to who sent none, and 512 bytes at most', async () => {
    udp.send(encodeQuery({ name: 'fi.', type: TYPE.DNSKEY, size: undefined }))
    const { bytes } = await udp.next()
    expect(bytes.length).toBeLessThanOrEqual(512)
    expect(parseMessage(bytes)).toMatchObject({ tc: false, additional: [] })
    fi.add(record('text.fi.', 'TXT', `"${'x'.repeat(255)}" "${'y'.repeat(255)}"`))
    udp.send(encodeQuery({ name: 'text.fi.', type: TYPE.TXT, size: 100 }))
    const small = parseMessage((await udp.next()).bytes)
    expect(small).toMatchObject({ tc: true, answer: [], authority: [] })
    expect(small.additional).toHaveLength(1)
  })
})

describe('anything', () => {
  const client = { address: '127.0.0.1', port: 1, transport: 'udp' } as const
  const react = (bytes: Uint8Array): Uint8Array[] => [
    ...(server.react(bytes, client)?.messages ?? []),
  ]

  /** No reply, or one that is well-formed. */
  function expectSane(bytes: Uint8Array): void {
    for (const reply of react(bytes)) expect(parseMessage(reply).qr).toBe(true)
  }

  test('random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), expectSane), { numRuns: 2000 })
  })

  test('random bytes behind a header that promises what it likes', () => {
    const bytes = fc.tuple(
      fc.uint8Array({ minLength: 8, maxLength: 8 }),
      fc.uint8Array({ maxLength: 200 }),
    )
    const property = fc.property(bytes, ([counts, rest]) => {
      expectSane(
        concat(
          Uint8Array.of(0, 7, 0, 0),
          counts.map((byte, i) => (i % 2 === 0 ? byte & 1 : byte)),
          rest,
        ),
      )
    })
    fc.assert(property, { numRuns: 2000 })
  })

  test('each prefix and each changed bit of a question', () => {
    for (let end = 0; end < QUERY.length; end++) expectSane(QUERY.subarray(0, end))
    for (let i = HEADER_BYTES; i < QUERY.length; i++) {
      for (let bit = 0; bit < 8; bit++) {
        expectSane(Uint8Array.from(QUERY, (byte, at) => (at === i ? byte ^ (1 << bit) : byte)))
      }
    }
  })
})

describe('a connection', () => {
  test('brings questions in pieces, and many at once', async () => {
    const tcp = await TcpAsker.open(server.address, servers.port)
    onTestFinished(() => tcp.close())
    const bytes = framed(QUERY)
    for (const byte of bytes.subarray(0, 5)) tcp.write(Uint8Array.of(byte))
    tcp.write(bytes.subarray(5))
    expect(parseMessage((await tcp.next())!).id).toBe(1)
    const ids = Array.from({ length: 100 }, (_, i) => i)
    tcp.write(concat(...ids.map((id) => framed(encodeQuery({ name: 'fi.', id })))))
    for (const id of ids) expect(parseMessage((await tcp.next())!).id).toBe(id)
  })

  test('brings nonsense, ends in the middle, or is reset', async () => {
    const nonsense = [
      new Uint8Array(2),
      framed(new Uint8Array(3)),
      framed(new Uint8Array(0xffff)),
      Uint8Array.of(0xff, 0xff, 1, 2, 3),
    ]
    for (const bytes of nonsense) {
      const tcp = await TcpAsker.open(server.address, servers.port)
      tcp.write(bytes)
      tcp.close()
    }
    const tcp = await TcpAsker.open(server.address, servers.port)
    onTestFinished(() => tcp.close())
    tcp.write(new Uint8Array(2))
    tcp.write(framed(new Uint8Array(100)))
    // Zeros are a header without a question: FORMERR.
    expect(parseMessage((await tcp.next())!)).toMatchObject({ id: 0, rcode: 1 })
    expect(await tcp.ask({ name: 'fi.', type: TYPE.SOA })).toMatchObject({ rcode: 0, aa: true })
  })
})
