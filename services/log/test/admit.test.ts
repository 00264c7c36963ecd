import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { concat, toBase64 } from '@dslog/tlog/bytes'
import { ALGORITHM, type SignatureBackend } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText, nameKey, nameToText, ROOT } from '@dslog/dnssec/name'
import { CLASS_IN, type RR, TYPE } from '@dslog/dnssec/records'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { decodeEntry } from '@dslog/schema/entry'
import { keysId, stateId } from '@dslog/schema/identity'
import { DAY, HOUR } from '@dslog/schema/time'
import { FLOOD_RULE } from '@dslog/verify/history'
import { TEST_EPOCH } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { ZSK } from '@dslog/testbed/key'
import { type Finding, ownerDs, STORIES, type StoryName } from '@dslog/testbed/stories'
import { encodeReply, type Reply } from '../../../test/message.ts'
import { Places } from '../../../test/place.ts'
import { complaints, directly, observe, TestLog, wire } from '../../../test/testlog.ts'
import { Admitter } from '../src/admit.ts'
import { VerifyBudget } from '../src/budget.ts'
import { MAX_BAG_RECORDS } from '../src/judge/judge.ts'
import { ZoneList } from '../src/zones.ts'
import { emptyEachTime } from './emptied.ts'

const places = await Places.open()
afterAll(() => places.close())
const emptyFor = emptyEachTime(places)

const algorithm = ALGORITHM.ED25519
let net: Internet
let log: TestLog

/** A new internet and an empty log of it. */
beforeEach(async () => {
  net = new Internet()
  net.addZone('fi.', { algorithm })
  net.addZone('se.', { algorithm, denial: { nsec3: {} } })
  log = await openLog()
  return () => log.log.close()
})

async function openLog(zones: readonly Name[] = []): Promise<TestLog> {
  const options = await emptyFor(net)
  return TestLog.over(options, { clock: net.clock.now, zones })
}

/** Delegates a name with the DS of one of its keys, or without. */
function delegate(owner: Name, generation = 1): Name {
  const ds = generation === 0 ? [] : [ownerDs(owner, generation)]
  net.parentOf(owner).delegate(owner, ds)
  return owner
}

async function submit(...observations: Observation[]): Promise<SubmitResult[]> {
  return log.submit(...observations)
}

function reply(name: Name, type: number, more: Partial<Reply>): string {
  return toBase64(encodeReply({ name, type, ...more }))
}

/** What a resolver asks for, as messages: DS or denial, and the keys and DS above. */
function messages(owner: Name): string[] {
  const { zone } = net.parentOf(owner)
  const { answer, authority, rcode } = zone.answer(owner, TYPE.DS)
  const asked = [reply(owner, TYPE.DS, { answer, authority, rcode })]
  for (let at = net.parentOf(owner); ; at = at.parent) {
    const { name } = at
    asked.push(reply(name, TYPE.DNSKEY, { answer: at.zone.rrset(name, TYPE.DNSKEY) }))
    if (at.parent === undefined) return asked
    asked.push(reply(name, TYPE.DS, { answer: at.parent.zone.rrset(name, TYPE.DS) }))
  }
}

