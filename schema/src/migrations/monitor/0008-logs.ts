/** Several logs: what is known of each carries its number; see FollowedTable in db.ts. */
import { type Kysely, type Migration, sql } from 'kysely'
import { LOG_SUFFIXES } from '../../lognumber.ts'
import { createNameTables } from '../names.ts'

export const logsTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table followed rename column id to log`.execute(db)
    await sql`alter table followed drop constraint followed_id_check, add unique (origin)`.execute(
      db,
    )
    await sql`alter table judged rename column id to log`.execute(db)
    await sql`
      alter table judged drop constraint judged_id_check,
        add column forward int8 not null default 0`.execute(db)
    await sql`update judged set forward = next`.execute(db)
    // A constant default touches no row; then there is none, so that nothing is ever counted to the first by mistake.
    await sql`
      alter table change add column log smallint not null default 1,
        drop constraint change_pkey, add primary key (log, idx)`.execute(db)
    await sql`alter table change alter column log drop default`.execute(db)
    for (const suffix of LOG_SUFFIXES.slice(1)) {
      await createNameTables(db, suffix)
      const index = sql.ref(`zone_keys_by_idx${suffix}`)
      await sql`create index ${index} on ${sql.table(`zone_keys${suffix}`)} (idx)`.execute(db)
    }
    await sql`drop index change_by_name`.execute(db)
    await sql`create index change_by_name on change (name, log, idx)`.execute(db)
    await sql`
      alter table unlogged add column log smallint not null default 1, add column records text,
        drop constraint unlogged_pkey, add primary key (log, name, state)`.execute(db)
    await sql`alter table unlogged alter column log drop default`.execute(db)
    await sql`
      alter table misbehaviour drop constraint misbehaviour_identity_key,
        add unique (origin, identity)`.execute(db)
  },
}
