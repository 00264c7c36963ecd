/**
 * The stage of the scenarios: a small signed internet with a name that somebody owns and watches, a log
 * of it, a monitor that follows the log, and a clock that only moves when a story says so.
 *
 *     const stage = await Stage.set(home)      a name is delegated, signed, watched
 *     stage.delegate(stage.ds(rogueKey()))     something happens
 *     await stage.seen()                       the log logs it, the monitor verifies and judges it
 *     await stage.wait(HOUR)
 *     expect(await stage.alerts()).toEqual(['R6 HIGH raised'])
 */
import { formatTlogProof } from '@dslog/tlog/bundle'
import { equal } from '@dslog/tlog/bytes'
import { LogClient } from '@dslog/tlog/client'
import { HttpClient } from '@dslog/tlog/http'
import { parsePolicy } from '@dslog/tlog/policy'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { ALERT_LEVELS } from '@dslog/schema/alert'
import type { Observation } from '@dslog/schema/api'
import { decodeEntry, isParentLink } from '@dslog/schema/entry'
import { keysId } from '@dslog/schema/identity'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { type Authority, Internet, record, type ZoneOptions } from '@dslog/testbed/internet'
import { dsOf, KSK, type ZoneKey, zoneKey } from '@dslog/testbed/key'
import type { LyingLog, Scribe } from '@dslog/testbed/lyinglog'
import { decodeDsSet } from '@dslog/service/dsset'
import { encodePinList, type Pin } from '@dslog/verify/pins'
import { encodeExtra, type ProofItem } from '@dslog/verify/prooffile'
import { verifyProofFile } from '@dslog/verify/verify'
import { silent } from '../../../../test/silent.ts'
import { Judge, judgeAgain } from '../../src/cases.ts'
import { type ChildAnswers, readChild } from '../../src/child.ts'
import type { Follower } from '../../src/follow.ts'
import { Forwarder } from '../../src/forward.ts'
import { keepLook } from '../../src/looks.ts'
import { Unlogged } from '../../src/unlogged.ts'
import { addOwners } from '../owners.ts'
import { type Place, RUNNING } from '../world.ts'
import { StagedLog } from './stagedlog.ts'

/** Of the monitor and the log: both look this often. */
const LOOK_MS = MINUTE

const backend = nodeBackend()

/** A key of whoever attacks. */
export function rogueKey(seed = 'rogue'): ZoneKey {
  return zoneKey({ algorithm: ALGORITHM.ECDSAP256SHA256, flags: KSK, seed })
}

export interface StageOptions {
  /** The watched name. */
  readonly watched?: string
  readonly signed?: boolean
  readonly parent?: ZoneOptions
  readonly child?: ZoneOptions
  /** Whether there is a second log that is followed. */
  readonly logs?: 1 | 2
}

/** Everything on it. */
export class Stage {
  readonly net = new Internet({ servers: 2 })
  readonly fi: Authority
  readonly home: Place
  /** The watched name, and its zone. */
  readonly name: Name
  readonly child: Authority
  /** Name servers that the parent refers to. */
  servers = ['ns1.operator.example.', 'ns2.operator.example.']
  #first: StagedLog | undefined
  #second: StagedLog | undefined
  #judge: Judge | undefined
  #forwarder: Forwarder | undefined

  private constructor(home: Place, options: StageOptions) {
    this.home = home
    this.name = nameFromText(options.watched ?? 'example.fi.')
    this.fi = this.net.addZone('fi.', options.parent)
    this.child = this.net.addZone(this.name, { split: false, ...options.child })
    this.fi.undelegate(this.name)
  }

  /** A stage where a name is watched that was never signed, or is signed already. */
  static async set(home: Place, options: StageOptions = {}): Promise<Stage> {
    await home.empty()
    const stage = new Stage(home, options)
    await stage.#open(options.logs ?? 1)
    await addOwners(home.db, [{ id: 'owner', name: nameToText(stage.name) }])
    const ds = options.signed === false ? [] : stage.child.dsRecords()
    stage.fi.delegate(stage.name, ds, stage.child.servers)
    await stage.seen(stage.fi.name)
    await stage.seen()
    await stage.wait(2 * HOUR)
    // What comes before the story is no part of it.
    for (const table of ['outbox', 'alert', 'open_case'] as const) {
      await home.owner.kysely.deleteFrom(table).execute()
    }
    return stage
  }

