/**
 * Owner keys in the DNS: whose pins are shown in public, and whose never; and how the probe comes by the
 * text, from servers that answer what they like.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { fromBase64, utf8 } from '@dslog/tlog/bytes'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { CLASS_IN, type RR, TYPE } from '@dslog/dnssec/records'
import { DAY, HOUR } from '@dslog/schema/time'
import { type Ed25519Signer, ed25519Signer } from '@dslog/service/crypto'
import { encodePins, ownerText, type Pin, pinFromText, verifyPins } from '@dslog/verify/pins'
import { lookForOwner, ownerTextName, publicPins, SEEN_MS, SETTLED_MS } from '../src/ownertext.ts'
import { Pins } from '../src/pins.ts'
import { ORIGIN } from './post.ts'
import { rogueKey, Stage } from './scenario/stage.ts'
import { place, type Place } from './world.ts'

let home: Place
let stage: Stage
beforeAll(async () => {
  home = await place()
})
beforeEach(async () => {
  stage = await Stage.set(home)
})
afterEach(() => stage.close())
afterAll(() => home.close())

/** An owner key. */
function newOwner(): Ed25519Signer {
  return ed25519Signer(randomBytes(32))
}

/** The owner pins the key of the child, as the API takes it. */
async function pin(owner: Ed25519Signer, seq = 1): Promise<void> {
  const now = stage.net.clock.now()
  const pins: Pin[] = stage.child.entryKeys().map(({ rdata }) => ({ kind: 'dnskey', rdata }))
  const statement = { origin: ORIGIN, name: stage.name, seq, notAfter: now + 90 * DAY, pins }
  const signature = owner.sign(encodePins(statement))
  const subscription = await home.db.kysely
    .selectFrom('subscription')
    .selectAll()
    .where('id', '=', 'owner')
    .executeTakeFirstOrThrow()
  const { notAfter } = statement
  const signed = { ownerKey: owner.publicKey, signature, seq, notAfter, pins }
  await new Pins(home.db, stage.net.clock.now, ORIGIN).set(subscription, signed)
}

/** The child has these texts at `_dslog`, in strings of that length. */
function publish(texts: readonly string[], stringBytes = 255): void {
  const owner = ownerTextName(stage.name)!
  stage.child.remove(owner, TYPE.TXT)
  for (const text of texts) {
    const strings = text.match(new RegExp(`.{1,${stringBytes}}`, 'g')) ?? []
    const rdata = Uint8Array.from(strings.flatMap((part) => [part.length, ...utf8(part)]))
    stage.child.add({ owner, type: TYPE.TXT, class: CLASS_IN, ttl: 60, rdata })
  }
}

const asked: Name[] = []

/** The probe looks; servers have the text as the child has it, or as told. */
async function look(servers: readonly (readonly RR[] | undefined)[] = [text()]): Promise<void> {
  asked.length = 0
  await lookForOwner({
    db: home.db,
    name: stage.name,
    answers: [stage.answersOf(stage.child)],
    async ask(name) {
      asked.push(name)
      return servers
    },
    at: stage.net.clock.now(),
    backend: nodeBackend(),
  })
}

/** The child's own answer. */
function text(): readonly RR[] {
  return stage.child.zone.rrset(ownerTextName(stage.name)!, TYPE.TXT)
}

async function shown(): Promise<number[]> {
  const pins = await publicPins(home.db, stage.name, stage.net.clock.now())
  return pins.map(({ seq }) => seq)
}

/** An owner who has pinned, whose pins count, and whose text is in the zone. */
async function settled() {
  const owner = newOwner()
  await pin(owner)
  publish([ownerText(owner.publicKey)])
  stage.net.clock.advance(SETTLED_MS)
  return owner
}

describe('pins are public', () => {
  test('when their owner key is in the signed zone, with a signature that anybody can check', async () => {
    const { publicKey: ownerKey } = await settled()
    await look()
    expect(await shown()).toEqual([1])
    const [pins] = await publicPins(home.db, stage.name, stage.net.clock.now())
    const { not_after: notAfter, owner_key: key, pins: texts, seq, signature } = pins!
    expect(fromBase64(key)).toEqual(ownerKey)
    const statement = { origin: ORIGIN, name: stage.name, seq, notAfter }
    const list = texts.map(pinFromText)
    expect(() => {
      verifyPins({ ...statement, pins: list }, ownerKey, fromBase64(signature))
    }).not.toThrow()
  })

  test('whatever else stands there, and however the text is cut into strings', async () => {
    const { publicKey: ownerKey } = await settled()
    publish(['v=spf1 -all', 'v=dslog1; owner=nobody', ownerText(ownerKey)], 17)
    await look()
    expect(await shown()).toEqual([1])
  })

  test('by the newest statement alone, from when it counts', async () => {
    const owner = await settled()
    await look()
    await pin(owner, 2)
    expect(await shown()).toEqual([1])
    stage.net.clock.advance(DAY)
    expect(await shown()).toEqual([2])
  })
})

