/**
 * Asking a channel whether it wants to be one: how often that may be done to one address, and by one
 * source, so that nobody floods a mailbox through us.
 */
import { sql, type Transaction } from 'kysely'
import { utf8 } from '@dslog/tlog/bytes'
import { sha256 } from '@dslog/tlog/hash'
import { type Name, nameToText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { DAY, HOUR } from '@dslog/schema/time'
import { newToken } from '@dslog/service/http/bearer'
import { say } from './notice.ts'
import { OwnerError } from './owner-error.ts'
import { mailboxKey, type Target } from './target.ts'
import { hashToken } from './token.ts'

/** How long a request can be confirmed, ms. */
export const CONFIRM_SPAN_MS: number = 48 * HOUR

/** Requests to confirm that one address gets in a day, whoever asks. */
const OPT_INS_PER_TARGET = 3

/** Requests to confirm that one source may cause in an hour. */
const OPT_INS_PER_SOURCE = 20

/** Counts a request to confirm, or refuses it. */
export async function takeOptIn(
  trx: Transaction<MonitorTables>,
  target: Target,
  source: string,
  now: number,
): Promise<void> {
  const keys = { target: sha256(utf8(mailboxKey(target))), source: sha256(utf8(source)) }
  // Requests of the same moment must not all count the same ones before them.
  await sql`lock table opt_in in share row exclusive mode`.execute(trx)
  const { rows } = await sql<{ to_target: number; of_source: number }>`
    select (select count(*)::int8 from opt_in where target = ${keys.target} and at > ${now - DAY}::int8) as to_target,
      (select count(*)::int8 from opt_in where source = ${keys.source} and at > ${now - HOUR}::int8) as of_source`.execute(
    trx,
  )
  const { of_source: ofSource, to_target: toTarget } = rows[0]!
  if (ofSource >= OPT_INS_PER_SOURCE) {
    throw new OwnerError('limit', `no more than ${OPT_INS_PER_SOURCE} requests to confirm an hour`)
  }
  if (toTarget >= OPT_INS_PER_TARGET) {
    throw new OwnerError(
      'limit',
      `no more than ${OPT_INS_PER_TARGET} requests to confirm a day go to one address`,
    )
  }
  await trx
    .insertInto('opt_in')
    .values({ ...keys, at: now })
    .execute()
}

/** Sends a channel the token that confirms it. */
export async function askToConfirm(
  trx: Transaction<MonitorTables>,
  channel: string,
  name: Name,
  now: number,
): Promise<void> {
  const token = newToken()
  const until = now + CONFIRM_SPAN_MS
  await trx
    .updateTable('channel')
    .set({ confirm_hash: hashToken(token)!, confirm_until: until })
    .where('id', '=', channel)
    .execute()
  await say(trx, channel, 'confirm', { name: nameToText(name), token, until }, now)
}
