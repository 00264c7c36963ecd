/** A database used again: for tests that need many small logs. */
import { sql } from 'kysely'
import { afterAll, beforeAll } from 'vitest'
import { Internet } from '@dslog/testbed/internet'
import type { Places } from '../../../test/place.ts'
import { openPlace } from '../../../test/testlog.ts'
import type { LogOptions } from '../src/log.ts'
import { SignerInTable } from '../src/signer.ts'

/** The same with nothing in it; what was signed is recorded in it too. */
export async function emptied(options: LogOptions): Promise<LogOptions> {
  const { db } = options
  await sql`truncate tree, published, signer, tile, bundle, leaf, name, zone_keys, map_bucket, zone
    restart identity cascade`.execute(db.kysely)
  return { ...options, signerRow: new SignerInTable(db) }
}

/** One database for all tests of a file. @returns gives it, with nothing in it, for a log of an internet */
export function emptyEachTime(places: Places): (net: Internet) => Promise<LogOptions> {
  let plain: LogOptions
  beforeAll(async () => {
    const { anchors } = new Internet()
    plain = await openPlace(await places.make(places.kinds.at(-1)!, anchors), () => 0)
  })
  afterAll(() => plain.db.close())
  return ({ anchors, clock }) => emptied({ ...plain, anchors, clock: clock.now })
}
