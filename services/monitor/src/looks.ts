/**
 * What was seen of the children of watched names, kept: the last good of each kind, and what was before
 * it. What is the same as at the look before is one row with two times. Whoever wants to judge gets it
 * back as it was; nothing is verified here.
 */
import { sql, type Transaction } from 'kysely'
import { fromHex, toHex } from '@dslog/tlog/bytes'
import { type Name, nameKey } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import type { LookTable } from '@dslog/schema/judgedb'
import { decodeDsSet, encodeDsSet } from '@dslog/service/dsset'
import type { Child, ChildKey, DsSet, Served, Servers, Sighting } from './judge/state.ts'
import { UNSEEN } from './judge/state.ts'

/**
 * Rows kept of one kind for a name, and of keys for each DS set that vouched for them. A key set, or a set of name
 * servers, changes a few times a year; a child that shows another at every look shall not fill our disk.
 */
export const MAX_LOOKS = 64

/** One look at a child: what of it there was to see. */
export interface Look {
  readonly name: Name
  /** ms. */
  readonly at: number
  /** What its keys said, for each DS set that vouches for them. */
  readonly sightings: readonly Omit<Sighting, 'first' | 'last'>[]
  /** The keys it served, vouched for or not; undefined if there was no answer. */
  readonly served?: readonly ChildKey[]
  /** The servers that the parent named; undefined if there was no referral. */
  readonly servers?: readonly string[]
}

/**
 * Keeps a look.
 *
 * @returns whether something is new: then what is being judged of the name is to be judged again
 */
export async function keepLook(trx: Transaction<MonitorTables>, look: Look): Promise<boolean> {
  const { at, name, served, servers, sightings } = look
  const news: boolean[] = []
  for (const { deletes, keys, under, wanted } of sightings) {
    const content = { keys: keysToJson(keys), wanted: wanted && keysToJson(wanted), deletes }
    news.push(await keep(trx, name, 'keys', encodeDsSet(under), content, at))
  }
  const none = new Uint8Array(0)
  if (served !== undefined) {
    news.push(await keep(trx, name, 'served', none, { keys: keysToJson(served) }, at))
  }
  if (servers !== undefined) {
    news.push(await keep(trx, name, 'servers', none, { ns: [...servers].sort() }, at))
  }
  return news.includes(true)
}

/** Keeps what a child says of its owner keys, under the DS set that vouches for it; none: it says nothing. */
export async function keepOwners(
  trx: Transaction<MonitorTables>,
  { at, name, owners, under }: { name: Name; under: DsSet; owners: readonly string[]; at: number },
): Promise<void> {
  await keep(trx, name, 'owner', encodeDsSet(under), { owners: [...owners].sort() }, at)
}

/** The newest of what a child said of its owner keys, and when it was last seen to, ms. */
export async function ownersAt(
  trx: Transaction<MonitorTables>,
  name: Name,
): Promise<{ owners: readonly string[]; under: DsSet; last: number } | undefined> {
  const row = await trx
    .selectFrom('look')
    .select(['under', 'content', 'last_at'])
    .where('name', '=', name)
    .where('kind', '=', 'owner')
    .orderBy('last_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { owners } = JSON.parse(row.content) as { owners: string[] }
  return { owners, under: decodeDsSet(row.under), last: row.last_at }
}

async function keep(
  trx: Transaction<MonitorTables>,
  name: Name,
  kind: LookTable['kind'],
  under: Uint8Array,
  value: object,
  at: number,
): Promise<boolean> {
  const content = JSON.stringify(value)
  const newest = await trx
    .selectFrom('look')
    .select(['id', 'content'])
    .where('name', '=', name)
    .where('kind', '=', kind)
    .where('under', '=', under)
    .orderBy('id', 'desc')
    .executeTakeFirst()
  if (newest?.content === content) {
    await trx.updateTable('look').set({ last_at: at }).where('id', '=', newest.id).execute()
    return false
  }
  const row = { name, kind, under, content, first_at: at, last_at: at }
  await trx.insertInto('look').values(row).execute()
  await sql`
    delete from look where id in (
      select id from look where name = ${name} and kind = ${kind}::text and under = ${under}
      order by id desc offset ${MAX_LOOKS})`.execute(trx)
  return true
}

/**
 * Everything that was seen of children.
 *
 * @returns by `nameKey`; names that were never looked at are not in it
 */
export async function looksAt(
  trx: Transaction<MonitorTables>,
  names: readonly Name[],
): Promise<Map<string, Child>> {
  const { rows } = await sql<LookTable>`
    select name, kind, under, content, first_at, last_at from look
    where name = any(${[...names]}::bytea[]) and kind <> 'owner' order by id`.execute(trx)
  const found = new Map<string, { sightings: Sighting[]; served: Served[]; servers: Servers[] }>()
  for (const row of rows) {
    const key = nameKey(row.name as Name)
    const child = found.get(key) ?? { sightings: [], served: [], servers: [] }
    found.set(key, child)
    const times = { first: row.first_at, last: row.last_at }
    if (row.kind === 'keys') {
      const { deletes, keys, wanted } = JSON.parse(row.content) as {
        keys: string[][]
        wanted?: string[][]
        deletes: boolean
      }
      child.sightings.push({
        ...times,
        under: decodeDsSet(row.under),
        keys: keysFromJson(keys),
        wanted: wanted && keysFromJson(wanted),
        deletes,
      })
    } else if (row.kind === 'served') {
      const { keys } = JSON.parse(row.content) as { keys: string[][] }
      child.served.push({ at: row.last_at, keys: keysFromJson(keys) })
    } else {
      const { ns } = JSON.parse(row.content) as { ns: string[] }
      child.servers.push({ ...times, ns })
    }
  }
  return found
}

/** What was seen of one of these. */
export function lookOf(looks: ReadonlyMap<string, Child>, name: Name): Child {
  return looks.get(nameKey(name)) ?? UNSEEN
}

function keysToJson(keys: readonly ChildKey[]): string[][] {
  return keys.map((key) => key.map(toHex))
}

function keysFromJson(keys: readonly (readonly string[])[]): DsSet[] {
  return keys.map((key) => key.map(fromHex))
}
