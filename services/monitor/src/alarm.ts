/**
 * Silence is a failure. What keeps the monitor from seeing or telling raises an alarm to the operator,
 * over the operator's own channels, and, when a name could not be watched for a day, an alert to its
 * owner: "cannot watch since …". Each is one alert per occurrence, resolved when it is over.
 *
 * | alarm     | when                                                                               |
 * | --------- | ---------------------------------------------------------------------------------- |
 * | log       | caught at something; not followed for an hour; nothing new verified for a day; a   |
 * |           | state that it should show and does not; its entries are of a time that is to come  |
 * | witness   | one of the policy has not answered for an hour                                     |
 * | delivery  | channels of one kind have been failing for an hour, and none of them succeeds      |
 * | canary    | the canary's delegation has not changed for 26 hours                               |
 *
 * A dead-man ping goes out as long as the monitor sees and tells: whoever waits for it notices a monitor
 * that is gone, which nothing in here can.
 */
import { sql, type Transaction } from 'kysely'
import { MAX_CLOCK_SKEW_S } from '@dslog/tlog/policy'
import { type Name, nameToText, ROOT } from '@dslog/dnssec/name'
import { type AlertLevel, OPERATOR_RULES } from '@dslog/schema/alert'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY, HOUR } from '@dslog/schema/time'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import { dateOf } from '@dslog/verify/describe'
import { type AlertDraft, alertId, raiseAlerts, resolveAlert } from './alert.ts'
import type { AskedWitness } from './compare.ts'
import { OPERATOR } from './operator.ts'
import type { FollowStatus } from './standing.ts'

/** A log that is restarted or moved is back by then. */
const SILENT_AFTER_MS = HOUR

/** Without anything verified for so long, owners are told. */
export const BLIND_AFTER_MS: number = DAY

/** A witness is asked every ten minutes; one that is restarted or moved is back by then. */
const SILENT_WITNESS_MS = HOUR

/** A mail server that is restarted is back by then. */
const UNDELIVERED_AFTER_MS = HOUR

/** A canary changes daily, at about the same time. */
const CANARY_AFTER_MS = 26 * HOUR

/** How far the clocks of two machines that keep their time may be apart, ms: as for cosignatures of witnesses. */
const AHEAD_MS = MAX_CLOCK_SKEW_S * 1000

/** Subscriptions told at a time. */
const BATCH = 1_000

/** A log that is to be followed. */
export interface AlarmedLog {
  readonly origin: string
  readonly status: () => FollowStatus
  /** Those that are asked what they have seen of it. */
  readonly witnesses: () => readonly AskedWitness[]
}

export interface AlarmOptions {
  readonly db: Database<MonitorTables>
  readonly clock: Clock
  readonly logger: Logger
  readonly logs: readonly AlarmedLog[]
  readonly canary: Name | undefined
  /** Sends the dead-man ping. */
  readonly ping: (() => Promise<void>) | undefined
}

/** What is wrong now. */
interface Alarm {
  readonly rule: (typeof OPERATOR_RULES)[number]
  readonly level: AlertLevel
  /** The same as long as it is the same occurrence. */
  readonly cause: string
  readonly why: string
  readonly since: number
}

export class Alarms {
  readonly #options: AlarmOptions
  readonly #started: number
  /** Since when a log has not been followed without a break. */
  readonly #unfollowedSince = new Map<string, number>()
  /** Since when a log has been ahead of our clock. */
  readonly #aheadSince = new Map<string, number>()
  /** Whether the operator has somebody to be told. */
  #open = new Set<string>()

  constructor(options: AlarmOptions) {
    this.#options = options
    this.#started = options.clock()
  }

