/**
 * Processor time of this process and of a PostgreSQL server, from /proc: on a machine that others use
 * as well it says more than time on the clock.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { sql } from 'kysely'
import type { Database } from '@dslog/service/db'

/** Length of a clock tick of /proc, seconds; the same on every Linux that Node runs on. */
const TICK = 0.01

/** What something took, seconds. */
export interface Spent {
  /** On the clock. */
  readonly wall: number
  /** Of a processor, in this process, the threads that collect its garbage included. */
  readonly node: number
  /** Of a processor, in all processes of the server; not a number where /proc does not tell. */
  readonly server: number
}

/** Measures work that a server takes part in. */
export class Meter {
  readonly #postmaster: number | undefined

  private constructor(postmaster: number | undefined) {
    this.#postmaster = postmaster
  }

  static async of<T>(db: Database<T>): Promise<Meter> {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db.kysely)
    return new Meter(statOf(rows[0]!.pid)?.parent)
  }

  async spent(work: () => unknown): Promise<Spent> {
    const [server, node, wall] = [this.#server(), process.cpuUsage(), process.hrtime.bigint()]
    await work()
    const { system, user } = process.cpuUsage(node)
    return {
      wall: Number(process.hrtime.bigint() - wall) / 1e9,
      node: (user + system) / 1e6,
      server: this.#server() - server,
    }
  }

  /** Of the postmaster, of its processes that have ended, and of those that run. */
  #server(): number {
    const postmaster = this.#postmaster === undefined ? undefined : statOf(this.#postmaster)
    if (postmaster === undefined) return NaN
    let ticks = postmaster.own + postmaster.ended
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const stat = statOf(Number(pid))
      if (stat !== undefined && stat.parent === this.#postmaster) ticks += stat.own
    }
    return ticks * TICK
  }
}

/** proc(5), /proc/PID/stat: parent and ticks, its own and those of children that have ended. */
function statOf(pid: number): { parent: number; own: number; ended: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program, in parentheses, may hold anything.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    return { parent: fields[1]!, own: fields[11]! + fields[12]!, ended: fields[13]! + fields[14]! }
  } catch {
    return undefined
  }
}
