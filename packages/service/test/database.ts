/** Databases of both kinds for tests. PostgreSQL is used where there is one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openDatabase } from '@dslog/service/db'
import type { Database, DatabaseOptions } from '@dslog/service/db'
import { startPostgres } from '@dslog/testbed/postgres'

/** Databases for the tests of one file. Everything is gone when they have run. */
export async function databases() {
  const postgres = await startPostgres()
  const folder = mkdtempSync(join(tmpdir(), 'dslog-service-'))
  const kinds: readonly Database<unknown>['kind'][] =
    postgres === undefined ? ['embedded'] : ['embedded', 'postgres']
  let places = 0
  const opened: Pick<Database<unknown>, 'close'>[] = []

  afterAll(async () => {
    for (const db of opened) await db.close().catch(() => {})
    await postgres?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  return {
    /** The server, if there is one. */
    postgres,
    /** Everything embedded lies below. */
    folder,
    kinds,

    /** A place for one database, empty at first; it can be opened again and again. */
    newPlace(kind: Database<unknown>['kind']) {
      const name = `place_${process.pid}_${places++}`
      const options: DatabaseOptions = {
        folder: join(folder, name),
        ...(kind === 'postgres' && { url: postgres!.url, schema: name }),
      }
      return {
        options,
        async open<T>(more: Partial<DatabaseOptions> = {}): Promise<Database<T>> {
          const db = await openDatabase<T>({ ...options, ...more })
          opened.push(db)
          return db
        },
      }
    },
  }
}
