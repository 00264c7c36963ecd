/**
 * A PostgreSQL server that keeps its promises: a throwaway cluster with fsync on and commits that wait
 * for the disk, with the memory that somebody who runs it for this would give it. Each log has a
 * database of its own.
 */
import { sql } from 'kysely'
import { LOG_MIGRATIONS } from '@dslog/schema/migrate'
import type { LogTables } from '@dslog/schema/db'
import { LOG_SCHEMA } from '@dslog/log/files'
import { newKey, noteSignerOf } from '@dslog/log/key'
import type { LogOptions } from '@dslog/log/log'
import { SignerFile, SignerInTable } from '@dslog/log/signer'
import { type Database, openDatabase } from '@dslog/service/db'
import { migrate } from '@dslog/service/migrate'
import { startPostgres } from '@dslog/testbed/postgres'
import { join } from 'node:path'
import { type Evidence, START } from './evidence.ts'
import type { Bench } from './harness.ts'

/** The rest is as PostgreSQL comes; see docs/performance.md. */
const SETTINGS = ['shared_buffers=1GB', 'max_wal_size=8GB', 'checkpoint_timeout=15min']

const servers = new WeakMap<Bench, Promise<string | undefined>>()
let databases = 0

/** URL of the server, the same for all benchmarks; `undefined` where there is none. */
export function serverUrl(bench: Bench): Promise<string | undefined> {
  let url = servers.get(bench)
  if (url === undefined) {
    url = startPostgres(SETTINGS).then((server) => {
      if (server !== undefined) bench.after(() => server.stop())
      return server?.url
    })
    servers.set(bench, url)
  }
  return url
}

/** A new database on the server; its URL. */
export async function createDatabase(bench: Bench, server: string): Promise<string> {
  const database = `bench_${process.pid}_${databases++}`
  const admin = await openDatabase({ url: server, folder: bench.folder() })
  await sql`create database ${sql.id(database)}`.execute(admin.kysely)
  await admin.close()
  return urlOf(server, database)
}

/** URL of a database of the server. */
export function urlOf(server: string, database: string): string {
  return server.replace(/\/[^/]*$/, `/${database}`)
}

/** A new database of a log: on the server, or embedded. */
async function newDatabase(
  bench: Bench,
  url: string | undefined,
): Promise<{ db: Database<LogTables>; folder: string }> {
  const folder = bench.folder()
  const place =
    url === undefined ? {} : { url: await createDatabase(bench, url), schema: LOG_SCHEMA }
  const db = await openDatabase<LogTables>({ folder: join(folder, 'log'), ...place })
  await migrate(db, LOG_MIGRATIONS)
  bench.after(() => db.close())
  return { db, folder }
}

/** What a log of made-up evidence is opened with; its clock goes on a second at each look. */
export async function newLogOptions(
  bench: Bench,
  url: string | undefined,
  evidence: Evidence,
): Promise<LogOptions> {
  const { db, folder } = await newDatabase(bench, url)
  let now = START
  const clock = (): number => (now += 1000)
  const row =
    url === undefined ? new SignerFile(join(folder, 'signer.json')) : new SignerInTable(db)
  const signers = [noteSignerOf(newKey('bench.example/log'), clock)]
  return { db, signerRow: row, signers, anchors: evidence.anchors, clock }
}