  /** Looks at everything once. */
  async round(): Promise<void> {
    const { clock, db, ping } = this.#options
    const now = clock()
    const alarms = [
      ...this.#options.logs.flatMap((log) => [...this.#ofLog(log, now)]),
      ...this.#options.logs.flatMap((log) => ofWitnesses(log, now)),
      ...(await this.#ofAhead(now)),
      ...(await this.#ofWithheld(now)),
      ...(await this.#ofDelivery(now)),
      ...(await this.#ofCanary(now)),
    ]
    await db.transaction((trx) => this.#settle(trx, alarms, now))
    await this.#tellOwners(now)
    // Without a witness the monitor sees and tells all the same.
    if (alarms.every(({ rule }) => rule === 'witness')) await ping?.()
  }

  *#ofLog({ origin, status }: AlarmedLog, now: number): Generator<Alarm> {
    const { detail = '', state, verifiedAt, findings } = status()
    const unfollowedSince = this.#unfollowedSince.get(origin) ?? now
    if (state === 'following' || state === 'behind') this.#unfollowedSince.delete(origin)
    else this.#unfollowedSince.set(origin, unfollowedSince)
    if (state === 'misbehaving') {
      const kinds = [...findings.keys()].sort().join(', ')
      yield {
        rule: 'log',
        level: 'CRITICAL',
        cause: `${origin} caught ${kinds}`,
        why: `The log ${origin} was caught: ${detail}. The evidence is at /v1/evidence.`,
        since: now,
      }
      return
    }
    const since = verifiedAt ?? this.#started
    if (now - since > BLIND_AFTER_MS) {
      const told = this.#isBlind(now) ? ' Owners are told.' : ''
      const why = `Nothing new of the log ${origin} was verified since ${timeOf(since)} (${state}: ${detail}).${told}`
      yield { rule: 'log', level: 'CRITICAL', cause: `${origin} blind ${since}`, why, since }
    } else if (this.#unfollowedSince.has(origin) && now - unfollowedSince > SILENT_AFTER_MS) {
      const why = `The log ${origin} is ${state}: ${detail}.`
      const cause = `${origin} silent ${since}`
      yield { rule: 'log', level: 'HIGH', cause, why, since: unfollowedSince }
    }
  }

  /**
   * A log that dates entries in advance, or whose clock goes wrong: evidence is judged at a time that nobody has seen yet,
   * and changes seem later than they were. Nobody can prove it, so it is no misbehaviour, but somebody must look.
   */
  async #ofAhead(now: number): Promise<Alarm[]> {
    const alarms: Alarm[] = []
    for (const { origin, status } of this.#options.logs) {
      const { mapTime } = status()
      if (mapTime - now <= AHEAD_MS) {
        this.#aheadSince.delete(origin)
        continue
      }
      const occurrence = `${origin} ahead`
      const since = this.#aheadSince.get(origin) ?? (await this.#openSince(occurrence)) ?? now
      this.#aheadSince.set(origin, since)
      const why = `The newest entries of the log ${origin} are of ${timeOf(mapTime)}, which is still to come: its clock is wrong, or that of this monitor (${timeOf(now)}), or it dates entries in advance.`
      alarms.push({ rule: 'log', level: 'HIGH', cause: `${occurrence} ${since}`, why, since })
    }
    return alarms
  }

  /** Since when an occurrence stands that was told of before this process began, ms. */
  async #openSince(occurrence: string): Promise<number | undefined> {
    const row = await this.#options.db.kysely
      .selectFrom('alert')
      .select('first_at')
      .where('subscription', '=', OPERATOR)
      .where('rule', '=', 'log')
      .where('cause', 'like', `${occurrence} %`)
      .where('resolved_at', 'is', null)
      .executeTakeFirst()
    return row?.first_at
  }

  /** What a log does not show: owners may have it from another, so that the operator must look. */
  async #ofWithheld(now: number): Promise<Alarm[]> {
    const { rows } = await sql<{ origin: string; pieces: number; last: number; at: number }>`
      select origin, count(*)::int8 as pieces, max(id)::int8 as last, max(found_at)::int8 as at
      from misbehaviour where kind = 'withheld' and found_at > ${now - DAY}::int8
      group by origin order by origin`.execute(this.#options.db.kysely)
    return rows.map(({ at, last, origin, pieces }): Alarm => {
      const what = pieces === 1 ? 'a state' : `${pieces} states`
      const why = `The log ${origin} does not show ${what} that a zone has signed, an hour later. The evidence is at /v1/evidence.`
      return { rule: 'log', level: 'HIGH', cause: `${origin} withheld ${last}`, why, since: at }
    })
  }

  /** When all of some log was last found right: names are watched as long as one is. */
  #seenAt(): number {
    const seen = this.#options.logs.map(({ status }) => status().verifiedAt ?? this.#started)
    return Math.max(...seen)
  }

  #isBlind(now: number): boolean {
    return now - this.#seenAt() > BLIND_AFTER_MS
  }

  async #ofDelivery(now: number): Promise<Alarm[]> {
    const { rows } = await sql<{ kind: string; failing: number; since: number; reason: string }>`
      select kind, count(*)::int8 as failing, min(failing_since)::int8 as since, max(last_error) as reason
      from channel c where state = 'active' and failing_since <= ${now - UNDELIVERED_AFTER_MS}::int8
        and not exists (select from outbox o join channel d on d.id = o.channel
          where d.kind = c.kind and o.state = 'sent' and o.sent_at > c.failing_since)
      group by kind order by kind`.execute(this.#options.db.kysely)
    return rows.map(({ failing, kind, reason, since }): Alarm => {
      const why = `Nothing was delivered by ${kind} since ${timeOf(since)}, over ${failing} channels: ${reason}`
      return { rule: 'delivery', level: 'HIGH', cause: `${kind} ${since}`, why, since }
    })
  }

