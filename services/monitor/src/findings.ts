/** What logs were caught at, as it is kept: each piece once, and for ever. */
import { sql, type Transaction } from 'kysely'
import type { MisbehaviourTable, MonitorTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import { encodeFinding, type Finding, type FindingKind, identityOf } from './evidence.ts'

/**
 * Most pieces of evidence kept of one kind against one log. A log whose every answer is another lie has
 * been shown to lie long before; it shall not fill our disk as well.
 */
export const MAX_EVIDENCE_PER_KIND = 1_000

/** When and how something was found. */
export interface Circumstances {
  readonly detail: string
  /** Verified size of the log at that time. */
  readonly size: number
  /** ms. */
  readonly at: number
}

/** @returns whether it is new */
export async function keepFinding(
  trx: Transaction<MonitorTables>,
  origin: string,
  finding: Finding,
  { at, detail, size }: Circumstances,
): Promise<boolean> {
  const { kind } = finding
  const { rows } = await sql`
    insert into misbehaviour (origin, kind, identity, found_at, detail, evidence)
    select ${origin}::text, ${kind}::text, ${identityOf(finding, size)}::bytea,
      ${at}::int8, ${detail}::text, ${encodeFinding(finding)}::text
    where (select count(*) from misbehaviour
      where origin = ${origin} and kind = ${kind}) < ${MAX_EVIDENCE_PER_KIND}
    on conflict (origin, identity) do nothing returning id`.execute(trx)
  return rows.length > 0
}

/** Pieces of evidence against a log, by kind. */
export async function findingsOf(
  { kysely }: Database<MonitorTables>,
  origin: string,
): Promise<Map<FindingKind, number>> {
  const rows = await kysely
    .selectFrom('misbehaviour')
    .select((eb) => ['kind', eb.fn.countAll<number>().as('pieces')])
    .where('origin', '=', origin)
    .groupBy('kind')
    .execute()
  return new Map(rows.map(({ kind, pieces }) => [kind as FindingKind, pieces]))
}

type MisbehaviourRow = Omit<MisbehaviourTable, 'id' | 'identity'> & { readonly id: number }

/** Evidence against one log or all, after number `after`, oldest first. */
export async function evidenceAfter(
  { kysely }: Database<MonitorTables>,
  after: number,
  limit: number,
  origin?: string,
): Promise<MisbehaviourRow[]> {
  return kysely
    .selectFrom('misbehaviour')
    .select(['id', 'origin', 'kind', 'found_at', 'detail', 'evidence'])
    .where('id', '>', after)
    .$if(origin !== undefined, (query) => query.where('origin', '=', origin!))
    .orderBy('id')
    .limit(limit)
    .execute()
}
