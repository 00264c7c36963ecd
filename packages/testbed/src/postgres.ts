/**
 * A PostgreSQL server for tests: the one of TEST_DATABASE_URL, or a throwaway cluster made with the binaries installed on
 * this machine, on a free port of the loopback interface, with fsync off unless told. PostgreSQL refuses to run as root, so
 * there it runs as user postgres or nobody. Tests share the server and keep apart by schema.
 */
import { spawn, type SpawnOptions } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished, freePort, Program } from './program.ts'

/** A server to test against. */
export interface TestPostgres {
  /** postgres:// URL of a role that may do everything. */
  readonly url: string
  /** Whether the server is ours, so that it can be crashed. */
  readonly owned: boolean
  /** Ends the server as a power cut would, and starts it again on the same port. Only if `owned`. */
  crash(): Promise<void>
  /** Stops the server and deletes its cluster; leaves a server alone that is not ours. */
  stop(): Promise<void>
}

/** The lowest version that dslog supports. */
const LOWEST_VERSION = 15

/** Where packages of distributions put the binaries, by version. */
const VERSIONED_FOLDERS = '/usr/lib/postgresql'

/** What PostgreSQL prints when it can be connected to; a standby takes "read-only connections". */
const READY = 'database system is ready to accept '

/** Users to run as when we are root, best first. */
const UNPRIVILEGED = ['postgres', 'nobody']

/** A cluster that forgets in a power cut what it had promised: for tests, many times faster. */
const VOLATILE: readonly string[] = ['fsync=off', 'full_page_writes=off']

/**
 * A server, or undefined (and a line that says so) where there is none.
 *
 * @param settings of a throwaway cluster, as `name=value`; benchmarks leave fsync on
 */
export async function startPostgres(
  settings: readonly string[] = VOLATILE,
): Promise<TestPostgres | undefined> {
  const given = process.env['TEST_DATABASE_URL']
  if (given !== undefined && given !== '') {
    const refuse = async (): Promise<void> => {
      throw new Error('the server of TEST_DATABASE_URL is not crashed')
    }
    return { url: given, owned: false, crash: refuse, stop: async () => {} }
  }
  const binaries = findBinaries()
  if (binaries === undefined) {
    console.log('skipped: no PostgreSQL (set TEST_DATABASE_URL, or install PostgreSQL 15 or later)')
    return undefined
  }
  return startCluster(binaries, settings)
}

/** A cluster of its own folder and port, not yet made. */
export interface Cluster {
  /** postgres:// URL of a role that may do everything. */
  readonly url: string
  /** Everything of it lies below. */
  readonly folder: string
  readonly data: string
  /** Runs one of PostgreSQL's programs to its end. */
  run(program: string, ...words: readonly string[]): Promise<void>
  /** Makes it, empty. */
  initialize(): Promise<void>
  /** Starts its server; resolves when that can be connected to. */
  launch(settings: readonly string[]): Promise<Program>
}

/** A place for a cluster, or undefined (and a line that says so) where there is no PostgreSQL. */
export async function findCluster(): Promise<Cluster | undefined> {
  const binaries = findBinaries()
  if (binaries !== undefined) return newCluster(binaries)
  console.log('skipped: no PostgreSQL on this machine (install PostgreSQL 15 or later)')
  return undefined
}

async function newCluster(binaries: string): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'dslog-postgres-'))
  const user = unprivilegedUser()
  if (user !== undefined) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const asUser: SpawnOptions = { ...user, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }
  const port = await freePort()
  const run = async (program: string, ...words: readonly string[]): Promise<void> => {
    await finished(spawn(join(binaries, program), words, asUser))
  }
  return {
    url: `postgres://dslog@127.0.0.1:${port}/postgres`,
    folder,
    data,
    run,
    async initialize() {
      const options = ['-U', 'dslog', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync']
      await run('initdb', '-D', data, ...options)
    },
    async launch(more) {
      const settings = [
        'listen_addresses=127.0.0.1',
        `port=${port}`,
        'unix_socket_directories=',
        'max_connections=50',
        ...more,
      ]
      const words = ['-D', data, ...settings.flatMap((setting) => ['-c', setting])]
      // SIGQUIT ends it at once.
      const program = Program.start(join(binaries, 'postgres'), words, asUser, 'SIGQUIT')
      await program.printed(READY)
      return program
    },
  }
}

async function startCluster(binaries: string, more: readonly string[]): Promise<TestPostgres> {
  const cluster = await newCluster(binaries)
  await cluster.initialize()
  let server = await cluster.launch(more)
  return {
    url: cluster.url,
    owned: true,
    async crash() {
      await server.end('SIGQUIT')
      server = await cluster.launch(more)
    },
    async stop() {
      await server.end('SIGINT')
      rmSync(cluster.folder, { recursive: true, force: true })
    },
  }
}

function findBinaries(): string | undefined {
  const versions = existsSync(VERSIONED_FOLDERS) ? readdirSync(VERSIONED_FOLDERS) : []
  return versions
    .filter((version) => Number(version) >= LOWEST_VERSION)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(VERSIONED_FOLDERS, version, 'bin'))
    .find((folder) => existsSync(join(folder, 'initdb')))
}

function unprivilegedUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of UNPRIVILEGED) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? []
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new Error(`no user to run PostgreSQL as: ${UNPRIVILEGED.join(', ')}`)
}