  async #ofCanary(now: number): Promise<Alarm[]> {
    const { canary, db } = this.#options
    if (canary === undefined) return []
    const last = await db.kysely
      .selectFrom('change')
      .select('time')
      .where('name', '=', canary)
      .orderBy('idx', 'desc')
      .executeTakeFirst()
    const since = last?.time ?? this.#started
    if (now - since <= CANARY_AFTER_MS) return []
    const why = `The delegation of the canary ${nameToText(canary)} should change daily; the last change was at ${timeOf(since)}.`
    return [{ rule: 'canary', level: 'HIGH', cause: `canary ${since}`, why, since }]
  }

  /** Raises what is new, resolves what is over. */
  async #settle(
    trx: Transaction<MonitorTables>,
    alarms: readonly Alarm[],
    now: number,
  ): Promise<void> {
    const { logger } = this.#options
    const operator = await trx
      .selectFrom('subscription')
      .select('id')
      .where('id', '=', OPERATOR)
      .executeTakeFirst()
    const standing = new Set(alarms.map(({ cause, rule }) => alertId(OPERATOR, rule, cause)))
    for (const { cause, level, rule, since, why } of alarms) {
      const id = alertId(OPERATOR, rule, cause)
      if (!this.#open.has(id)) logger.error({ rule, level, why }, 'alarm')
      if (operator === undefined) continue
      const draft: AlertDraft = {
        subscription: OPERATOR,
        rule,
        level,
        name: ROOT,
        cause,
        why,
        at: since,
      }
      await raiseAlerts(trx, [draft], now)
    }
    this.#open = standing
    const open = await trx
      .selectFrom('alert')
      .select('id')
      .where('subscription', '=', OPERATOR)
      .where('rule', 'in', OPERATOR_RULES)
      .where('resolved_at', 'is', null)
      .execute()
    for (const { id } of open) {
      if (!standing.has(id)) await resolveAlert(trx, id, 'It is over.', now)
    }
  }

  /** Owners are told when their names could not be watched for a day, and when they are again. */
  async #tellOwners(now: number): Promise<void> {
    const { clock, db } = this.#options
    const since = this.#seenAt()
    const isBlind = this.#isBlind(now)
    for (;;) {
      const told = await db.transaction((trx) => {
        return isBlind ? this.#tellBlind(trx, since, clock()) : this.#tellSeeing(trx, clock())
      })
      if (told < BATCH) return
    }
  }

  async #tellBlind(trx: Transaction<MonitorTables>, since: number, now: number): Promise<number> {
    const { rows } = await sql<{ id: string; name: Uint8Array }>`
      update subscription set blind_since = ${since}::int8 where id in (
        select id from subscription where active and blind_since is null and id <> ${OPERATOR}
        order by id limit ${BATCH}) returning id, name`.execute(trx)
    const drafts = rows.map(({ id, name }): AlertDraft => {
      const why = `This monitor cannot watch ${nameToText(name as Name)} since ${timeOf(since)}: nothing new of any log could be verified.`
      return {
        subscription: id,
        rule: 'blind',
        level: 'WARNING',
        name: name as Name,
        cause: `blind ${since}`,
        why,
        at: since,
      }
    })
    await raiseAlerts(trx, drafts, now)
    return rows.length
  }

  async #tellSeeing(trx: Transaction<MonitorTables>, now: number): Promise<number> {
    const { rows } = await sql<{ id: string; since: number }>`
      update subscription s set blind_since = null from (
        select id, blind_since from subscription where blind_since is not null
        order by id limit ${BATCH} for update) old
      where s.id = old.id returning s.id, old.blind_since as since`.execute(trx)
    for (const { id, since } of rows) {
      await resolveAlert(
        trx,
        alertId(id, 'blind', `blind ${since}`),
        'The name is watched again; what was missed is being caught up with.',
        now,
      )
    }
    return rows.length
  }
}

/** Each by its name: a quorum can do without it, and nobody notices how thin it has become. */
function ofWitnesses({ origin, witnesses }: AlarmedLog, now: number): Alarm[] {
  const silent = witnesses().filter(({ answeredAt, failure }) => {
    return failure !== undefined && now - answeredAt > SILENT_WITNESS_MS
  })
  return silent.map(({ answeredAt: since, failure, name, url }): Alarm => {
    const why = `The witness ${name} (${url}) of the log ${origin} has not answered since ${timeOf(since)}: ${failure}.`
    const cause = `${origin} witness ${name} ${since}`
    return { rule: 'witness', level: 'WARNING', cause, why, since }
  })
}

function timeOf(ms: number): string {
  return dateOf(ms).toISOString()
}
