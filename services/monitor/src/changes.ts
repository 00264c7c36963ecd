/** Changes of delegations in verified trees, for whoever wants to list them. */
import type { Name } from '@dslog/dnssec/name'
import type { ChangeTable, MonitorTables } from '@dslog/schema/db'
import type { Database } from '@dslog/service/db'
import type { Reader } from './records.ts'

/** A change, and the log it is in. */
export type ChangeRow = ChangeTable & { readonly origin: string }

export class Changes {
  readonly #db: Database<MonitorTables>

  constructor(db: Database<MonitorTables>) {
    this.#db = db
  }

  /** Changes of one log with indices [from, to), in its order. */
  async between(origin: string, from: number, to: number, limit: number): Promise<ChangeRow[]> {
    return changeRows(this.#db.kysely)
      .where('followed.origin', '=', origin)
      .where('idx', '>=', from)
      .where('idx', '<', to)
      .orderBy('idx')
      .limit(limit)
      .execute()
  }

  of(name: Name): Promise<ChangeRow[]> {
    return changesOf(this.#db.kysely, name)
  }

  /** The newest changes, of one name or of all, the newest first. */
  async newest(limit: number, name?: Name): Promise<ChangeRow[]> {
    const logs = await this.#db.kysely.selectFrom('followed').select('log').execute()
    const newest: ChangeRow[] = []
    // Each by the order of its index: over all of them there is none.
    for (const { log } of logs) {
      const rows = await changeRows(this.#db.kysely)
        .where('change.log', '=', log)
        .$if(name !== undefined, (query) => query.where('name', '=', name!))
        .orderBy('idx', 'desc')
        .limit(limit)
        .execute()
      newest.push(...rows)
    }
    return newest.sort((a, b) => b.time - a.time || b.idx - a.idx).slice(0, limit)
  }
}

/** All changes of one name, log by log, each in its order. */
export async function changesOf(db: Reader, name: Name): Promise<ChangeRow[]> {
  return changeRows(db).where('name', '=', name).orderBy('change.log').orderBy('idx').execute()
}

function changeRows(db: Reader) {
  return db
    .selectFrom('change')
    .innerJoin('followed', 'followed.log', 'change.log')
    .selectAll('change')
    .select('followed.origin')
}
