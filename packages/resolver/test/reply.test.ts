/** Replies by strangers: every prefix, every byte, and noise. */
import fc from 'fast-check'
import { DnssecError } from '@dslog/dnssec/error'
import { parseMessage } from '@dslog/dnssec/message'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { EvidenceCollector } from '@dslog/resolver/collect'
import { ResolverError } from '@dslog/resolver/error'
import type { Exchange, Question, Reply } from '@dslog/resolver/exchange'
import { Deframer, frame } from '@dslog/resolver/framing'
import { encodeQuery, questionEnd } from '@dslog/resolver/query'
import { whereaboutsOf } from '@dslog/resolver/referral'
import { idOf, isReplyTo, isTruncated, readReply, walkRecords } from '@dslog/resolver/reply'
import { Internet } from '@dslog/testbed/internet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DS, OWNER, type World, worldOf } from './world.ts'

const ABSENT = nameFromText('absent.fi.')
const FI = nameFromText('fi.')

let world: World
/** A DS, a denial, a referral, keys. */
let replies: { readonly question: Question; readonly bytes: Uint8Array }[]

beforeAll(async () => {
  const net = new Internet({ servers: 1 })
  net.addZone('fi.', { denial: { nsec3: {} } }).delegate(OWNER, [DS])
  world = await worldOf(net)
  const [server] = world.servers.of(net.zoneOf(FI))
  const questions = [
    { name: OWNER, type: TYPE.DS },
    { name: ABSENT, type: TYPE.DS },
    { name: nameFromText('www', OWNER), type: TYPE.A },
    { name: FI, type: TYPE.DNSKEY },
  ]
  replies = await Promise.all(
    questions.map(async (question) => {
      const { bytes } = await world.client.ask({ address: server!.address }, question, {
        timeout: 20_000,
      })
      return { question, bytes }
    }),
  )
})
afterAll(() => world.stop())

/** What the exchanges do with a message: a reply, an error, or nothing. */
function take(
  bytes: Uint8Array,
  question: Question,
  id: number,
): Reply | ResolverError | undefined {
  const query = encodeQuery(question, id)
  const end = questionEnd(question)
  if (idOf(bytes) !== id || !isReplyTo(bytes, query, end, false)) return undefined
  if (isTruncated(bytes)) return undefined
  const server = { address: '192.0.2.1' }
  return readReply(bytes, end, { question, server, transport: 'udp', rtt: 0 })
}

function parsed(bytes: Uint8Array): number | undefined {
  try {
    return parseMessage(bytes).rcode
  } catch (error) {
    expect(error).toBeInstanceOf(DnssecError)
    return undefined
  }
}

/** The walk lets pass what the parser takes, with the same RCODE, and throws nothing. */
function checkAgreement(bytes: Uint8Array, end: number): void {
  const rcode = walkRecords(bytes, end)
  const strict = parsed(bytes)
  if (strict !== undefined) expect(rcode).toBe(strict)
}

