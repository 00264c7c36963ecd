/**
 * Owner keys in the DNS. An owner who wants his pins to be seen in public says so in his own zone:
 *
 *     _dslog.example.fi. TXT "v=dslog1; owner=<SHA-256 of the owner key, hex>"
 *
 * It counts where it is signed with keys that hang from a DS set which the log has had in force for a week:
 * whoever swaps a DS must not be able to show pins of his own as the owner's on the same day, nor to hide the
 * owner's: until the set that he put there has settled, what was seen before it stands. The text says
 * whose the pins are, and nothing else: who may set pins at this monitor, the subscription's own key says.
 */
import type { Transaction } from 'kysely'
import { toBase64, toHex } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { wellFormed } from '@dslog/dnssec/error'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import type { MonitorTables } from '@dslog/schema/db'
import type { PublicPins } from '@dslog/schema/monitorapi'
import { DAY } from '@dslog/schema/time'
import type { Database } from '@dslog/service/db'
import { decodePinList, ownerOfText, pinToText } from '@dslog/verify/pins'
import { type ChildAnswers, keysUnder, signedSet } from './child.ts'
import { type DsSet, inForce, isSecure, sameSet } from './judge/state.ts'
import { keepOwners, ownersAt } from './looks.ts'
import { statesOf } from './matter.ts'

/** From when on a DS set vouches for an owner key, ms. */
export const SETTLED_MS: number = 7 * DAY

/** Seen last so long ago, ms, a text counts no more: it is looked at hourly. */
export const SEEN_MS: number = 3 * DAY

/** Where the text is; undefined for a name that is too long to have one. */
export function ownerTextName(name: Name): Name | undefined {
  return wellFormed(() => nameFromText('_dslog', name))
}

export interface OwnerLook {
  readonly db: Database<MonitorTables>
  readonly name: Name
  /** Of the servers of the child. */
  readonly answers: readonly ChildAnswers[]
  /** Asks these servers for TXT records; undefined where one did not answer. */
  readonly ask: (name: Name) => Promise<readonly (readonly RR[] | undefined)[]>
  readonly at: number
  readonly backend: SignatureBackend
}

/** Looks for the text of a name whose owner has signed pins, and keeps what it says. */
export async function lookForOwner({ ask, db, name, ...look }: OwnerLook): Promise<void> {
  const owner = ownerTextName(name)
  if (owner === undefined || !(await hasSignedPins(db, name))) return
  const under = await db.transaction((trx) => settledSet(trx, name, look.at))
  if (under === undefined) return
  const keys = await keysUnder({ name, ...look }, under)
  if (keys === undefined) return
  const { at, backend } = look
  const sets: (readonly Uint8Array[])[] = []
  for (const records of await ask(owner)) {
    if (records === undefined) continue
    const asked = { owner, type: TYPE.TXT, zone: name, keys, at, backend }
    const set = await signedSet(records, asked)
    // Whoever answers with something else, or with nothing, shows at most that it must not be believed.
    if (set !== undefined) sets.push(set)
  }
  const [first, ...others] = sets
  if (first === undefined || !others.every((set) => sameSet(set, first))) return
  const owners = first.flatMap((rdata) => ownerOfText(textOf(rdata)) ?? [])
  await db.transaction((trx) => keepOwners(trx, { name, under, owners, at }))
}

/** Pins that their owner shows in the DNS, and which count now. */
export async function publicPins(
  db: Database<MonitorTables>,
  name: Name,
  now: number,
): Promise<PublicPins[]> {
  return db.transaction(async (trx) => {
    const said = await ownersAt(trx, name)
    if (said === undefined || said.owners.length === 0) return []
    const { changedAt, ds } = await newestOf(trx, name)
    const isSettled = changedAt === undefined || now - changedAt >= SETTLED_MS
    if (isSettled && (ds === undefined || !sameSet(ds, said.under))) return []
    if ((isSettled ? now : Math.min(now, changedAt)) - said.last > SEEN_MS) return []
    const rows = await trx
      .selectFrom('pin_set as p')
      .innerJoin('subscription as s', 's.id', 'p.subscription')
      .distinctOn('p.subscription')
      .select(['p.owner_key', 'p.signature', 'p.seq', 'p.not_after', 'p.keys'])
      .where('s.name', '=', name)
      .where('s.active', '=', true)
      .where('p.effective_at', '<=', now)
      .orderBy('p.subscription')
      .orderBy('p.id', 'desc')
      .execute()
    const shown = new Map<string, PublicPins>()
    for (const { keys, not_after, owner_key: ownerKey, seq, signature } of rows) {
      // By the newest statement alone, as everywhere.
      if (ownerKey === null || signature === null || not_after <= now) continue
      if (!said.owners.includes(toHex(sha256(ownerKey)))) continue
      const pins = decodePinList(keys).map(pinToText)
      const signed = { owner_key: toBase64(ownerKey), signature: toBase64(signature) }
      shown.set(signed.signature, { ...signed, seq, not_after, pins })
    }
    return [...shown.values()]
  })
}

async function hasSignedPins({ kysely }: Database<MonitorTables>, name: Name): Promise<boolean> {
  const row = await kysely
    .selectFrom('pin_set')
    .innerJoin('subscription', 'subscription.id', 'pin_set.subscription')
    .select('pin_set.id')
    .where('subscription.name', '=', name)
    .where('subscription.active', '=', true)
    .where('owner_key', 'is not', null)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** The DS set that every log which has the name has in force, one of them for a week. */
async function settledSet(
  trx: Transaction<MonitorTables>,
  name: Name,
  now: number,
): Promise<DsSet | undefined> {
  const { changedAt = Infinity, ds } = await newestOf(trx, name)
  return now - changedAt >= SETTLED_MS ? ds : undefined
}

/** When the newest state came into force, ms, and its DS set, where the logs that have the name agree on one. */
async function newestOf(
  trx: Transaction<MonitorTables>,
  name: Name,
): Promise<{ changedAt: number | undefined; ds: DsSet | undefined }> {
  const logs = await trx.selectFrom('followed').select('log').orderBy('log').execute()
  const states = []
  for (const { log } of logs) states.push(...inForce(await statesOf(trx, name, log)).slice(-1))
  const [first] = states
  if (first === undefined) return { changedAt: undefined, ds: undefined }
  const times = states.map(({ time }) => time)
  const isSame = states.every(({ ds }) => sameSet(ds, first.ds))
  if (!isSame) return { changedAt: Math.max(...times), ds: undefined }
  return { changedAt: Math.min(...times), ds: isSecure(first) ? first.ds : undefined }
}

/** The character-strings of a TXT record, in one; bytes beyond ASCII make no text of ours. */
function textOf(rdata: Uint8Array): string {
  let text = ''
  for (let at = 0; at < rdata.length; at += 1 + rdata[at]!) {
    text += String.fromCharCode(...rdata.subarray(at + 1, at + 1 + rdata[at]!))
  }
  return text
}