describe('what is admitted', () => {
  test.each(Object.keys(STORIES) as StoryName[])('the story “%s”, by records', async (story) => {
    const owner = nameFromText('example.fi.')
    for (const { finding, what } of STORIES[story](net, owner)) {
      const [result] = await submit(observe(net, owner))
      expectResult(what, result!, finding)
    }
    expect(await complaints(log)).toEqual([])
  })

  test.each(Object.keys(STORIES) as StoryName[])('the story “%s”, by messages', async (story) => {
    const owner = nameFromText('example.se.')
    for (const { finding, what } of STORIES[story](net, owner)) {
      const [result] = await submit({ owner: nameToText(owner), messages: messages(owner) })
      expectResult(what, result!, finding)
    }
    expect(await complaints(log)).toEqual([])
  })

  function expectResult(what: string, result: SubmitResult, finding: Finding): void {
    if (finding.verdict === 'unverifiable') {
      expect(result, what).toMatchObject({ status: 'refused', detail: expect.any(String) })
    } else {
      expect(result.status, what).toMatch(/^(logged|known)$/)
    }
  }

  test('the state that was shown, with its index and identity', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const [result] = await submit(observe(net, owner))
    const ds = [ownerDs(owner)]
    const id = toBase64(stateId(owner, nameFromText('fi.'), ds))
    expect(result).toEqual({ status: 'logged', index: 3, state_id: id })
    expect(await submit(observe(net, owner))).toEqual([{ status: 'known', state_id: id }])
    const entry = decodeEntry((await log.reader.entry(3)).bytes)
    // The clock stands still; the log's time does not.
    expect(entry).toMatchObject({ type: 'ds', time: net.clock.now() + 1, historical: false })
  })

  test('several observations at once, each for itself', async () => {
    const owners = ['a.fi.', 'b.fi.', 'c.se.', 'fi.'].map((text) => nameFromText(text))
    for (const owner of owners.slice(0, 3)) delegate(owner)
    const bad = { owner: 'bad.fi.', records: ['AAAA'] }
    const results = await submit(bad, ...owners.map((owner) => observe(net, owner)), bad)
    expect(results.map(({ status }) => status)).toEqual([
      'refused',
      'logged',
      'logged',
      'logged',
      'logged',
      'refused',
    ])
    expect(await complaints(log)).toEqual([])
  })

  test('a good observation after a bad one that brought the same keys', async () => {
    const [good, bad] = [delegate(nameFromText('good.fi.')), delegate(nameFromText('bad.fi.'))]
    net.parentOf(bad).makeOdd(bad, TYPE.DS, 'bad')
    const results = await submit(observe(net, bad), observe(net, good))
    expect(results.map(({ status }) => status)).toEqual(['refused', 'logged'])
    // One whose zone is not admitted brings keys that are, too.
    net.addZone('child.se.', { algorithm })
    const [alien, after] = [delegate(nameFromText('x.child.se.')), delegate(nameFromText('y.se.'))]
    const more = await submit(observe(net, alien), observe(net, after))
    expect(more.map(({ status }) => status)).toEqual(['refused', 'logged'])
    expect(await complaints(log)).toEqual([])
  })

  test('a state without the keys, once the log knows them', async () => {
    const [first, second] = [
      delegate(nameFromText('first.fi.')),
      delegate(nameFromText('second.fi.')),
    ]
    const bare = (owner: Name): Observation => {
      return { owner: nameToText(owner), records: wire(net.parentOf(owner).zone.dsOrDenial(owner)) }
    }
    expect(await submit(bare(first))).toMatchObject([{ status: 'refused', reason: 'unproven' }])
    await submit(observe(net, second))
    expect(await submit(bare(first))).toMatchObject([{ status: 'logged' }])
    // Within one submission, too: those of the first serve the second.
    const third = delegate(nameFromText('third.se.'))
    const fourth = delegate(nameFromText('fourth.se.'))
    const results = await submit(observe(net, third), bare(fourth))
    expect(results.map(({ status }) => status)).toEqual(['logged', 'logged'])
    expect(await complaints(log)).toEqual([])
  })

  test('a denial of what was never there is known, and of what was there is logged', async () => {
    const owner = delegate(nameFromText('example.se.'), 0)
    expect(await submit(observe(net, owner))).toMatchObject([{ status: 'known' }])
    net.clock.advance(HOUR)
    delegate(owner)
    expect(await submit(observe(net, owner))).toMatchObject([{ status: 'logged' }])
    net.clock.advance(HOUR)
    delegate(owner, 0)
    expect(await submit(observe(net, owner))).toMatchObject([{ status: 'logged' }])
    net.clock.advance(HOUR)
    net.parentOf(owner).undelegate(owner)
    expect(await submit(observe(net, owner))).toMatchObject([{ status: 'known' }])
  })

  test('a state that is shown again late, and one that was signed with an old date', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const old = observe(net, owner)
    await submit(old)
    net.clock.advance(DAY)
    delegate(owner, 2)
    await submit(observe(net, owner))
    expect(await submit(old)).toMatchObject([{ status: 'stale' }])
    const { inception, expiration } = net.parentOf(owner).window()
    delegate(owner, 3)
    net.parentOf(owner).makeOdd(owner, TYPE.DS, {
      window: { inception: inception - (3 * DAY) / 1000, expiration },
    })
    expect(await submit(observe(net, owner))).toMatchObject([
      { status: 'logged', out_of_order: true },
    ])
    expect(await complaints(log)).toEqual([])
  })
})

