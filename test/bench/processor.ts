/**
 * Processor time of this process and of a PostgreSQL server: on a machine that others use as well it says
 * more than time on the clock.
 */
import { sql } from 'kysely'
import type { Database } from '@dslog/service/db'
import { cpuOf } from './usage.ts'

/** What something took, seconds. */
export interface Spent {
  /** On the clock. */
  readonly wall: number
  /** Of a processor, in this process, the threads that collect its garbage included. */
  readonly node: number
  /** Of a processor, in all processes of the server. */
  readonly server: number
}

/** Measures work that a server takes part in. */
export class Meter {
  /** The server's folder, which its command line names. */
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async of<T>(db: Database<T>): Promise<Meter> {
    const { rows } = await sql<{ folder: string }>`
      select current_setting('data_directory') as folder`.execute(db.kysely)
    return new Meter(`-D ${rows[0]!.folder}`)
  }

  async spent(work: () => unknown): Promise<Spent> {
    const [server, node, wall] = [cpuOf(this.#folder), process.cpuUsage(), process.hrtime.bigint()]
    await work()
    const { system, user } = process.cpuUsage(node)
    return {
      wall: Number(process.hrtime.bigint() - wall) / 1e9,
      node: (user + system) / 1e6,
      server: cpuOf(this.#folder) - server,
    }
  }
}
