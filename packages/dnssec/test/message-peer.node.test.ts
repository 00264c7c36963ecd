/**
 * The message reader against another implementation: what dns-packet encodes, names compressed, is read
 * back here record by record. (dns-packet's own decoder is not fit for evidence; its encoder is sound.)
 */
import { Buffer } from 'node:buffer'
import packet, { type Answer, type Packet } from 'dns-packet'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseMessage } from '../src/message.ts'
import { nameFromText, nameToText } from '../src/name.ts'
import { parseDs, parseNsec, parseRrsig, TYPE } from '../src/records.ts'

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/)
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
const bytes = (size: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: size, maxLength: size }).map((array) => Buffer.from(array))

const ds = fc.record({
  keyTag: fc.nat(0xffff),
  algorithm: fc.constantFrom(8, 13, 15),
  digestType: fc.constant(2),
  digest: bytes(32),
})

const reply = fc.record({
  owner: name,
  zone: name,
  set: fc.array(ds, { minLength: 1, maxLength: 4 }),
})

function messageOf(answers: Answer[], question: string): Packet {
  return {
    type: 'response',
    id: 4711,
    flags: packet.AUTHORITATIVE_ANSWER,
    questions: [{ type: 'DS', name: question }],
    answers,
  }
}

test('DS answers with their signatures', () => {
  fc.assert(
    fc.property(reply, bytes(64), ({ owner, set, zone }, signature) => {
      const records = set.map((data): Answer => ({ type: 'DS', name: owner, ttl: 3600, data }))
      const rrsig: Answer = {
        type: 'RRSIG',
        name: owner,
        ttl: 3600,
        data: {
          typeCovered: 'DS',
          algorithm: 13,
          labels: owner.split('.').length,
          originalTTL: 3600,
          expiration: 1_700_000_000,
          inception: 1_600_000_000,
          keyTag: 1,
          signersName: zone,
          signature,
        },
      }
      const wire = packet.encode(messageOf([...records, rrsig], owner))
      const message = parseMessage(new Uint8Array(wire))
      const asked = { name: nameFromText(`${owner}.`), type: TYPE.DS, class: 1 }
      expect(message).toMatchObject({ qr: true, aa: true, tc: false, rcode: 0, question: [asked] })
      expect(message.answer.map((rr) => nameToText(rr.owner))).toEqual(
        [...records, rrsig].map(() => `${owner}.`),
      )
      for (const [i, { algorithm, digest, digestType, keyTag }] of set.entries()) {
        const read = parseDs(message.answer[i]!.rdata)
        expect(read).toMatchObject({ tag: keyTag, algorithm, digestType })
        expect(Buffer.from(read.digest).equals(digest)).toBe(true)
      }
      const signed = parseRrsig(message.answer.at(-1)!.rdata)
      expect(nameToText(signed.signer)).toBe(`${zone}.`)
      expect(Buffer.from(signed.signature).equals(signature)).toBe(true)
    }),
  )
})

test('NSEC records in the authority section', () => {
  fc.assert(
    fc.property(name, name, (owner, next) => {
      const nsec: Answer = {
        type: 'NSEC',
        name: owner,
        ttl: 60,
        data: { nextDomain: next, rrtypes: ['NS', 'DS', 'RRSIG', 'NSEC'] },
      }
      const wire = packet.encode({ ...messageOf([], owner), authorities: [nsec] })
      const [record] = parseMessage(new Uint8Array(wire)).authority
      const read = parseNsec(record!.rdata)
      expect(nameToText(read.next)).toBe(`${next}.`)
      expect([...read.types]).toEqual([TYPE.NS, TYPE.DS, TYPE.RRSIG, TYPE.NSEC])
    }),
  )
})
