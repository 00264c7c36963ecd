/**
 * Processor time of a process of Node, this one or another, and of a PostgreSQL server: on a machine that others use as well it says
 * more than time on the clock.
 */
import { sql } from 'kysely'
import type { Database } from '@dslog/service/db'
import { cpuOf } from './usage.ts'

/** What something took, seconds. */
export interface Spent {
  /** On the clock. */
  readonly wall: number
  /** Of a processor, in that process, the threads that collect its garbage included. */
  readonly node: number
  /** Of a processor, in all processes of the server. */
  readonly server: number
}

/** Measures work that a server takes part in. */
export class Meter {
  /** The server's folder, which its command line names. */
  readonly #folder: string
  readonly #node: () => number

  private constructor(folder: string, node: () => number) {
    this.#folder = folder
    this.#node = node
  }

  /** @param node seconds that the process of Node has used; this one unless told */
  static async of<T>(db: Database<T>, node: () => number = cpuOfThis): Promise<Meter> {
    const { rows } = await sql<{ folder: string }>`
      select current_setting('data_directory') as folder`.execute(db.kysely)
    return new Meter(`-D ${rows[0]!.folder}`, node)
  }

  async spent(work: () => unknown): Promise<Spent> {
    const [server, node, wall] = [cpuOf(this.#folder), this.#node(), process.hrtime.bigint()]
    await work()
    return {
      wall: Number(process.hrtime.bigint() - wall) / 1e9,
      node: this.#node() - node,
      server: cpuOf(this.#folder) - server,
    }
  }
}

function cpuOfThis(): number {
  const { system, user } = process.cpuUsage()
  return (user + system) / 1e6
}