describe('keys', () => {
  const keys = (zone: Name): Observation => {
    return { owner: nameToText(zone), kind: 'keys', records: wire(net.chain(zone)) }
  }

  test('of a zone, from the root down', async () => {
    const fi = nameFromText('fi.')
    const [result] = await submit(keys(fi))
    const rdatas = net.zoneOf(fi).zone.rrset(fi, TYPE.DNSKEY).filter(isKey)
    const id = toBase64(
      keysId(
        fi,
        rdatas.map(({ rdata }) => rdata),
      ),
    )
    expect(result).toEqual({ status: 'logged', index: 2, state_id: id })
    expect(await submit(keys(fi))).toEqual([{ status: 'known', state_id: id }])
    expect(await submit(keys(ROOT))).toMatchObject([{ status: 'known' }])
    expect(await complaints(log)).toEqual([])
  })

  test('that are new are logged at once, and those that only were signed anew are not', async () => {
    const fi = net.zoneOf(nameFromText('fi.'))
    await submit(keys(fi.name))
    net.clock.advance(DAY)
    fi.sign()
    expect(await submit(keys(fi.name))).toMatchObject([{ status: 'known' }])
    const [ksk] = fi.keys
    fi.setKeys([ksk!, fi.makeKey(ZSK, algorithm, 2)])
    expect(await submit(keys(fi.name))).toMatchObject([{ status: 'logged' }])
    // A week later the signatures will soon have expired.
    net.clock.advance(12.5 * DAY)
    for (const zone of net.zones) zone.sign()
    expect(await submit(keys(fi.name))).toMatchObject([{ status: 'logged' }])
    expect(await complaints(log)).toEqual([])
  })

  test('that nothing names', async () => {
    const fi = net.zoneOf(nameFromText('fi.'))
    const others = [fi.makeKey(257, algorithm, 7), fi.makeKey(256, algorithm, 7)]
    fi.setKeys(others)
    expect(await submit(keys(fi.name))).toMatchObject([{ status: 'refused', reason: 'unproven' }])
    expect(await submit({ owner: 'fi.', kind: 'keys', records: [] })).toMatchObject([
      { status: 'refused', reason: 'unproven' },
    ])
  })

  test('of a zone that is not admitted', async () => {
    net.addZone('child.fi.', { algorithm })
    expect(await submit(keys(nameFromText('child.fi.')))).toMatchObject([
      { status: 'refused', reason: 'zone-not-admitted' },
    ])
    expect(log.log.size).toBe(1)
  })

  function isKey({ type }: RR): boolean {
    return type === TYPE.DNSKEY
  }
})

