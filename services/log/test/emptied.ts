/** A database used again: for tests that need many small logs. */
import { sql } from 'kysely'
import type { LogOptions } from '../src/log.ts'
import { SignerInTable } from '../src/signer.ts'

/** The same with nothing in it; what was signed is recorded in it too. */
export async function emptied(options: LogOptions): Promise<LogOptions> {
  const { db } = options
  await sql`truncate tree, published, signer, tile, bundle, leaf, name, zone_keys, map_bucket, zone
    restart identity cascade`.execute(db.kysely)
  return { ...options, signerRow: new SignerInTable(db) }
}
