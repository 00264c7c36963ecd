/** Whether the log was ended for good: the signer row says so, since it outlives a restored database. */
import { type Kysely, type Migration, sql } from 'kysely'

export const frozenSigner: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table signer add column frozen boolean not null default false`.execute(db)
  },
}