describe('pins are not public', () => {
  test('as long as nobody says so', async () => {
    await settled()
    publish([])
    await look()
    expect(await shown()).toEqual([])
    expect(asked).toHaveLength(1)
  })

  test('by the text of another owner key', async () => {
    await settled()
    publish([ownerText(newOwner().publicKey)])
    await look()
    expect(await shown()).toEqual([])
  })

  test('and nothing is asked, where nobody has signed any', async () => {
    publish([ownerText(newOwner().publicKey)])
    stage.net.clock.advance(SETTLED_MS)
    await look()
    expect(asked).toEqual([])
  })

  test('under a DS set that is younger than a week', async () => {
    const owner = newOwner()
    await pin(owner)
    publish([ownerText(owner.publicKey)])
    stage.net.clock.advance(SETTLED_MS - 4 * HOUR)
    await look()
    expect([asked, await shown()]).toEqual([[], []])
    stage.net.clock.advance(4 * HOUR)
    await look()
    expect(await shown()).toEqual([1])
  })

  test('once the DS set that was swapped in has settled, under which the text was never seen', async () => {
    await settled()
    await look()
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    stage.net.clock.advance(SETTLED_MS - DAY)
    expect(await shown()).toEqual([1])
    stage.net.clock.advance(DAY)
    expect(await shown()).toEqual([])
  })

  test('by what whoever swapped the DS set says before it has settled', async () => {
    await settled()
    await look()
    const rogue = rogueKey()
    stage.child.setKeys([rogue])
    stage.delegate(stage.ds(rogue))
    await stage.seen()
    publish([])
    await look([[]])
    expect(await shown()).toEqual([1])
    publish([ownerText(newOwner().publicKey)])
    await look()
    expect(await shown()).toEqual([1])
  })

  test('where the text had not been seen for three days when the DS set was swapped', async () => {
    await settled()
    await look()
    stage.net.clock.advance(SEEN_MS + HOUR)
    stage.delegate(stage.ds(rogueKey()))
    await stage.seen()
    expect(await shown()).toEqual([])
  })

  test('by a text that the keys of the zone have not signed', async () => {
    await settled()
    const records = text()
    const unsigned = records.filter(({ type }) => type !== TYPE.RRSIG)
    const spoilt = records.map((record) => {
      const rdata = record.rdata.slice()
      if (record.type === TYPE.RRSIG) rdata[rdata.length - 1]! ^= 1
      return { ...record, rdata }
    })
    await look([unsigned])
    await look([spoilt])
    expect(await shown()).toEqual([])
  })

  test('where servers disagree about it', async () => {
    const { publicKey: ownerKey } = await settled()
    const ours = text()
    publish([ownerText(newOwner().publicKey)])
    const theirs = text()
    await look([ours, theirs])
    expect(await shown()).toEqual([])
    publish([ownerText(ownerKey)])
    await look([ours, undefined, []])
    expect(await shown()).toEqual([])
    await look([ours, undefined, text()])
    expect(await shown()).toEqual([1])
  })

  test('once the text is gone, or was not seen for three days', async () => {
    const { publicKey: ownerKey } = await settled()
    await look()
    stage.net.clock.advance(SEEN_MS)
    await look([undefined])
    expect(await shown()).toEqual([1])
    stage.net.clock.advance(1)
    expect(await shown()).toEqual([])
    await look()
    expect(await shown()).toEqual([1])
    publish([])
    await look([[]])
    expect(await shown()).toEqual([])
    publish([ownerText(ownerKey)])
    stage.net.clock.advance(HOUR)
    await look()
    expect(await shown()).toEqual([1])
  })

  test('when they have ended, or the subscription has', async () => {
    await settled()
    stage.net.clock.advance(80 * DAY)
    await look()
    expect(await shown()).toEqual([1])
    await home.db.kysely.updateTable('subscription').set({ active: false }).execute()
    expect(await shown()).toEqual([])
    await home.db.kysely.updateTable('subscription').set({ active: true }).execute()
    stage.net.clock.advance(4 * DAY)
    await look()
    expect(await shown()).toEqual([])
  })
})

test('a name that is too long has no text', () => {
  const long = [63, 63, 63, 57].map((length) => 'a'.repeat(length)).join('.')
  expect(ownerTextName(nameFromText(`${long}.`))).toBeUndefined()
})
