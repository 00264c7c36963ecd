/**
 * The probe, against name servers of a small internet on the loopback interface: what it keeps of a child,
 * what it does not take for an answer, and what it tells of itself.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toHex, utf8 } from '@dslog/tlog/bytes'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { DnsClient } from '@dslog/resolver/client'
import { EvidenceCollector } from '@dslog/resolver/collect'
import { ReferralWalker } from '@dslog/resolver/walk'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { DAY, HOUR } from '@dslog/schema/time'
import { NameServers } from '@dslog/testbed/nameserver'
import { record } from '@dslog/testbed/internet'
import { dsOf } from '@dslog/testbed/key'
import { encodePinList, ownerText } from '@dslog/verify/pins'
import { silent } from '../../../test/silent.ts'
import { decodeFinding, encodeFinding, verifyFinding, type Withheld } from '../src/evidence.ts'
import { type Child, UNSEEN } from '../src/judge/state.ts'
import { lookOf, looksAt } from '../src/looks.ts'
import { ownerTextName, publicPins } from '../src/ownertext.ts'
import { Probe } from '../src/probe.ts'
import { MonitorStore } from '../src/store.ts'
import { Unlogged } from '../src/unlogged.ts'
import { verifyWithheld } from '../src/withheld.ts'
import { addOwners } from './owners.ts'
import { rogueKey, Stage } from './scenario/stage.ts'
import { place, type Place, RUNNING } from './world.ts'

const backend = nodeBackend()
const permits = (): boolean => true

let home: Place
let stage: Stage
let servers: NameServers
let client: DnsClient
let probe: Probe
let offered: Observation[]
let answer: SubmitResult | Error

beforeAll(async () => {
  home = await place()
})
afterAll(() => home.close())

beforeEach(async () => {
  stage = await Stage.set(home)
  const { clock: testClock, anchors } = stage.net
  const now = testClock.now
  servers = await NameServers.start(stage.net, now)
  client = new DnsClient({ port: servers.port, permits })
  const hints = servers
    .hints()
    .flatMap(({ addresses, name }) => addresses.map((address) => ({ address, name })))
  const walker = new ReferralWalker({ exchange: client, hints, permits, now })
  const collector = new EvidenceCollector({ exchange: client, walker, anchors, backend, now })
  offered = []
  answer = { status: 'accepted' }
  const unlogged = new Unlogged({
    db: home.db,
    store: await MonitorStore.enter(home.db, stage.log.origin),
    others: [],
    digests: backend,
    clock: now,
    logger: silent,
    async submit(observation) {
      offered.push(observation)
      if (answer instanceof Error) throw answer
      return answer
    },
  })
  probe = new Probe({
    db: home.db,
    walker,
    exchange: client,
    collector,
    backend,
    unlogged: [unlogged],
    clock: now,
    logger: silent,
    random: () => 0.5,
  })
})
afterEach(async () => {
  await client.close()
  await servers.stop()
  await stage.close()
})

async function kept(): Promise<Child> {
  return home.db.transaction(async (trx) => lookOf(await looksAt(trx, [stage.name]), stage.name))
}

/** The probe looks, an hour and a half after it looked last. */
async function look(after = 1.5 * HOUR): Promise<void> {
  stage.net.clock.advance(after)
  await probe.round(RUNNING)
}