describe('what is refused', () => {
  async function expectRefusal(observation: Observation, reason: string): Promise<void> {
    const { size } = log.log
    const [result] = await submit(observation)
    expect(result).toMatchObject({ status: 'refused', reason, detail: expect.stringMatching(/./) })
    expect(log.log.size).toBe(size)
  }

  test('a zone that is not admitted, unless the operator adds it', async () => {
    const zone = net.addZone('child.fi.', { algorithm }).name
    const owner = delegate(nameFromText('x.child.fi.'))
    const observation = observe(net, owner)
    await expectRefusal(observation, 'zone-not-admitted')
    await log.log.close()
    log = await openLog([zone])
    expect(await submit(observation)).toMatchObject([{ status: 'logged' }])
  })

  test('a signature that is bad, missing, too old or too young', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const fi = net.parentOf(owner)
    const { inception, expiration } = fi.window()
    const day = DAY / 1000
    const odd = async (oddity: Parameters<typeof fi.makeOdd>[2], reason: string) => {
      fi.makeOdd(owner, TYPE.DS, oddity)
      await expectRefusal(observe(net, owner), reason)
      await expectRefusal({ owner: 'example.fi.', messages: messages(owner) }, reason)
    }
    await odd('bad', 'bogus')
    await odd('missing', 'unproven')
    await odd(
      { window: { inception: inception - 2 * day, expiration: inception - day } },
      'expired',
    )
    await odd({ window: { inception: inception + 2 * day, expiration } }, 'not-yet-valid')
  })

  test('evidence of another time', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const observation = observe(net, owner)
    net.clock.advance(30 * DAY)
    await expectRefusal(observation, 'expired')
    net.clock.set(TEST_EPOCH - 30 * DAY)
    await expectRefusal(observation, 'not-yet-valid')
  })

  test('evidence of another name, or of another internet', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    await expectRefusal({ ...observe(net, owner), owner: 'other.fi.' }, 'unproven')
    await expectRefusal({ ...observe(net, owner), owner: '.' }, 'unproven')
    const other = new Internet({ root: { algorithm } })
    other.addZone('fi.', { algorithm })
    other.zoneOf(owner).delegate(owner, [ownerDs(owner)])
    await expectRefusal(observe(other, owner), 'unproven')
  })

  test('iterations of NSEC3 that nobody has to compute', async () => {
    net.addZone('no.', { algorithm, denial: { nsec3: { iterations: 1000 } } })
    await expectRefusal(observe(net, delegate(nameFromText('example.no.'), 0)), 'unsupported')
  })

  test('more than an entry can hold', async () => {
    const owner = nameFromText('example.fi.')
    const ds = [1, 2, 3].map((tag) => Uint8Array.of(0, tag, 13, 99, ...new Uint8Array(30_000)))
    net.parentOf(owner).delegate(owner, ds)
    await expectRefusal(observe(net, owner), 'too-large')
  })

  test('what does not parse', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const good = observe(net, owner)
    const [first] = good.records!
    const garbled: Observation[] = [
      { ...good, records: ['not base64'] },
      { ...good, records: [first!.slice(0, -4)] },
      { ...good, records: [`${first!}AAAA`] },
      { ...good, records: [''] },
      { ...good, owner: 'exa..mple.fi.' },
      { ...good, owner: `${'a'.repeat(64)}.fi.` },
      { ...good, messages: [''] },
      { ...good, messages: ['AAAA'] },
      { ...good, messages: [first!] },
    ]
    for (const observation of garbled) await expectRefusal(observation, 'malformed')
  })

  test('messages that are no replies', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const answer = net.evidence(owner)
    const ask = (more: Partial<Reply>): Observation => {
      return { owner: 'example.fi.', messages: [reply(owner, TYPE.DS, { answer, ...more })] }
    }
    expect(await submit(ask({}))).toMatchObject([{ status: 'logged' }])
    for (const more of [{ query: true }, { truncated: true }, { rcode: 2 }, { rcode: 5 }]) {
      await expectRefusal(ask(more), 'malformed')
    }
    // What a server adds on its own is no answer.
    const spare = delegate(nameFromText('spare.fi.'))
    const additional = net.evidence(spare)
    await expectRefusal(
      { owner: 'spare.fi.', messages: [reply(spare, TYPE.DS, { additional })] },
      'unproven',
    )
  })

  test('more records than any reply has', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const records = wire(net.evidence(owner))
    const padded = (count: number): string[] => {
      return [...records, ...Array.from({ length: count - records.length }, () => records[0]!)]
    }
    const example = { owner: 'example.fi.' }
    await expectRefusal({ ...example, records: padded(MAX_BAG_RECORDS + 1) }, 'malformed')
    expect(await submit({ ...example, records: padded(MAX_BAG_RECORDS) })).toMatchObject([
      { status: 'logged' },
    ])
  })

  test('nothing at all', async () => {
    await expectRefusal({ owner: 'example.fi.' }, 'unproven')
    expect(await submit()).toEqual([])
  })
})

