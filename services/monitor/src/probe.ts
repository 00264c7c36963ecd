/**
 * Looks for itself at the names that are watched, about once an hour each: the DS at the parent, what a
 * resolver would be told about a host below the name, and the DNSKEY, CDS and CDNSKEY of the child at all
 * its servers; for owners who pin, also their owner key (ownertext.ts). What comes of it is kept (looks.ts), and
 * what the parent has signed and the log does not show is followed up (unlogged.ts).
 *
 * A question without an answer says nothing about a name, with one exception that is no alarm either: a
 * parent whose signatures cannot be verified for a day, of which its owners are told (R15).
 */
import { sql } from 'kysely'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { isBelow, type Name, nameFromText, nameToText, ROOT, sameName } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { wellFormed } from '@dslog/dnssec/error'
import type { Collector, Observation } from '@dslog/resolver/collect'
import { ResolverError } from '@dslog/resolver/error'
import type { Exchange, Server } from '@dslog/resolver/exchange'
import { nameOfNs, signerOf } from '@dslog/resolver/referral'
import type { Walker, ZoneServers } from '@dslog/resolver/walk'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY, HOUR } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import { decodeDsSet } from '@dslog/service/dsset'
import type { Logger } from '@dslog/service/log'
import { allOf } from '@dslog/service/outage'
import { Periodic } from '@dslog/service/periodic'
import { type AlertDraft, raiseAlerts } from './alert.ts'
import { watchersOf } from './audience.ts'
import { judgeAgain } from './cases.ts'
import { type ChildAnswers, readChild } from './child.ts'
import { type DsSet, sameSet } from './judge/state.ts'
import { keepLook } from './looks.ts'
import { lookForOwner } from './ownertext.ts'
import type { Unlogged } from './unlogged.ts'
import { pathOf } from './watch.ts'

/** From one look at a name to the next, ms, and how it is spread: nobody shall know when we look. */
export const PROBE_MS = HOUR
export const PROBE_SPREAD = 0.3

/** Names that are looked at at the same time. */
const AT_ONCE = 16

/** How often it is looked for names that are due, ms. */
const INTERVAL_MS = 10_000

/** Servers of a child that are asked. */
const MAX_SERVERS = 8

/** DS sets of a name that may vouch for its keys: that in force, and those before it. */
const MAX_SETS = 4

/** A parent that cannot be verified for so long, ms, is worth a word to the owner (R15). */
const UNVERIFIABLE_MS: number = DAY

/** A host that is plausible below any name. */
const HOST = 'www'

export interface ProbeOptions {
  readonly db: Database<MonitorTables>
  readonly walker: Walker
  readonly exchange: Exchange
  readonly collector: Collector
  readonly backend: SignatureBackend
  /** Of each log that is followed. */
  readonly unlogged: readonly Pick<Unlogged, 'saw' | 'again'>[]
  readonly clock: Clock
  readonly logger: Logger
  /** From 0 to 1. */
  readonly random: () => number
}

/** Looks at the names that are watched. Rounds must not overlap. */
export class Probe extends Periodic {
  readonly name = 'probe'
  readonly #options: ProbeOptions

  constructor(options: ProbeOptions) {
    super({ interval: INTERVAL_MS, immediately: true, clock: options.clock })
    this.#options = options
  }

  /** Looks at every name that is due. */
  async round(signal: AbortSignal): Promise<void> {
    for (;;) {
      const names = await this.#due()
      if (names.length === 0 || signal.aborted) return
      await allOf(names.map((name) => this.#look(name, signal)))
    }
  }

  /**
   * Names that are watched and due; that they have been looked at is noted first. The root, under which
   * operators have their alarms and lists may have everything, has no parent to be looked up at.
   */
  async #due(): Promise<Name[]> {
    const { clock, db, random } = this.#options
    const now = clock()
    const { rows } = await sql<{ name: Uint8Array }>`
      select distinct s.name from subscription s left join probe p on p.name = s.name
      where s.active and s.path <> ${pathOf(ROOT)}::bytea and (p.due_at is null or p.due_at <= ${now}::int8)
      limit ${AT_ONCE}`.execute(db.kysely)
    for (const { name } of rows) {
      const due = Math.round(now + PROBE_MS * (1 + PROBE_SPREAD * (2 * random() - 1)))
      await sql`
        insert into probe (name, due_at, asked_at) values (${name}, ${due}::int8, ${now}::int8)
        on conflict (name) do update set due_at = excluded.due_at, asked_at = excluded.asked_at
      `.execute(db.kysely)
    }
    return rows.map(({ name }) => name as Name)
  }

  async #look(name: Name, signal: AbortSignal): Promise<void> {
    try {
      const parent = await this.#options.walker.parentOf(name, { signal })
      const observation = await this.#lookAbove(name, parent, signal)
      const servers = await this.#referral(name, parent, signal)
      await this.#lookBelow(name, servers, observation, signal)
    } catch (error) {
      if (!(error instanceof ResolverError)) throw error
      const { code, message } = error
      this.#options.logger.debug({ name: nameToText(name), code, message }, 'a look has failed')
    }
  }

