/** What services use: processor time of trees of processes (Linux, /proc), and room in tables of PostgreSQL. */
import { readdirSync, readFileSync } from 'node:fs'
import { sql } from 'kysely'
import { openDatabase } from '@dslog/service/db'

/** Of USER_HZ: the same on every Linux. */
const TICKS_A_SECOND = 100

interface Process {
  readonly parent: number
  readonly command: string
  /** Seconds, those of children that have ended included. */
  readonly cpu: number
}

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

function processes(): Map<number, Process> {
  const found = new Map<number, Process>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      // Behind the name, which may hold anything but `)`.
      const fields = readFileSync(`/proc/${entry}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
      const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
      found.set(Number(entry), { parent: Number(fields[1]), command, cpu: ticks / TICKS_A_SECOND })
    } catch {
      // It has ended meanwhile.
    }
  }
  return found
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
