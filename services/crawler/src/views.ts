/**
 * Who was seen to say what: the newest sighting of each name from each vantage and server, with a number
 * that grows with each write, so that others can follow. Places that disagree are marked. A difference
 * decides nothing about what is logged; it is what an operator, or a monitor, may want to look at.
 */
import { type Kysely, sql } from 'kysely'
import { toBase64 } from '@dslog/tlog/bytes'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { View } from '@dslog/schema/crawlerapi'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { DAY, HOUR } from '@dslog/schema/time'
import type { Database } from '@dslog/service/db'
import type { SeenState } from './compare.ts'

/** Views that are older say nothing about a difference, ms. */
const RECENT_MS = 2 * HOUR
/** Views are kept for so long, ms. */
const KEPT_MS = 30 * DAY

/** A state with its place and time. */
export interface Sighting extends SeenState {
  readonly vantage: string
  readonly server: string
  readonly transport: string
  /** ms since the epoch. */
  readonly at: number
}

/** The table of views. */
export class Views {
  readonly #db: Database<CrawlerTables>

  constructor(db: Database<CrawlerTables>) {
    this.#db = db
  }

  /** Writes sightings; gives how many of them differ from another recent one of their name. */
  async write(sightings: readonly Sighting[]): Promise<number> {
    if (sightings.length === 0) return 0
    // One row must not be written twice by one statement: the last word of each place counts.
    const places = new Map(sightings.map((s) => [`${nameToText(s.owner)} ${placeOf(s)}`, s]))
    const rows = [...places.values()]
    return this.#db.transaction(async (trx) => {
      // Numbers are given in the order of commits, or a reader might pass one that is not there yet.
      await sql`lock table view in share row exclusive mode`.execute(trx)
      return writeRows(trx, rows)
    })
  }

  /** Servers at which a name was seen, with the time: what was seen longest ago is asked next. */
  async serversOf(name: Name): Promise<Map<string, number>> {
    const rows = await this.#db.kysely
      .selectFrom('view')
      .select(['server', 'at'])
      .where('name', '=', name)
      .execute()
    return new Map(rows.map(({ at, server }) => [server, at]))
  }

  /** Views after a number, in its order. */
  async after(seq: number, limit: number): Promise<{ views: View[]; next: number }> {
    const rows = await this.#db.kysely
      .selectFrom('view')
      .selectAll()
      .where('seq', '>', seq)
      .orderBy('seq')
      .limit(limit)
      .execute()
    const views = rows.map(({ at, name, state, zone, ...row }) => ({
      vantage: row.vantage,
      server: row.server,
      transport: row.transport,
      inception: row.inception,
      differs: row.differs,
      name: nameToText(name as Name),
      zone: nameToText(zone as Name),
      state_id: toBase64(state),
      time: at,
    }))
    return { views, next: rows.at(-1)?.seq ?? seq }
  }

  /** Forgets what was seen long ago. */
  async prune(now: number): Promise<void> {
    await this.#db.kysely
      .deleteFrom('view')
      .where('at', '<', now - KEPT_MS)
      .execute()
  }
}

async function writeRows(trx: Kysely<CrawlerTables>, rows: readonly Sighting[]): Promise<number> {
  const { rows: written } = await sql<{ differs: boolean }>`
    with seen as (
      select * from unnest(
        ${rows.map(({ owner }) => owner)}::bytea[],
        ${rows.map(({ vantage }) => vantage)}::text[],
        ${rows.map(({ server }) => server)}::text[],
        ${rows.map(({ transport }) => transport)}::text[],
        ${rows.map(({ zone }) => zone)}::bytea[],
        ${rows.map(({ stateId }) => stateId)}::bytea[],
        ${rows.map(({ inception }) => inception)}::int8[],
        ${rows.map(({ at }) => at)}::int8[])
      as t (name, vantage, server, transport, zone, state, inception, at))
    insert into view (name, vantage, server, transport, zone, state, inception, at, differs, seq)
    select seen.*, exists (
        select from view other where other.name = seen.name
          and (other.vantage, other.server) <> (seen.vantage, seen.server)
          and other.at > seen.at - ${RECENT_MS}::int8 and other.state <> seen.state),
      nextval('view_seq')
    from seen
    on conflict (name, vantage, server) do update set transport = excluded.transport,
      zone = excluded.zone, state = excluded.state, inception = excluded.inception,
      at = excluded.at, differs = excluded.differs, seq = excluded.seq
    returning differs`.execute(trx)
  return written.filter(({ differs }) => differs).length
}

function placeOf({ server, vantage }: Sighting): string {
  return `${vantage} ${server}`
}