  /** The DS of a name, as one of the parent's servers gives it. */
  async #lookAbove(
    name: Name,
    parent: ZoneServers,
    signal: AbortSignal,
  ): Promise<Observation | undefined> {
    const { collector, random, unlogged } = this.#options
    const ask = random() < 0.5 ? 'ds' : 'referral'
    try {
      const observation = await collector.delegation(name, parent, { ask, signal })
      await this.#verifiable(name)
      for (const each of unlogged) await each.saw(observation)
      return observation
    } catch (error) {
      if (!(error instanceof ResolverError)) throw error
      if (error.code === 'unverifiable') await this.#unverifiable(name, error.message)
      else if (error.code !== 'aborted') for (const each of unlogged) await each.again(name)
      return undefined
    }
  }

  /** The servers that the parent refers to, for a host below the name. */
  async #referral(
    name: Name,
    { servers, zone }: ZoneServers,
    signal: AbortSignal,
  ): Promise<string[] | undefined> {
    const { exchange, random } = this.#options
    const server = servers[Math.floor(random() * servers.length)]!
    const host = hostBelow(name)
    if (host === undefined) return undefined
    const question = { name: host, type: TYPE.A }
    const reply = await attempt(() => exchange.ask(server, question, { signal }))
    if (reply === undefined) return undefined
    const { answer, authority } = reply.message
    const referred = authority.filter(({ type }) => type === TYPE.NS)
    const past = referred.find(({ owner }) => isBelow(owner, name))
    if ((past !== undefined || answer.length > 0) && isSignedBy(zone, [...answer, ...authority])) {
      const what =
        past === undefined
          ? `answers for ${nameToText(question.name)} itself`
          : `delegates ${nameToText(past.owner)}, past the servers of ${nameToText(name)}`
      await this.#past(name, `${server.address}, a server of ${nameToText(zone)}, ${what}`)
      return undefined
    }
    const ours = referred.filter(({ owner }) => sameName(owner, name))
    if (ours.length === 0) return undefined
    await this.#notPast(name)
    return ours.flatMap(({ rdata }) => nameOfNs(rdata) ?? []).map(nameToText)
  }

  /** DNSKEY, CDS and CDNSKEY of the child, at all its servers. */
  async #lookBelow(
    name: Name,
    servers: readonly string[] | undefined,
    observation: Observation | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { backend, clock, db, walker } = this.#options
    const child = await attempt(() => walker.zoneOf(name, { signal, fresh: true }))
    const isZone = child !== undefined && sameName(child.zone, name)
    const asked = isZone ? child.servers.slice(0, MAX_SERVERS) : []
    const answers = await this.#askKeys(name, asked, signal)
    const at = clock()
    const under = await this.#setsOf(name, observation)
    const seen = await readChild({ name, under, answers, at, backend })
    await db.transaction(async (trx) => {
      const look = { name, at, ...seen, ...(servers !== undefined && { servers }) }
      if (await keepLook(trx, look)) await judgeAgain(trx, [name])
    })
    const ask = (owner: Name) =>
      Promise.all(asked.map((server) => this.#ask(server, owner, TYPE.TXT, signal)))
    await lookForOwner({ db, name, answers, ask, at, backend })
  }

  #askKeys(name: Name, servers: readonly Server[], signal: AbortSignal): Promise<ChildAnswers[]> {
    return Promise.all(
      servers.map(async (server) => {
        const [dnskey, cds, cdnskey] = await Promise.all([
          this.#ask(server, name, TYPE.DNSKEY, signal),
          this.#ask(server, name, TYPE.CDS, signal),
          this.#ask(server, name, TYPE.CDNSKEY, signal),
        ])
        return { dnskey, cds, cdnskey }
      }),
    )
  }

  /** The answer of a server that speaks for the zone; undefined if there is none. */
  async #ask(
    server: Server,
    name: Name,
    type: number,
    signal: AbortSignal,
  ): Promise<readonly RR[] | undefined> {
    const { exchange } = this.#options
    const reply = await attempt(() => exchange.ask(server, { name, type }, { signal }))
    return reply?.message.aa === true ? reply.message.answer : undefined
  }

  /** DS sets that may vouch for the keys of a child, the newest first. */
  async #setsOf(name: Name, observation: Observation | undefined): Promise<DsSet[]> {
    const rows = await this.#options.db.kysely
      .selectFrom('change')
      .select('ds')
      .where('name', '=', name)
      .where('present', '=', true)
      .orderBy('time', 'desc')
      .orderBy('idx', 'desc')
      .limit(4 * MAX_SETS)
      .execute()
    const verdict = observation?.verdict
    const seen = verdict?.verdict === 'present' ? [verdict.ds] : []
    const sets = [...seen, ...rows.map(({ ds }) => decodeDsSet(ds))]
    return sets
      .filter((set, i) => sets.findIndex((other) => sameSet(other, set)) === i)
      .slice(0, MAX_SETS)
  }

  // --- what is told at once ---

  /** The parent speaks for what is below the name. That is an alarm for names that are delegations. */
  async #past(name: Name, why: string): Promise<void> {
    const { clock, db } = this.#options
    const { rows } = await sql<{ since: number }>`
      update probe set past_since = coalesce(past_since, ${clock()}::int8)
      where name = ${name} and (exists (select from change c where c.name = probe.name)
        or exists (select from look l where l.name = probe.name and l.kind = 'servers'))
      returning past_since as since`.execute(db.kysely)
    const [row] = rows
    if (row === undefined) return
    const cause = `past#${nameToText(name)}#${row.since}`
    await this.#tell(name, { rule: 'R4b', level: 'CRITICAL', cause, why, at: clock() })
  }

  /** It refers to the servers of the name, as it should: from now on the next time is another. */
  async #notPast(name: Name): Promise<void> {
    await sql`
      update probe set past_since = null
      where name = ${name} and past_since is not null`.execute(this.#options.db.kysely)
  }

  async #verifiable(name: Name): Promise<void> {
    await sql`
      update probe set unverifiable_since = null
      where name = ${name} and unverifiable_since is not null`.execute(this.#options.db.kysely)
  }

  async #unverifiable(name: Name, reason: string): Promise<void> {
    const { clock, db, logger } = this.#options
    const now = clock()
    const { rows } = await sql<{ since: number }>`
      update probe set unverifiable_since = coalesce(unverifiable_since, ${now}::int8)
      where name = ${name} returning unverifiable_since as since`.execute(db.kysely)
    const since = rows[0]?.since ?? now
    logger.warn({ name: nameToText(name), reason, since }, 'the parent cannot be verified')
    if (now - since < UNVERIFIABLE_MS) return
    const cause = `unverifiable#${nameToText(name)}#${since}`
    const why = `nothing that the zone above says of this name has been verifiable for a day: ${reason}`
    await this.#tell(name, { rule: 'R15', level: 'INFO', cause, why, at: since })
  }

  async #tell(name: Name, draft: Omit<AlertDraft, 'subscription' | 'name'>): Promise<void> {
    const { clock, db } = this.#options
    const now = clock()
    await db.transaction(async (trx) => {
      const watches = await watchersOf(trx, name)
      await raiseAlerts(
        trx,
        watches.map((subscription) => ({ subscription, name, ...draft })),
        now,
      )
    })
  }
}

/** A host below a name; undefined for a name that is too long to have one of ours. */
function hostBelow(name: Name): Name | undefined {
  return wellFormed(() => nameFromText(HOST, name))
}

/**
 * Whether a zone speaks itself, by what its records say that signed them: a server that has the child
 * too may answer from that.
 */
function isSignedBy(zone: Name, records: readonly RR[]): boolean {
  const signers = records.flatMap((record) => signerOf(record) ?? [])
  return signers.length > 0 && signers.every((signer) => sameName(signer, zone))
}

/** An answer, or undefined: a server that fails says nothing. */
async function attempt<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof ResolverError) return undefined
    throw error
  }
}
