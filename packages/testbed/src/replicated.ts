/** Two PostgreSQL servers, a primary and a synchronous standby of it, streaming, on the loopback interface. */
import { rmSync } from 'node:fs'
import { findCluster } from './postgres.ts'

/** See the head of this file. */
export interface ReplicatedPostgres {
  /** postgres:// URL of the primary, by a role that may do everything. */
  readonly primary: string
  /** And of the standby; it only reads until it is promoted. */
  readonly standby: string
  /** Ends the primary as a power cut would, for good. */
  killPrimary(): Promise<void>
  /** Ends the standby likewise. */
  killStandby(): Promise<void>
  /** Starts the standby again. */
  startStandby(): Promise<void>
  /** Makes the standby the primary. */
  promote(): Promise<void>
  /** Ends both and deletes their clusters. */
  stop(): Promise<void>
}

/** Both servers, or undefined (and a line that says so) where there is no PostgreSQL. */
export async function startReplicated(): Promise<ReplicatedPostgres | undefined> {
  const primary = await findCluster()
  const standby = primary && (await findCluster())
  if (primary === undefined || standby === undefined) return undefined
  await primary.initialize()
  // The copy is made before commits wait for it.
  let first = await primary.launch(VOLATILE)
  const { port } = new URL(primary.url)
  const from = ['-h', '127.0.0.1', '-p', port, '-U', 'dslog']
  const how = ['-R', '-X', 'stream', '--checkpoint=fast', '--no-sync']
  await standby.run('pg_basebackup', ...from, '-D', standby.data, ...how)
  await first.end('SIGINT')
  first = await primary.launch([...VOLATILE, 'synchronous_standby_names=*'])
  let second = await standby.launch(VOLATILE)
  return {
    primary: primary.url,
    standby: standby.url,
    killPrimary: () => first.end('SIGQUIT'),
    killStandby: () => second.end('SIGQUIT'),
    async startStandby() {
      second = await standby.launch(VOLATILE)
    },
    promote: () => standby.run('pg_ctl', 'promote', '-D', standby.data, '-w', '-t', '60'),
    async stop() {
      await first.end('SIGQUIT')
      await second.end('SIGQUIT')
      for (const { folder } of [primary, standby]) rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Neither survives a power cut of the machine; of what a test does to them, both do. */
const VOLATILE: readonly string[] = ['fsync=off']
