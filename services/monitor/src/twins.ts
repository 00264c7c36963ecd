/**
 * One change in two logs. What the owner of a name hears of it comes from the log that showed it first; the
 * same entry in another is a twin of that one, and no news. Two entries record the same state of the same
 * time if the one was signed no later than what took the other's place: a signature that is newer shows that
 * the state has come back, of which the other log does not know.
 *
 *   log A    s1 ------ s2 ---------------- s1'
 *   log B       s1 --------- s2 ---- s1'       twins of A's, late or not
 *   log C    s1 ------ s2 ------ s1'           news, if it is signed after A's s2, until A has it too
 *
 * Only what has been looked through counts: of two twins, neither is left out for the other.
 */
import { sql, type Transaction } from 'kysely'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { ChangeTable, MonitorTables } from '@dslog/schema/db'
import { suffixOf } from '@dslog/schema/lognumber'
import type { Found } from './cases.ts'
import { type State, sameState } from './judge/state.ts'
import { stateOfRow } from './matter.ts'

/** A log, and those beside it. */
export interface Beside {
  readonly log: number
  readonly others: readonly number[]
}

/** Of entries of a log, those that no other log has shown before. */
export async function withoutTwins(
  trx: Transaction<MonitorTables>,
  { log, others }: Beside,
  found: readonly Found[],
): Promise<readonly Found[]> {
  if (found.length === 0) return found
  const seen = new Set<Found>()
  for (const other of others) {
    const judged = await trx
      .selectFrom('judged')
      .select('next')
      .where('log', '=', other)
      .executeTakeFirst()
    if (judged === undefined) continue
    for (const twin of await twinsOf(trx, log, { log: other, below: judged.next }, found)) {
      seen.add(twin)
    }
  }
  return found.filter((entry) => !seen.has(entry))
}

interface Other {
  readonly log: number
  /** Its entries below this index have been looked through. */
  readonly below: number
}

async function twinsOf(
  trx: Transaction<MonitorTables>,
  log: number,
  other: Other,
  found: readonly Found[],
): Promise<Found[]> {
  const changes = found.filter(({ kind }) => kind === 'change')
  const names = changes.map(({ name }) => name)
  const mine = await pastOf(trx, { log, below: Number.MAX_SAFE_INTEGER }, names)
  const theirs = await pastOf(trx, other, names)
  const twins: Found[] = changes.filter(({ idx, name }) => {
    const state = mine.get(nameKey(name))?.find(({ index }) => index === idx)
    return state !== undefined && isIn(theirs.get(nameKey(name)) ?? [], state)
  })
  for (const entry of found) {
    if (entry.kind === 'keys' && (await haveKeys(trx, log, other, entry))) twins.push(entry)
  }
  return twins
}

async function pastOf(
  trx: Transaction<MonitorTables>,
  { below, log }: Other,
  names: readonly Name[],
): Promise<Map<string, State[]>> {
  const { rows } = await sql<ChangeTable>`
    select * from change
    where log = ${log}::int and name = any(${[...names]}::bytea[]) and idx < ${below}::int8
    order by idx`.execute(trx)
  const past = new Map<string, State[]>()
  for (const row of rows) {
    const key = nameKey(row.name as Name)
    const states = past.get(key) ?? []
    states.push(stateOfRow(row))
    past.set(key, states)
  }
  return past
}

/** Whether the states of a name in a log hold a twin of one of another log. */
export function isIn(past: readonly State[], state: State): boolean {
  return past.some((other, i) => {
    if (!sameState(other, state)) return false
    const next = past.slice(i + 1).find(({ outOfOrder }) => !outOfOrder)
    return next === undefined || signedAt(state) <= signedAt(next)
  })
}

/** When a state was signed, s; as good as it is known. */
function signedAt({ inception, time }: State): number {
  return inception ?? Math.floor(time / 1000)
}

/** Whether the other log has vouched for the very keys of an entry. */
async function haveKeys(
  trx: Transaction<MonitorTables>,
  log: number,
  other: Other,
  { idx }: Found,
): Promise<boolean> {
  const [mine, theirs] = [log, other.log].map((each) => sql.table(`zone_keys${suffixOf(each)}`))
  const { rows } = await sql`
    select from ${theirs} known where known.idx < ${other.below}::int8 and known.keys_id = (
      select keys_id from ${mine} where idx = ${idx}::int8) limit 1`.execute(trx)
  return rows.length > 0
}