describe('of a child', () => {
  test('keeps keys, what they vouch for, and the servers', async () => {
    await look()
    const { servers: named, served, sightings } = await kept()
    const [key] = stage.child.entryKeys()
    expect(sightings).toHaveLength(1)
    expect(sightings[0]!.under.map(toHex)).toEqual(stage.child.dsRecords().map(toHex))
    expect(sightings[0]!.keys.flat().map(toHex)).toContain(toHex(stage.ds(key!, 4)))
    expect(sightings[0]).toMatchObject({ wanted: undefined, deletes: false })
    expect(served).toHaveLength(1)
    expect(named.map(({ ns }) => ns)).toEqual([['ns.example.fi.', 'ns2.example.fi.']])
    await look()
    expect((await kept()).sightings[0]!.last - (await kept()).sightings[0]!.first).toBe(1.5 * HOUR)
  })

  test('keeps what CDS asks for, and what asks for removal', async () => {
    const rogue = stage.ds(rogueKey())
    stage.publishCds([rogue])
    await look()
    expect((await kept()).sightings.at(-1)!.wanted).toEqual([[rogue]])
    stage.publishCds('delete')
    await look()
    expect((await kept()).sightings.at(-1)).toMatchObject({ wanted: undefined, deletes: true })
  })

  test('asks for its owner key where somebody has pinned under one', async () => {
    const statement = { keys: encodePinList([]), owner_key: new Uint8Array(32), seq: 1 }
    const now = stage.net.clock.now()
    const times = { not_after: now + 90 * DAY, created_at: now, effective_at: now }
    const pins = { subscription: 'owner', signature: new Uint8Array(64), ...statement, ...times }
    await home.db.kysely.insertInto('pin_set').values(pins).execute()
    const rdata = utf8(ownerText(statement.owner_key))
    const owner = ownerTextName(stage.name)!
    const record = { owner, type: TYPE.TXT, class: 1, ttl: 60 }
    stage.child.add({ ...record, rdata: Uint8Array.of(rdata.length, ...rdata) })
    await look(8 * DAY)
    const shown = await publicPins(home.db, stage.name, stage.net.clock.now())
    expect(shown.map(({ seq }) => seq)).toEqual([1])
  })

  test('goes on after a name below which no host fits', async () => {
    const long = [63, 63, 63, 49].map((length) => 'a'.repeat(length)).join('.')
    const name = `${long}.example.fi.`
    await addOwners(home.db, [{ id: 'long', name, subtree: false }])
    await look()
    expect((await kept()).served).toHaveLength(1)
  })

  test('keeps what a rogue server has for no more than it is', async () => {
    stage.child.setKeys([rogueKey()])
    await look()
    const { served, sightings } = await kept()
    expect(sightings).toEqual([])
    expect(served[0]!.keys.flat().map(toHex)).toContain(toHex(stage.ds(rogueKey())))
  })

  test('keeps the last good where nobody answers', async () => {
    await look()
    const before = await kept()
    for (const server of servers.of(stage.child)) server.inject('servfail')
    await look()
    expect((await kept()).sightings).toEqual(before.sightings)
  })

  test('looks about once an hour, and not at who does not watch', async () => {
    await look()
    const asked = servers.questions.length
    await look(HOUR / 2)
    expect(servers.questions).toHaveLength(asked)
    await home.db.kysely.updateTable('subscription').set({ active: false }).execute()
    await look()
    expect(servers.questions).toHaveLength(asked)
    expect(await kept()).not.toEqual(UNSEEN)
  })

  test('has no parent to look up for the root, which operators watch', async () => {
    await addOwners(home.db, [{ id: 'operator', name: '.' }])
    await look()
    expect(await kept()).not.toEqual(UNSEEN)
  })
})

