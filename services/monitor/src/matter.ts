/**
 * What is known of cases, read from the monitor's tables: the states of a name before and after, what was
 * seen of the child, the key sets of a zone, and which alerts were raised before.
 */
import { type Selectable, sql, type Transaction } from 'kysely'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { AlertRule } from '@dslog/schema/alert'
import type { ChangeTable, MonitorTables } from '@dslog/schema/db'
import { decodeZoneKeys, type ZoneKeysEntry } from '@dslog/schema/entry'
import { MapKind, mapKey } from '@dslog/schema/identity'
import type { CaseTable } from '@dslog/schema/judgedb'
import { suffixOf } from '@dslog/schema/lognumber'
import { decodeDsSet } from '@dslog/service/dsset'
import { decodeHistory } from '@dslog/service/histories'
import type { Question } from './judge/rules.ts'
import type { Absence, State } from './judge/state.ts'
import { numberOf } from './lognumber.ts'
import { lookOf, looksAt } from './looks.ts'
import type { Reader } from './records.ts'
import { wildcardSince } from './wildcards.ts'

/** A case as it is stored. */
export type OpenCase = Selectable<CaseTable>

/** A change with everything that is known of it. */
export interface Matter {
  readonly open: OpenCase
  readonly question: Question & Required<Pick<Question, 'later'>>
}

/** An alert that was raised before. */
export interface Raised {
  readonly id: string
  readonly subscription: string
  readonly rule: AlertRule
  readonly cause: string
  readonly level: number
  /** The DS set before the change, where it is about one. */
  readonly before: Uint8Array | null
  /** When that was, ms. */
  readonly first_at: number
  readonly resolved_at: number | null
}

/** Every state that a log has of a name, in its order. */
export async function statesOf(db: Reader, name: Name, log: number): Promise<State[]> {
  const rows = await db
    .selectFrom('change')
    .selectAll()
    .where('name', '=', name)
    .where('log', '=', log)
    .orderBy('idx')
    .execute()
  return rows.map(stateOfRow)
}

/** Everything known of changes. */
export async function mattersOf(
  trx: Transaction<MonitorTables>,
  cases: readonly OpenCase[],
  now: number,
): Promise<Matter[]> {
  if (cases.length === 0) return []
  const names = [
    ...new Map(cases.map(({ name }) => [nameKey(name as Name), name as Name])).values(),
  ]
  const { rows } = await sql<ChangeTable & { origin: string }>`
    select c.*, f.origin from change c join followed f on f.log = c.log
    where name = any(${names}::bytea[]) order by idx`.execute(trx)
  const states = new Map<string, State[]>()
  const logs = new Map<string, number>()
  for (const row of rows) {
    logs.set(row.origin, row.log)
    const key = pastKey(row.origin, row.name as Name)
    const past = states.get(key) ?? []
    past.push(stateOfRow(row))
    states.set(key, past)
  }
  const looks = await looksAt(trx, names)
  const matters: Matter[] = []
  for (const open of cases) {
    const name = open.name as Name
    const all = states.get(pastKey(open.origin, name)) ?? []
    const at = all.findIndex(({ index }) => index === open.idx)
    const state = all[at]
    if (state === undefined) throw new Error(`case ${open.id} is about no change`)
    const since = await wildcardSince(trx, logs.get(open.origin)!, state)
    const about = { history: all.slice(0, at), state, later: all.slice(at + 1) }
    const question = { ...about, wildcardSince: since, child: lookOf(looks, name), now }
    matters.push({ open, question })
  }
  return matters
}

function pastKey(origin: string, name: Name): string {
  return `${nameKey(name)} ${origin}`
}

/** The state that a row of the table of changes records. */
export function stateOfRow(row: ChangeTable): State {
  const ds = decodeDsSet(row.ds)
  // Rows from before this was kept do not tell.
  const absence = row.present ? undefined : ((row.absence ?? 'unknown') as Absence)
  return {
    index: row.idx,
    time: row.time,
    inception: row.inception ?? undefined,
    zone: row.zone as Name,
    ds,
    absence,
    outOfOrder: row.out_of_order,
  }
}

/** The delegation that a matter is about, and the zone that signs it. */
export function subjectOf({ open, question }: Matter): { name: Name; zone: Name } {
  return { name: open.name as Name, zone: question.state.zone }
}

/** Alerts of these subscriptions about entries of these names. */
export async function raisedBefore(
  trx: Transaction<MonitorTables>,
  matters: readonly Matter[],
  subscriptions: readonly string[],
): Promise<readonly Raised[]> {
  if (subscriptions.length === 0) return []
  const names = matters.map(({ open }) => open.name)
  const { rows } = await sql<Raised>`
    select id, subscription, rule, cause, level, before, first_at, resolved_at from alert
    where subscription = any(${[...new Set(subscriptions)]}::text[])
      and name = any(${names}::bytea[]) and idx is not null`.execute(trx)
  return rows
}

/** A key set and those that its log had of its zone before. */
export async function keySets(
  trx: Transaction<MonitorTables>,
  { idx: index, name: zone, origin }: Pick<OpenCase, 'idx' | 'name' | 'origin'>,
): Promise<{ entry: ZoneKeysEntry; earlier: readonly (readonly Uint8Array[])[] }> {
  const suffix = suffixOf(await numberOf(trx, origin))
  const found = await sql<{ history: Uint8Array }>`
    select history from ${sql.table(`name${suffix}`)}
    where key = ${mapKey(MapKind.zoneKeys, zone as Name)}`.execute(trx)
  const ids = decodeHistory(found.rows[0]!.history).map(({ stateId }) => stateId)
  const { rows } = await sql<{ idx: number; entry: Uint8Array }>`
    select idx, entry from ${sql.table(`zone_keys${suffix}`)}
    where keys_id = any(${ids}::bytea[]) and idx <= ${index}::int8 order by idx`.execute(trx)
  const sets = rows.map(({ entry, idx }) => ({ idx, entry: decodeZoneKeys(entry) }))
  const { entry } = sets.find(({ idx }) => idx === index)!
  return { entry, earlier: sets.filter(({ idx }) => idx < index).map((set) => set.entry.keys) }
}
