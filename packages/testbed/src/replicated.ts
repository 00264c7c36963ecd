/**
 * PostgreSQL servers that follow each other on the loopback interface: a primary, a synchronous standby of it, and,
 * if asked for, a replica to read from that nobody waits for. All stream.
 */
import { rmSync } from 'node:fs'
import { type Cluster, findCluster } from './postgres.ts'
import type { Program } from './program.ts'

/** See the head of this file. */
export interface ReplicatedPostgres {
  /** postgres:// URL of the primary, by a role that may do everything. */
  readonly primary: string
  /** And of the standby; it only reads until it is promoted. */
  readonly standby: string
  /** And of the replica, if there is one. */
  readonly replica: string | undefined
  /** Ends the primary as a power cut would, for good. */
  killPrimary(): Promise<void>
  /** Ends the standby likewise. */
  killStandby(): Promise<void>
  /** Starts the standby again. */
  startStandby(): Promise<void>
  /** Ends the replica as a power cut would, for good. */
  killReplica(): Promise<void>
  /** Makes the standby the primary. */
  promote(): Promise<void>
  /** Ends all and deletes their clusters. */
  stop(): Promise<void>
}

/** What else the servers are told. */
export interface ReplicatedOptions {
  /** Settings of each, as `name=value`; benchmarks leave fsync on. */
  readonly settings?: readonly string[]
  readonly replica?: boolean
}

/** None survives a power cut of the machine; what a test does to them, all do. */
const VOLATILE: readonly string[] = ['fsync=off']

/** Kept for a copy that has not connected yet: another one that is made meanwhile begins a new segment. */
const WAL = 'wal_keep_size=256MB'

/** How the primary knows the standby: commits wait for it alone. */
const STANDBY = 'standby'

/** The servers, or undefined (and a line that says so) where there is no PostgreSQL. */
export async function startReplicated({
  settings = VOLATILE,
  replica: wantsReplica = false,
}: ReplicatedOptions = {}): Promise<ReplicatedPostgres | undefined> {
  const primary = await findCluster()
  const standby = primary && (await findCluster())
  if (primary === undefined || standby === undefined) return undefined
  const replica = wantsReplica ? await findCluster() : undefined
  await primary.initialize()
  // Copies are made before commits wait for one of them.
  let first = await primary.launch([...settings, WAL])
  for (const copy of [standby, replica]) if (copy !== undefined) await copyTo(copy, primary)
  await first.end('SIGINT')
  first = await primary.launch([...settings, WAL, `synchronous_standby_names=${STANDBY}`])
  const follow = (copy: Cluster, name: string): Promise<Program> =>
    copy.launch([...settings, `cluster_name=${name}`, 'hot_standby_feedback=on'])
  let second = await follow(standby, STANDBY)
  const third = replica && (await follow(replica, 'replica'))
  return {
    primary: primary.url,
    standby: standby.url,
    replica: replica?.url,
    killPrimary: () => first.end('SIGQUIT'),
    killStandby: () => second.end('SIGQUIT'),
    async startStandby() {
      second = await follow(standby, STANDBY)
    },
    async killReplica() {
      await third?.end('SIGQUIT')
    },
    promote: () => standby.run('pg_ctl', 'promote', '-D', standby.data, '-w', '-t', '60'),
    async stop() {
      for (const program of [first, second, third]) await program?.end('SIGQUIT')
      for (const cluster of [primary, standby, replica]) {
        if (cluster !== undefined) rmSync(cluster.folder, { recursive: true, force: true })
      }
    },
  }
}

async function copyTo(copy: Cluster, primary: Cluster): Promise<void> {
  const { port } = new URL(primary.url)
  const from = ['-h', '127.0.0.1', '-p', port, '-U', 'dslog']
  const how = ['-R', '-X', 'stream', '--checkpoint=fast', '--no-sync']
  await copy.run('pg_basebackup', ...from, '-D', copy.data, ...how)
}
