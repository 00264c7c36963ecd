/**
 * Databases of both kinds for tests. Creating an embedded one takes seconds, so each starts as a copy of a template that is
 * made once per version of PGlite. PostgreSQL is used where there is one.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'
import { openDatabase } from '@dslog/service/db'
import type { Database, DatabaseOptions } from '@dslog/service/db'
import { startPostgres } from '@dslog/testbed/postgres'

/** The server, if there is one. */
export const postgres = await startPostgres()

export const kinds: readonly Database<unknown>['kind'][] =
  postgres === undefined ? ['embedded'] : ['embedded', 'postgres']

/** Everything embedded lies below. */
export const folder = mkdtempSync(join(tmpdir(), 'dslog-service-'))

/** Folder of an empty embedded database. */
export const template = await makeTemplate()

let places = 0
const opened: Pick<Database<unknown>, 'close'>[] = []

afterAll(async () => {
  for (const db of opened) await db.close().catch(() => {})
  await postgres?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** A place for one database, empty at first; it can be opened again and again. */
export function newPlace(kind: Database<unknown>['kind']) {
  const name = `place_${process.pid}_${places++}`
  const options: DatabaseOptions = {
    folder: join(folder, name),
    template,
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
}

async function makeTemplate(): Promise<string> {
  const entry = createRequire(import.meta.url).resolve('@electric-sql/pglite')
  const { version } = JSON.parse(readFileSync(join(entry, '../../package.json'), 'utf8')) as {
    version: string
  }
  const cache = fileURLToPath(new URL('../../../test/.cache/', import.meta.url))
  const made = join(cache, `pglite-${version}`)
  if (existsSync(made)) return made
  mkdirSync(cache, { recursive: true })
  const making = mkdtempSync(join(cache, 'making-'))
  const db = await openDatabase({ folder: making })
  await db.close()
  try {
    renameSync(making, made)
  } catch {
    // Another test process was faster.
    rmSync(making, { recursive: true })
  }
  return made
}