describe('of what the log does not show', () => {
  const swap = async (): Promise<void> => {
    stage.delegate(stage.ds(rogueKey()))
    await look()
  }
  const evidence = () => home.db.kysely.selectFrom('misbehaviour').selectAll().execute()

  test('offers it at once, tells of it after an hour, and keeps what proves it', async () => {
    await swap()
    expect(offered.map(({ owner }) => owner)).toEqual(['example.fi.'])
    expect(await stage.alerts()).toEqual([])
    await look()
    expect(await stage.alerts()).toEqual(['withheld CRITICAL raised'])
    await look()
    await look(DAY)
    expect(await stage.alerts()).toEqual(['withheld CRITICAL raised'])

    const [piece] = await evidence()
    const finding = decodeFinding(piece!.kind, piece!.evidence) as Withheld
    expect(encodeFinding(finding)).toBe(piece!.evidence)
    const verifier = { anchors: stage.net.anchors, backend }
    expect(() => verifyFinding(finding, [stage.log.key])).not.toThrow()
    const state = await verifyWithheld(finding, [stage.log.key], verifier)
    expect(state).toMatchObject({ owner: stage.name, evidence: { ds: [stage.ds(rogueKey())] } })
    const early = { ...finding.evidence, observed_at: finding.evidence.observed_at - 99 * DAY }
    await expect(
      verifyWithheld({ kind: 'withheld', evidence: early }, [stage.log.key], verifier),
    ).rejects.toThrow(/./)
  })

  test('says that it is over when it is logged', async () => {
    await swap()
    await look()
    await stage.seen()
    await look()
    expect(await stage.alerts()).toContain('withheld CRITICAL resolved')
    expect(await home.db.kysely.selectFrom('unlogged').selectAll().execute()).toEqual([])
  })

  test('tells also when the log cannot be reached, or refuses', async () => {
    answer = new Error('away')
    await swap()
    await look()
    expect(await stage.alerts()).toEqual(['withheld CRITICAL raised'])
    expect(offered).toHaveLength(2)
  })

  test('tells of a refusal as of one', async () => {
    answer = { status: 'refused', reason: 'rate-limited' }
    await swap()
    await look()
    expect(await stage.alerts()).toEqual(['refused CRITICAL raised'])
  })

  test('has nothing to say of what is logged, or of an old state that is shown again', async () => {
    await look()
    const before = stage.child.dsRecords()
    const old = stage.fi.zone
    stage.delegate(...before, stage.ds(stage.child.entryKeys()[0]!, 4))
    await stage.seen()
    for (const server of servers.of(stage.fi)) server.serve({ name: stage.fi.name, zone: old })
    await look()
    await look()
    expect(await stage.alerts()).toEqual([])
  })

  test('has nothing to say of a name that was never signed', async () => {
    await stage.close()
    stage.delegate()
    await home.owner.kysely.deleteFrom('change').execute()
    await look()
    expect(offered).toEqual([])
  })
})

describe('of a parent', () => {
  test('that cannot be verified for a day, tells its owner in the digest, once', async () => {
    await look()
    stage.fi.makeOdd(stage.name, TYPE.DS, 'bad')
    await look()
    await look()
    expect(await stage.quiet()).toEqual([])
    await look(DAY)
    await look()
    expect(await stage.quiet()).toEqual(['R15 INFO'])
    expect(await stage.alerts()).toEqual([])
    stage.fi.makeOdd(stage.name, TYPE.DS, undefined)
    await look()
    stage.fi.makeOdd(stage.name, TYPE.DS, 'bad')
    await look()
    expect(await stage.quiet()).toEqual(['R15 INFO'])
  })

  test('that answers for a host below the name itself', async () => {
    const below = nameFromText('www.example.fi.')
    stage.fi.undelegate(stage.name)
    stage.fi.add(record(below, 'A', '192.0.2.1'))
    await look()
    expect(await stage.alerts()).toEqual(['R4b CRITICAL raised'])
    await look()
    expect((await stage.alerts())[0]).toBe('R4b CRITICAL raised')
  })

  test('whose server has the child too, and answers from it', async () => {
    stage.child.add(record(nameFromText('www.example.fi.'), 'A', '192.0.2.1'))
    for (const server of servers.of(stage.fi)) {
      server.serve({ name: stage.fi.name, zone: stage.child.zone })
    }
    await look()
    expect(await stage.alerts()).toEqual([])
  })

  test('that answers for a host below a name that is no delegation', async () => {
    const other = nameFromText('host.fi.')
    stage.fi.add(record(nameFromText('*.host.fi.'), 'A', '192.0.2.1'))
    await addOwners(home.db, [{ id: 'host', name: nameToText(other) }])
    await look()
    expect(await stage.alerts('host')).toEqual([])
  })

  test('that delegates a host below, past the servers of the name', async () => {
    const below = nameFromText('www.example.fi.')
    stage.fi.undelegate(stage.name)
    stage.fi.delegate(below, [dsOf(below, rogueKey())])
    await look()
    expect(await stage.alerts()).toEqual(['R4b CRITICAL raised'])
    const { why } = await home.db.kysely.selectFrom('alert').select('why').executeTakeFirstOrThrow()
    expect(why).toContain(nameToText(below))
  })
})