  async #open(count: 1 | 2): Promise<void> {
    const { home, net } = this
    this.#first = await StagedLog.open(home, net)
    if (count === 2) this.#second = await StagedLog.open(home, net, 'second.example/ds')
    const logs = this.#logs
    const [db, clock] = [home.db, net.clock.now]
    this.#judge = new Judge({ db, logs: logs.map(({ judged }) => judged), clock, digests: backend })
    const forwarded = logs.map((each) => {
      const { follower, store } = each
      const others = logs.flatMap((other) => (other === each ? [] : [other.store.log]))
      const offer = (observation: Observation) => each.take(observation)
      const options = { db, store, others, digests: backend, clock, logger: silent, submit: offer }
      return { store, follower, unlogged: new Unlogged(options), offer }
    })
    const verifier = { anchors: net.anchors, backend }
    this.#forwarder = new Forwarder({ db, logs: forwarded, verifier, clock, logger: silent })
    await this.look()
  }

  async close(): Promise<void> {
    await Promise.all(this.#logs.map((log) => log.close()))
  }

  get #logs(): StagedLog[] {
    return [this.#first!, this.#second].filter((log) => log !== undefined)
  }

  get log(): LyingLog {
    return this.#first!.log
  }

  get scribe(): Scribe {
    return this.#first!.scribe
  }

  get follower(): Follower {
    return this.#first!.follower
  }

  get first(): StagedLog {
    return this.#first!
  }

  get second(): StagedLog {
    return this.#second!
  }

  // --- what happens ---

  /** A DS of a key of the child. */
  ds(key: ZoneKey, digest: 1 | 2 | 4 = 2): Uint8Array {
    return dsOf(this.name, key, digest)
  }

  /** Puts these DS into the parent, and signs it. */
  delegate(...ds: readonly Uint8Array[]): void {
    this.fi.delegate(this.name, ds, this.child.servers)
  }

  /** A name of somebody else lapses, and is answered for by a wildcard from then on, if one is given. */
  async lapses(other: string, wildcard?: string): Promise<void> {
    const owner = nameFromText(other)
    this.fi.delegate(owner, [dsOf(owner, rogueKey(other))])
    await this.seen(owner)
    this.fi.undelegate(owner)
    if (wildcard !== undefined) this.fi.add(record(nameFromText(wildcard), 'A', '192.0.2.80'))
    await this.seen(owner)
  }

  /** The child asks its parent for these DS by CDS; for none, to take all away; undefined: takes CDS out. */
  publishCds(ds: readonly Uint8Array[] | 'delete' | undefined): void {
    const type = TYPE.CDS
    this.child.remove(this.name, type)
    if (ds === undefined) return
    const rdatas = ds === 'delete' ? [Uint8Array.of(0, 0, 0, 0, 0)] : ds
    this.child.add(...rdatas.map((rdata) => ({ owner: this.name, type, class: 1, ttl: 60, rdata })))
  }

  /** An observer sees a name, and the logs, or these, log what is new; then the monitor looks. */
  async seen(
    owner: Name = this.name,
    bag: readonly RR[] = this.net.evidence(owner),
    logs: readonly StagedLog[] = this.#logs,
  ): Promise<void> {
    this.net.clock.advance(LOOK_MS)
    for (const log of logs) await log.observe(owner, bag)
    await this.grow()
  }

  /** The logs publish a tree; the monitor looks. */
  async grow(): Promise<void> {
    this.net.clock.advance(LOOK_MS)
    for (const log of this.#logs) await log.grow()
    await this.look()
  }

  /** The monitor looks, at the logs, at what is due, and at what one of them lacks. */
  async look(): Promise<void> {
    for (const { follower } of this.#logs) await follower.round(RUNNING)
    await this.#judge!.round(RUNNING)
    if (this.#second !== undefined) await this.#forwarder!.round(RUNNING)
  }

  /** Time passes; the monitor goes on looking. */
  async wait(ms: number): Promise<void> {
    this.net.clock.advance(ms)
    await this.look()
  }

  /** The monitor asks the servers of the child, each of which gives the zone as it is, or as told. */
  async probe(answers: readonly (Authority | ChildAnswers)[] = [this.child]): Promise<void> {
    const at = this.net.clock.now()
    const given = answers.map((from) => ('dnskey' in from ? from : this.answersOf(from)))
    const rows = await this.home.db.kysely.selectFrom('change').select(['ds']).execute()
    const under = rows.map(({ ds }) => decodeDsSet(ds))
    const seen = await readChild({ name: this.name, under, answers: given, at, backend })
    await this.home.db.transaction(async (trx) => {
      const look = { name: this.name, at, servers: this.servers, ...seen }
      if (await keepLook(trx, look)) await judgeAgain(trx, [this.name])
    })
    await this.look()
  }

  /** What a server of a zone answers. */
  answersOf(zone: Authority): ChildAnswers {
    const of = (type: number) => zone.zone.rrset(this.name, type)
    return { dnskey: of(TYPE.DNSKEY), cds: of(TYPE.CDS), cdnskey: of(TYPE.CDNSKEY) }
  }

  // --- what the owner says ---

  /** Pins, in force at once; none: takes them back. */
  async pin(pins: readonly Pin[], { signed = true } = {}): Promise<void> {
    const now = this.net.clock.now()
    await this.home.db.kysely
      .insertInto('pin_set')
      .values({
        subscription: 'owner',
        seq: now,
        not_after: now + 365 * DAY,
        keys: encodePinList(pins),
        owner_key: signed ? new Uint8Array(32) : null,
        created_at: now,
        effective_at: now,
      })
      .execute()
    await this.#said()
  }

  /** A window from now on. */
  async announce(ms: number, unsigned: boolean): Promise<void> {
    const now = this.net.clock.now()
    const window = { begins_at: now, ends_at: now + ms, unsigned, note: '', created_at: now }
    await this.home.db.kysely
      .insertInto('change_window')
      .values({ subscription: 'owner', ...window })
      .execute()
    await this.#said()
  }

  async #said(): Promise<void> {
    await this.home.db.transaction((trx) => judgeAgain(trx, [this.name]))
    await this.look()
  }

  // --- what came of it ---

  /** What was told, in order: `R6 HIGH raised`; without the level where it rose afterwards. */
  async alerts(subscription = 'owner'): Promise<string[]> {
    const rows = await this.home.db.kysely
      .selectFrom('outbox')
      .innerJoin('alert', 'alert.id', 'outbox.alert')
      .select(['alert.id', 'alert.rule', 'alert.level', 'outbox.event'])
      .where('alert.subscription', '=', subscription)
      .where('outbox.state', '=', 'waiting')
      .orderBy('outbox.id')
      .execute()
    return rows.map(({ event, id, level, rule }, i) => {
      const rises = rows.slice(i + 1).some((later) => later.id === id && later.event === 'risen')
      return [rule, ...(rises ? [] : [ALERT_LEVELS[level]]), event].join(' ')
    })
  }

  /** Alerts that were not worth a word at once: `R5 INFO`. */
  async quiet(): Promise<string[]> {
    const rows = await this.home.db.kysely
      .selectFrom('alert')
      .select(['rule', 'level'])
      .where('subscription', '=', 'owner')
      .where('level', '=', 0)
      .orderBy('seq')
      .execute()
    return rows.map(({ level, rule }) => `${rule} ${ALERT_LEVELS[level]}`)
  }

  /**
   * Makes the proof file of every entry that an alert names, and verifies it offline: from the policy of
   * the log and the anchors of the root alone.
   *
   * @returns the indices of the entries proven
   * @throws VerifyError if one is not
   */
  async proven(): Promise<number[]> {
    const { db } = this.home
    const alerts = await db.kysely.selectFrom('alert').select(['indices']).execute()
    const policy = parsePolicy(this.log.policy)
    const http = new HttpClient({ fetch, now: this.net.clock.now, random: () => 0 }, { retries: 0 })
    const client = new LogClient(this.first.served.url, policy, http)
    const trusted = await client.checkpoint()
    const reader = client.tree(trusted)
    const proven: number[] = []
    for (const index of new Set(alerts.flatMap(({ indices }) => JSON.parse(indices) as number[]))) {
      const leaf = this.scribe.entries[index]!
      const chain: ProofItem[] = []
      for (const at of chainOf(this.scribe.entries, index)) {
        const path = await reader.inclusionProof(at)
        chain.push({ index: at, path, entry: this.scribe.entries[at]! })
      }
      const file = formatTlogProof({
        index,
        path: await reader.inclusionProof(index),
        checkpoint: trusted.note,
        extra: encodeExtra({ kind: 'entry', leaf, chain }),
      })
      const report = await verifyProofFile(file, {
        policy,
        anchors: this.net.anchors,
        backend,
      })
      if (report.kind === 'entry') proven.push(report.index)
    }
    return proven
  }
}

/** The ZONE_KEYS entries that an entry hangs from, nearest first: the newest of each. */
function chainOf(entries: readonly Uint8Array[], index: number): number[] {
  const chain: number[] = []
  const entry = decodeEntry(entries[index]!)
  let wanted = entry.type === 'ds' || entry.type === 'no-ds' ? entry.keysId : undefined
  if (entry.type === 'zone-keys' && isParentLink(entry.link)) wanted = entry.link.keysId
  for (let at = index - 1; at >= 0 && wanted !== undefined; at--) {
    const other = decodeEntry(entries[at]!)
    if (other.type !== 'zone-keys') continue
    const id = keysId(other.zone, other.keys)
    if (!equal(id, wanted)) continue
    chain.push(at)
    wanted = isParentLink(other.link) ? other.link.keysId : undefined
  }
  return chain
}
