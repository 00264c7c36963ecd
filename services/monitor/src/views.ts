/**
 * What crawlers saw of watched names, from all their vantages: read, kept as long as it says something
 * about now, and judged (judge/views.ts, R11). The crawlers are the operator's; what they say is a hint to
 * look, never a proof: a state that is not in the log is proven by the monitor's own look (unlogged.ts).
 */
import { sql, type Transaction } from 'kysely'
import { toBase64 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { type HttpClient, withoutSlash } from '@dslog/tlog/http'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { wellFormed } from '@dslog/dnssec/error'
import { type Name, nameFromText, nameKey, nameToText } from '@dslog/dnssec/name'
import { type View as Seen, Views } from '@dslog/schema/crawlerapi'
import type { MonitorTables } from '@dslog/schema/db'
import { stateId } from '@dslog/schema/identity'
import type { ViewTable } from '@dslog/schema/judgedb'
import { DAY } from '@dslog/schema/time'
import { readAnswer } from '@dslog/service/answer'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import { Periodic } from '@dslog/service/periodic'
import { raiseAlerts, resolveAlert } from './alert.ts'
import { Intents, watchersOf } from './audience.ts'
import { has, inForce, type State } from './judge/state.ts'
import { judgeViews, type LoggedView } from './judge/views.ts'
import { statesOf } from './matter.ts'
import { watchesOf } from './watch.ts'

/** How often crawlers are asked, ms. */
const INTERVAL_MS = 60_000
/** Views on a page, and the most that one may take. */
const PAGE = 1_000
const MAX_PAGE_BYTES = 1024 * 1024
/** Views are kept for so long, ms. */
const KEEP_MS: number = 7 * DAY

export interface ViewReaderOptions {
  readonly db: Database<MonitorTables>
  readonly http: Pick<HttpClient, 'request'>
  /** Their URLs. */
  readonly crawlers: readonly string[]
  readonly digests: SignatureBackend
  readonly clock: Clock
  readonly logger: Logger
}

/** Reads and judges views. Rounds must not overlap. */
export class ViewReader extends Periodic {
  readonly name = 'views'
  readonly #options: ViewReaderOptions

  constructor(options: ViewReaderOptions) {
    super({ interval: INTERVAL_MS, immediately: true, clock: options.clock })
    this.#options = options
  }

  override async start(fail: (error: unknown) => void): Promise<void> {
    if (this.#options.crawlers.length > 0) await super.start(fail)
  }

  /** Reads what is new of every crawler, and judges the names that it is about. */
  async round(signal: AbortSignal): Promise<void> {
    const { crawlers, logger } = this.#options
    for (const url of crawlers) {
      try {
        while (!signal.aborted && (await this.#page(url, signal)));
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof TlogError)) throw error
        logger.warn({ url, reason: error.message }, 'a crawler does not tell what it saw')
      }
    }
  }

  /** Reads a page. Says whether there may be more. */
  async #page(url: string, signal: AbortSignal): Promise<boolean> {
    const { clock, db, http } = this.#options
    const row = await db.kysely
      .selectFrom('crawler')
      .select('next')
      .where('url', '=', url)
      .executeTakeFirst()
    const after = row === undefined ? '' : `&after=${encodeURIComponent(row.next)}`
    const path = `${withoutSlash(url)}/v1/views?limit=${PAGE}${after}`
    const { body } = await http.request(path, { maxBytes: MAX_PAGE_BYTES, signal })
    const page = readAnswer(path, Views, body)
    await db.transaction(async (trx) => {
      const now = clock()
      const names = await this.#keep(trx, url, page.views, now)
      for (const name of names) await this.#judge(trx, name, now)
      await sql`
        insert into crawler (url, next) values (${url}::text, ${page.next}::text)
        on conflict (url) do update set next = excluded.next`.execute(trx)
    })
    return page.views.length === PAGE && page.next !== row?.next
  }

  /** Keeps views of watched names; gives these names. */
  async #keep(
    trx: Transaction<MonitorTables>,
    url: string,
    views: readonly Seen[],
    now: number,
  ): Promise<Name[]> {
    const named = views.flatMap((view) => {
      const name = wellFormed(() => nameFromText(view.name))
      return name === undefined ? [] : [{ name, view }]
    })
    const watches = await watchesOf(
      trx,
      named.map(({ name }) => name),
    )
    const kept = new Map<string, Name>()
    for (const { name, view } of named) {
      const isWatched = watches.get(nameKey(name))?.some(({ reach }) => reach === 'same') === true
      if (!isWatched) continue
      kept.set(nameKey(name), name)
      const at = Math.min(view.time, now)
      const { inception, server, state_id: state } = view
      await keepView(trx, { name, vantage: `${url} ${view.vantage}`, server, state, inception }, at)
    }
    return [...kept.values()]
  }

  async #judge(trx: Transaction<MonitorTables>, name: Name, now: number): Promise<void> {
    const { digests } = this.#options
    await trx
      .deleteFrom('view')
      .where('name', '=', name)
      .where('last_at', '<', now - KEEP_MS)
      .execute()
    const rows = await trx
      .selectFrom('view')
      .selectAll()
      .where('name', '=', name)
      .orderBy('id')
      .execute()
    const views = rows.map(({ first_at: first, last_at: last, ...view }) => ({
      ...view,
      first,
      last,
    }))
    const logs = await trx.selectFrom('followed').select('log').orderBy('log').execute()
    const pasts: State[][] = []
    for (const { log } of logs) pasts.push(await statesOf(trx, name, log))
    const subscriptions = await watchersOf(trx, name)
    const intents = await Intents.of(trx, subscriptions, now, now, digests)
    for (const subscription of subscriptions) {
      const { pins } = await intents.of({ subscription, watched: name, relation: 'same' }, now)
      const split = judgeViews(views, loggedViews(name, pasts, pins), pins !== undefined, now)
      if (split === undefined) {
        await resolveSplits(trx, subscription, name, now)
        continue
      }
      const { level, rule, states, why } = split
      const cause = `views#${nameToText(name)}#${[...states].sort().join('#')}`
      await raiseAlerts(trx, [{ subscription, rule, level, name, cause, why, at: now }], now)
    }
  }
}