describe('evidence from the past', () => {
  const past = (owner: Name): Observation => {
    return { ...observe(net, owner), historical: true, observed_at: net.clock.now() }
  }

  test('is logged at its own time, in the order of time', async () => {
    const owner = nameFromText('example.fi.')
    const seen: Observation[] = []
    for (let generation = 1; generation <= 4; generation++) {
      delegate(owner, generation % 3)
      seen.push(past(owner))
      net.clock.advance(40 * DAY)
    }
    const statuses: string[] = []
    for (const index of [0, 2, 1, 3]) {
      const [{ status }] = (await submit(seen[index]!)) as [SubmitResult]
      statuses.push(status)
    }
    // The second comes after the third, and is not let in between.
    expect(statuses).toEqual(['logged', 'logged', 'stale', 'logged'])
    // All of it again adds nothing.
    const { size } = log.log
    for (const observation of seen) {
      expect(await submit(observation)).not.toMatchObject([{ status: 'logged' }])
    }
    expect(log.log.size).toBe(size)
    const { history } = await log.reader.name(1, owner)
    const times = history
      .map(({ bytes }) => decodeEntry(bytes))
      .map((entry) => 'time' in entry && entry.time)
    expect(times).toEqual([0, 2, 3].map((index) => seen[index]!.observed_at))
    expect(await complaints(log)).toEqual([])
  })

  test('ends with the first live entry', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const before = past(owner)
    net.clock.advance(40 * DAY)
    delegate(owner, 2)
    expect(await submit(observe(net, owner))).toMatchObject([{ status: 'logged' }])
    expect(await submit(before)).toMatchObject([{ status: 'stale' }])
    delegate(owner, 3)
    net.clock.advance(HOUR)
    expect(await submit(past(owner))).toMatchObject([{ status: 'stale' }])
    expect(await complaints(log)).toEqual([])
  })

  test('cannot be of the future', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    const tomorrow = { ...past(owner), observed_at: net.clock.now() + DAY }
    expect(await submit(tomorrow)).toMatchObject([{ status: 'refused', reason: 'not-yet-valid' }])
    expect(log.log.size).toBe(1)
    expect(await submit(past(owner))).toMatchObject([{ status: 'logged' }])
  })

  test('without a time is of now', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    expect(await submit({ ...observe(net, owner), historical: true })).toMatchObject([
      { status: 'logged' },
    ])
    const [live] = await submit(observe(net, delegate(nameFromText('other.fi.'))))
    const { bytes } = await log.reader.entry(live!.index!)
    expect(decodeEntry(bytes)).toMatchObject({ historical: false })
  })

  test('and evidence of now, in one submission', async () => {
    const owners = ['a.fi.', 'b.fi.'].map((text) => delegate(nameFromText(text)))
    const before = owners.map(past)
    net.clock.advance(DAY)
    const now = delegate(nameFromText('c.fi.'))
    const results = await submit(before[0]!, observe(net, now), before[1]!)
    expect(results.map(({ status }) => status)).toEqual(['logged', 'logged', 'logged'])
    expect(await complaints(log)).toEqual([])
  })
})

describe('effort', () => {
  /** Some hundred signatures. */
  const SMALL_BUDGET_MS = 20

  /** Takes submissions for the same log, and counts what is verified. */
  function counting(): { admitter: Admitter; verified: () => number } {
    const real = nodeBackend()
    let count = 0
    const backend: SignatureBackend = {
      digest: (type, data) => real.digest(type, data),
      verify: async (...signature) => {
        count++
        return real.verify(...signature)
      },
    }
    const sink = directly(log.log)
    const clock = net.clock.now
    const budget = new VerifyBudget(clock, SMALL_BUDGET_MS)
    const options = { log: log.log, sink, zones: new ZoneList(), backend, clock, budget }
    return { admitter: new Admitter(options), verified: () => count }
  }

  test('is not spent on zones that are not admitted', async () => {
    net.addZone('child.fi.', { algorithm })
    const { admitter, verified } = counting()
    const alien = observe(net, delegate(nameFromText('x.child.fi.')))
    const keys: Observation = { ...observe(net, nameFromText('x.child.fi.')), owner: 'child.fi.' }
    const results = await admitter.submit([alien, { ...keys, kind: 'keys' }])
    expect(results).toMatchObject([
      { status: 'refused', reason: 'zone-not-admitted' },
      { status: 'refused', reason: 'zone-not-admitted' },
    ])
    expect(verified()).toBe(0)
  })

  test('is paid for by who asks for much hashing, and little else', async () => {
    const { admitter } = counting()
    const owner = nameFromText(`${'a.'.repeat(100)}fi.`)
    // SHA-1, 500 iterations, a salt of 255 bytes.
    const rdata = Uint8Array.from([1, 0, 1, 244, 255, ...Array<number>(255).fill(7), 20])
    const slow = { owner: nameFromText(`${'0'.repeat(32)}.fi.`), class: CLASS_IN, ttl: 0 }
    const records = [{ ...slow, type: TYPE.NSEC3, rdata: concat(rdata, new Uint8Array(20)) }]
    const one = { owner: nameToText(owner), records: wire(records) }
    expect(await admitter.submit([one], 'somebody')).toMatchObject([{ status: 'refused' }])
    await expect(admitter.submit([one], 'somebody')).rejects.toMatchObject({
      problem: 'rate-limited',
    })
  })

  test('for one source ends with its budget, and goes on for others and with time', async () => {
    const { admitter, verified } = counting()
    const owner = delegate(nameFromText('example.fi.'))
    net.parentOf(owner).makeOdd(owner, TYPE.DS, 'bad')
    // Keys are proven once in a submission; the bad signature is verified for each observation.
    const one = observe(net, owner)
    const many = Array.from({ length: 50 }, () => one)
    const reasons = new Set<string | undefined>()
    let submissions = 0
    for (; submissions < 100 && !reasons.has('rate-limited'); submissions++) {
      for (const { reason } of await admitter.submit(many, 'somebody')) reasons.add(reason)
    }
    expect(reasons).toEqual(new Set(['bogus', 'rate-limited']))
    const spent = verified()
    await expect(admitter.submit(many, 'somebody')).rejects.toMatchObject({
      problem: 'rate-limited',
      retryAfter: expect.any(Number),
    })
    expect(verified()).toBe(spent)
    const good = observe(net, delegate(nameFromText('good.fi.')))
    expect(await admitter.submit([good], 'another')).toMatchObject([{ status: 'logged' }])
    net.clock.advance(2_000)
    expect(await admitter.submit([good], 'somebody')).toMatchObject([{ status: 'known' }])
    // The operator has no budget.
    expect(await admitter.submit([good])).toMatchObject([{ status: 'known' }])
  })

  test('a zone that fills its share of the pool waits, evidence from the past does not', async () => {
    const crowded = nameKey(nameFromText('fi.'))
    const sink = { ...directly(log.log), isCrowded: (zone: Name) => nameKey(zone) === crowded }
    const backend = nodeBackend()
    const options = { log: log.log, sink, zones: new ZoneList(), backend, clock: net.clock.now }
    const admitter = new Admitter(options)
    const [fi, se] = ['a.fi.', 'a.se.'].map((text) => observe(net, delegate(nameFromText(text))))
    const old = { ...fi!, historical: true, observed_at: net.clock.now() }
    expect(await admitter.submit([fi!, se!, old])).toMatchObject([
      { status: 'refused', reason: 'rate-limited' },
      { status: 'logged' },
      { status: 'logged' },
    ])
  })

  test('of a name that flaps ends after a dozen entries a day, but for what was never seen', async () => {
    const owner = nameFromText('flap.fi.')
    const answers: string[] = []
    for (let change = 0; change < 20; change++) {
      net.clock.advance(HOUR / 2)
      const [result] = await submit(observe(net, delegate(owner, 1 + (change % 2))))
      answers.push(result!.reason ?? result!.status)
    }
    const { entries } = FLOOD_RULE
    expect(answers.slice(0, entries)).toEqual(answers.slice(0, entries).fill('logged'))
    // From then on one of the two is in force, and the other does not come back.
    const after = answers.slice(entries)
    expect(after).toEqual(after.map((_, i) => (i % 2 === 0 ? 'rate-limited' : 'known')))
    expect(await submit(observe(net, delegate(owner, 3)))).toMatchObject([{ status: 'logged' }])
    net.clock.advance(DAY)
    expect(await submit(observe(net, delegate(owner, 1)))).toMatchObject([{ status: 'logged' }])
    expect(await complaints(log)).toEqual([])
  })
})

