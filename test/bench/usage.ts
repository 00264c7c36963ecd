/** What services use: processor time of trees of processes (Linux, /proc), and room in tables of PostgreSQL. */
import { sql } from 'kysely'
import { openDatabase } from '@dslog/service/db'
import { processes } from '@dslog/testbed/processes'

/** Seconds of processor of all processes whose command line looks so, and of those that they started. */
export function cpuOf(command: string): number {
  const wanted = new RegExp(command)
  const all = processes()
  const isOf = (pid: number): boolean => {
    const found = all.get(pid)
    return found !== undefined && (wanted.test(found.command) || isOf(found.parent))
  }
  return [...all].reduce((sum, [pid, { cpu }]) => (isOf(pid) ? sum + cpu : sum), 0)
}

/** Bytes of each table of a schema, its indexes among them; and how far the server's WAL is, bytes. */
export async function roomOf(
  url: string,
  schema: string,
): Promise<{ tables: Map<string, number>; wal: number }> {
  const db = await openDatabase({ url, folder: '.', poolSize: 1 })
  try {
    const { rows } = await sql<{ name: string; bytes: number }>`
      select relname as name, pg_total_relation_size(c.oid)::int8 as bytes
      from pg_class c join pg_namespace n on n.oid = relnamespace
      where nspname = ${schema} and relkind = 'r'`.execute(db.kysely)
    const { rows: positions } = await sql<{ at: number }>`
      select (pg_current_wal_lsn() - '0/0')::int8 as at`.execute(db.kysely)
    return { tables: new Map(rows.map(({ bytes, name }) => [name, bytes])), wal: positions[0]!.at }
  } finally {
    await db.close()
  }
}