async function keepView(
  trx: Transaction<MonitorTables>,
  view: Pick<ViewTable, 'name' | 'vantage' | 'server' | 'state' | 'inception'>,
  at: number,
): Promise<void> {
  const newest = await trx
    .selectFrom('view')
    .select(['id', 'state', 'last_at'])
    .where('name', '=', view.name)
    .where('vantage', '=', view.vantage)
    .where('server', '=', view.server)
    .orderBy('id', 'desc')
    .executeTakeFirst()
  if (newest !== undefined && at < newest.last_at) return
  if (newest?.state === view.state) {
    const { inception } = view
    await trx
      .updateTable('view')
      .set({ last_at: at, inception })
      .where('id', '=', newest.id)
      .execute()
    return
  }
  await trx
    .insertInto('view')
    .values({ ...view, first_at: at, last_at: at })
    .execute()
}

/** What the logs have of a name, by the ids of states. */
function loggedViews(
  name: Name,
  pasts: readonly (readonly State[])[],
  pins: readonly Uint8Array[] | undefined,
): LoggedView[] {
  return pasts.flatMap((past) => {
    const latest = inForce(past).at(-1)
    return past.map((state) => ({
      state: toBase64(stateId(name, state.zone, state.ds)),
      inception: state.inception ?? 0,
      isInForce: state === latest,
      isPinned:
        pins === undefined
          ? undefined
          : state.ds.length > 0 && state.ds.every((ds) => has(pins, ds)),
    }))
  })
}

async function resolveSplits(
  trx: Transaction<MonitorTables>,
  subscription: string,
  name: Name,
  now: number,
): Promise<void> {
  const open = await trx
    .selectFrom('alert')
    .select('id')
    .where('subscription', '=', subscription)
    .where('name', '=', name)
    .where('rule', '=', 'R11')
    .where('resolved_at', 'is', null)
    .execute()
  for (const { id } of open) await resolveAlert(trx, id, 'all that is seen agrees again', now)
}