describe('a clock', () => {
  test('that goes back does not take the log along', async () => {
    const owner = delegate(nameFromText('example.fi.'))
    await submit(observe(net, owner))
    const { map_time: before } = log.log.tree
    net.clock.set(net.clock.now() - HOUR / 2)
    delegate(nameFromText('back.fi.'))
    const [back] = await submit(observe(net, nameFromText('back.fi.')))
    expect(back).toMatchObject({ status: 'logged' })
    const entry = decodeEntry((await log.reader.entry(back!.index!)).bytes)
    expect(entry).toMatchObject({ time: before + 1 })
    expect(log.log.tree.map_time).toBe(before + 1)
    expect(await complaints(log)).toEqual([])
    // Also when the log is opened anew.
    const { options } = log
    await log.log.close()
    log = await TestLog.over(options, { clock: net.clock.now })
    net.clock.advance(1)
    const again = delegate(nameFromText('again.fi.'))
    expect(await submit(observe(net, again))).toMatchObject([{ status: 'logged' }])
    expect(log.log.tree.map_time).toBe(before + 2)
    expect(await complaints(log)).toEqual([])
  })

  test('that is behind the log by more than a signature lasts lets nothing in', async () => {
    await submit(observe(net, delegate(nameFromText('example.fi.'))))
    net.clock.set(net.clock.now() - 30 * DAY)
    for (const zone of net.zones) zone.sign()
    // Valid by the clock, expired at the earliest time that the next entry could have.
    expect(await submit(observe(net, delegate(nameFromText('back.fi.'))))).toMatchObject([
      { status: 'refused', reason: 'expired' },
    ])
    expect(await complaints(log)).toEqual([])
  })
})