describe('a reply', () => {
  it('is taken as it came', () => {
    for (const { bytes, question } of replies) {
      const reply = take(bytes, question, idOf(bytes)!) as Reply
      expect(reply.bytes).toBe(bytes)
      expect(reply.message).toEqual(parseMessage(bytes))
      expect(reply.message).toBe(reply.message)
    }
  })

  it('is refused at every prefix', () => {
    for (const { bytes, question } of replies) {
      for (let end = 0; end < bytes.length; end++) {
        const taken = take(bytes.slice(0, end), question, idOf(bytes)!)
        if (end < questionEnd(question)) expect(taken, `${end}`).toBeUndefined()
        else expect(taken, `${end}`).toMatchObject({ code: 'malformed' })
      }
    }
  })

  it('is refused with bytes behind its end', () => {
    for (const { bytes, question } of replies) {
      const longer = new Uint8Array(bytes.length + 1)
      longer.set(bytes)
      expect(take(longer, question, idOf(bytes)!)).toMatchObject({ code: 'malformed' })
    }
  })

  it('is another with any bit of its id, its flags or its question changed', () => {
    for (const { bytes, question } of replies) {
      const end = questionEnd(question)
      for (const at of [0, 1, 4, 5, ...Array.from({ length: end - 12 }, (_, i) => 12 + i)]) {
        for (let bit = 0; bit < 8; bit++) {
          const changed = bytes.slice()
          changed[at]! ^= 1 << bit
          // Names have no case, unless the query had.
          const isCase = bit === 5 && /[a-z]/i.test(String.fromCharCode(bytes[at]!))
          if (at >= 12 && isCase) continue
          expect(take(changed, question, idOf(bytes)!), `${at} ${bit}`).toBeUndefined()
        }
      }
      const exact = encodeQuery(question, idOf(bytes)!)
      exact.set(bytes.subarray(12, end), 12)
      expect(isReplyTo(bytes, exact, end, true)).toBe(true)
      const first = 12 + 1
      const other = bytes.slice()
      other[first]! ^= 0x20
      expect(isReplyTo(other, exact, end, true)).toBe(false)
      expect(isReplyTo(other, exact, end, false)).toBe(true)
    }
  })

  it('is walked as it is parsed, whatever byte is changed', () => {
    for (const { bytes, question } of replies) {
      const end = questionEnd(question)
      for (let at = 2; at < bytes.length; at++) {
        for (const value of [0, 1, 0x3f, 0x40, 0xc0, 0xff, bytes[at]! ^ 1, bytes[at]! ^ 0x80]) {
          const changed = bytes.slice()
          changed[at] = value
          checkAgreement(changed, end)
          const taken = take(changed, question, idOf(bytes)!)
          if (taken === undefined || taken instanceof ResolverError) continue
          try {
            whereaboutsOf(taken, FI, question.name)
          } catch (error) {
            expect(error).toBeInstanceOf(ResolverError)
          }
        }
      }
    }
  })

  it('may be noise', () => {
    const { bytes, question } = replies[0]!
    const head = bytes.slice(0, questionEnd(question))
    const counts = fc.uint8Array({ minLength: 6, maxLength: 6 })
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 600 }),
        counts,
        fc.boolean(),
        (noise, some, keepsHead) => {
          const message = new Uint8Array(head.length + noise.length)
          message.set(head)
          message.set(some, 6)
          message.set(noise, head.length)
          const sent = keepsHead ? message : noise
          const taken = take(sent, question, idOf(bytes)!)
          checkAgreement(sent.length < 12 ? message : sent, head.length)
          if (taken instanceof ResolverError || taken === undefined) return
          expect(() => taken.message).toSatisfy((read: () => unknown) => {
            try {
              return read() !== undefined
            } catch (error) {
              return error instanceof ResolverError && error.code === 'malformed'
            }
          })
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('never proves another state, whatever byte is changed', async () => {
    const { walker, net } = world
    const parent = await walker.parentOf(OWNER)
    let sent: Uint8Array | undefined
    const lying: Exchange = {
      ask: (server, question, options) => {
        const isOurs = sent !== undefined && question.type === TYPE.DS && question.name.length > 5
        if (!isOurs) return world.client.ask(server, question, options)
        const taken = take(sent!, question, idOf(sent!)!)
        if (taken instanceof ResolverError) return Promise.reject(taken)
        const error = new ResolverError('timeout', 'nothing')
        return taken === undefined ? Promise.reject(error) : Promise.resolve(taken)
      },
      close: () => Promise.resolve(),
    }
    const collector = new EvidenceCollector({
      exchange: lying,
      walker,
      anchors: net.anchors,
      backend: nodeBackend(),
      now: net.clock.now,
    })
    const server = parent.servers[0]!
    for (const [i, owner] of [OWNER, ABSENT].entries()) {
      const expected = i === 0 ? 'present' : 'absent'
      const { bytes } = replies[i]!
      for (let at = 0; at < bytes.length; at++) {
        sent = bytes.slice()
        sent[at]! ^= 1
        try {
          const { verdict } = await collector.delegation(owner, parent, { server })
          expect(verdict.verdict).toBe(expected)
          if (verdict.verdict === 'present') expect(verdict.ds).toEqual([DS])
        } catch (error) {
          expect(error).toBeInstanceOf(ResolverError)
        }
      }
    }
  })
})

describe('frames', () => {
  it('are put together, however they are cut', () => {
    const message = fc.uint8Array({ maxLength: 300 })
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.infiniteStream(fc.nat(40)),
        (messages, cuts) => {
          const stream = Buffer.concat(messages.map(frame))
          const deframer = new Deframer()
          const out: Uint8Array[] = []
          for (let at = 0; at < stream.length;) {
            const { value } = cuts.next() as { value: number }
            out.push(...deframer.push(new Uint8Array(stream.subarray(at, at + value + 1))))
            at += value + 1
          }
          expect(out).toEqual(messages)
          expect(deframer.isBetween).toBe(true)
        },
      ),
    )
  })

  it('are not there before they are whole', () => {
    const whole = frame(Uint8Array.of(1, 2, 3))
    for (let end = 1; end < whole.length; end++) {
      const deframer = new Deframer()
      expect(deframer.push(whole.subarray(0, end))).toEqual([])
      expect(deframer.isBetween).toBe(false)
    }
    expect(() => frame(new Uint8Array(65_536))).toThrow(RangeError)
  })
})
