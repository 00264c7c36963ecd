/**
 * dslog as it is deployed at scale, as processes on this machine: a PostgreSQL primary with a synchronous standby and a
 * replica, under the roles of deploy/; a log; crawlers on one queue; two processes that only read, one from each copy,
 * behind nginx as deploy/nginx has it; a monitor with a server of its own. Crawlers and monitor have a clock that goes
 * faster, and crawlers no bound on questions: the servers are ours.
 */
import { spawn, type SpawnOptions } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { finished, freePort, isInstalled, type Program } from '@dslog/testbed/program'
import { startPostgres } from '@dslog/testbed/postgres'
import { type ReplicatedPostgres, startReplicated } from '@dslog/testbed/replicated'
import { dnsEnv } from '../dnsenv.ts'
import { DSLOG, FROM_SOURCE, REPOSITORY } from '../repository.ts'
import type { Bench } from './harness.ts'
import { start, TOKEN } from './running.ts'

const CRAWLER = fileURLToPath(new URL('../crawlworker.ts', import.meta.url))
const MONITOR = fileURLToPath(new URL('fastmonitor.ts', import.meta.url))
const NGINX = join(REPOSITORY, 'deploy/nginx/readers.conf')
const ROLES = join(REPOSITORY, 'deploy/postgres/roles.sql')

/** Where deploy/nginx has them. */
const PORTS = { log: 8080, standby: 8083, replica: 8084, nginx: 8090 } as const

const QUIET: SpawnOptions['stdio'] = ['ignore', 'pipe', 'pipe']

/** As somebody who runs it for this would set them, but for the size of this machine. */
const SETTINGS = [
  'shared_buffers=512MB',
  'max_wal_size=4GB',
  'checkpoint_timeout=15min',
  'max_connections=100',
]

export interface DeploymentOptions {
  readonly anchors: string
  /** Zone files to begin with, the root first. */
  readonly zones: readonly string[]
  /** Name server of all of them. */
  readonly dnsPort: number
  /** Files that crawlers look at for what has changed. */
  readonly triggers: readonly string[]
  /** smtp:// of the mail server. */
  readonly smtp: string
  /** Text of the monitor's watch list. */
  readonly watchlist: string
  readonly crawlers: number
  /** How much faster the clocks of crawlers and monitor go. */
  readonly speed: number
}

/** See the head of this file. */
export class Deployment {
  /** Of the log itself; of nginx; of the monitor. */
  readonly log: string
  readonly public: string
  readonly monitor: string
  readonly database: ReplicatedPostgres
  readonly monitorDatabase: string
  /** Where nginx writes who asked for what. */
  readonly accessLog: string
  /** By what command line processes of each part are known, for their processor time. */
  readonly parts: Readonly<Record<string, string>>
  /** Seconds that the import of the zone files took. */
  readonly imported: number
  readonly #crawlers: readonly Program[]

  private constructor(
    parts: Omit<Deployment, 'crawlersFollow' | 'killCrawler'> & {
      readonly crawlers: readonly Program[]
    },
  ) {
    this.log = parts.log
    this.public = parts.public
    this.monitor = parts.monitor
    this.database = parts.database
    this.monitorDatabase = parts.monitorDatabase
    this.accessLog = parts.accessLog
    this.parts = parts.parts
    this.imported = parts.imported
    this.#crawlers = parts.crawlers
  }

  /** All of it, running; `undefined`, and said so, where PostgreSQL, psql or nginx is missing. */
  static async start(bench: Bench, options: DeploymentOptions): Promise<Deployment | undefined> {
    if (!isInstalled('nginx', 'psql')) return undefined
    const database = await startReplicated({ settings: SETTINGS, replica: true })
    if (database === undefined) return undefined
    bench.after(() => database.stop())
    const own = (await startPostgres(SETTINGS))!
    bench.after(() => own.stop())

    const folder = bench.folder()
    const data = join(folder, 'log')
    mkdirSync(data)
    const anchors = join(folder, 'anchors')
    writeFileSync(anchors, options.anchors)
    // Every role has the trust of the loopback here; what it may do is what it may do in earnest.
    const as = (role: string, url: string): string =>
      Object.assign(new URL(url), { username: `dslog_${role}`, pathname: '/dslog' }).href
    for (const url of [database.primary, own.url]) {
      await psql(url, ['--command', 'create database dslog'])
      await psql(Object.assign(new URL(url), { pathname: '/dslog' }).href, ['--file', ROLES])
    }
    const common = { ...plain(), DSLOG_ANCHORS: anchors, DSLOG_DATA: data, DSLOG_LOG_LEVEL: 'warn' }
    const migrating = { ...common, DATABASE_URL: as('owner', database.primary) }
    await dslog(['migrate', '--role', 'dslog_log', '--reader', 'dslog_log_reader'], migrating)
    await dslog(['migrate', 'crawler', '--role', 'dslog_crawler'], migrating)
    const elsewhere = { ...common, DATABASE_URL: as('owner', own.url) }
    await dslog(['migrate', 'monitor', '--role', 'dslog_monitor'], elsewhere)
    const made = await dslog(['keygen', '--origin', 'log.example/bench', '--json'], common)
    const policy = join(data, 'policy')
    writeFileSync(policy, (JSON.parse(made) as { policy: string }).policy)
    const signing = { ...common, DSLOG_LOG_SIGNER_PATH: join(data, 'signer.json') }

    const before = performance.now()
    await dslog(['import', '--quiet', ...options.zones], {
      ...signing,
      DATABASE_URL: as('owner', database.primary),
    })
    const imported = (performance.now() - before) / 1000

    const port = await freePort()
    const log = await start(bench, [DSLOG, 'log'], port, {
      ...signing,
      DATABASE_URL: as('log', database.primary),
      DSLOG_LOG_PORT: String(port),
      DSLOG_LOG_SYNCHRONOUS: 'true',
      DSLOG_LOG_TRUST_PROXY: '127.0.0.1',
      DSLOG_LOG_RATE_LIMIT: '1000000',
      DSLOG_OPERATOR_TOKEN: TOKEN,
    })
    const ports = { log: port, standby: 0, replica: 0, nginx: await freePort() }
    for (const copy of ['standby', 'replica'] as const) {
      ports[copy] = await freePort()
      await start(bench, [DSLOG, 'log', '--read-only'], ports[copy], {
        ...common,
        DATABASE_URL: as('log_reader', database[copy]!),
        DSLOG_LOG_PORT: String(ports[copy]),
        DSLOG_LOG_POLICY: policy,
        DSLOG_LOG_TRUST_PROXY: '127.0.0.1',
        DSLOG_LOG_RATE_LIMIT: '1000000',
      })
    }
    const nginx = await startNginx(bench, ports)

    const crawlers = Array.from({ length: options.crawlers }, (_, i) =>
      run(bench, `crawler ${i}`, CRAWLER, {
        ...common,
        DSLOG_DATA: bench.folder(),
        DATABASE_URL: as('crawler', database.primary),
        DSLOG_CRAWLER_POOL_SIZE: '6',
        DSLOG_CRAWLER_PORT: '0',
        DSLOG_CRAWLER_LOG_URL: log,
        ...dnsEnv(['127.0.0.1'], options.dnsPort),
        DSLOG_CRAWLER_TRANSFERS: 'none',
        DSLOG_CRAWLER_ZONE_FILES: options.triggers.map((file) => `trigger:${file}`).join(),
        DSLOG_CRAWLER_TRANSFER_INTERVAL: '60s',
        DSLOG_OPERATOR_TOKEN: TOKEN,
        DSLOG_TEST_SPEED: String(options.speed),
      }),
    )

    const watchlist = join(folder, 'watchlist')
    writeFileSync(watchlist, options.watchlist)
    const monitorPort = await freePort()
    const url = `http://127.0.0.1:${ports.nginx}`
    run(bench, 'monitor', MONITOR, {
      ...common,
      DSLOG_DATA: bench.folder(),
      DATABASE_URL: as('monitor', own.url),
      DSLOG_MONITOR_PORT: String(monitorPort),
      DSLOG_MONITOR_POLICY: policy,
      DSLOG_MONITOR_LOG_URL: url,
      DSLOG_MONITOR_INTERVAL: '10s',
      DSLOG_MONITOR_PROBE: 'false',
      DSLOG_MONITOR_SMTP: options.smtp,
      DSLOG_MONITOR_URL: 'https://monitor.example',
      DSLOG_MONITOR_WATCHLIST: watchlist,
      DSLOG_TEST_SPEED: String(options.speed),
    })
    return new Deployment({
      log,
      public: url,
      monitor: `http://127.0.0.1:${monitorPort}`,
      database,
      monitorDatabase: own.url,
      accessLog: nginx.accessLog,
      imported,
      crawlers,
      parts: {
        log: `${DSLOG} log$`,
        crawlers: CRAWLER,
        'readers of the log': `${DSLOG} log --read-only$`,
        nginx: `nginx.* ${nginx.folder}`,
        monitor: MONITOR,
        primary: portOf(database.primary),
        standby: portOf(database.standby),
        replica: portOf(database.replica!),
        "the monitor's PostgreSQL": portOf(own.url),
      },
    })
  }

  /** Whether the crawlers know what the log has, up to a size. */
  async crawlersFollow(size: number): Promise<boolean> {
    const url = Object.assign(new URL(this.database.primary), { pathname: '/dslog' }).href
    const text = await psql(url, ['-At', '--command', 'select after from crawler.followed_log'])
    return Number(text) >= size
  }

  /** Ends a crawler as a power cut would, for good. */
  async killCrawler(index: number): Promise<void> {
    await this.#crawlers[index]!.end('SIGKILL')
  }
}

function portOf(url: string): string {
  return `postgres .*port=${new URL(url).port} `
}

/** The environment without settings of ours. */
function plain(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || /^(DSLOG_|DATABASE_URL)/.test(name) ? [] : [[name, value]],
    ),
  )
}

function dslog(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  return finished(spawn(process.execPath, [DSLOG, ...args], { env, stdio: QUIET }))
}

function psql(url: string, args: readonly string[]): Promise<string> {
  const quiet = ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1']
  return finished(spawn('psql', [...quiet, url, ...args], { stdio: QUIET }))
}

/** A program of the sources. */
function run(
  bench: Bench,
  name: string,
  file: string,
  env: Readonly<Record<string, string>>,
): Program {
  const args = [...FROM_SOURCE, file]
  return bench.start(name, process.execPath, args, env)
}

/** deploy/nginx as it is, but for ports and folders. */
async function startNginx(
  bench: Bench,
  ports: Readonly<Record<keyof typeof PORTS, number>>,
): Promise<{ folder: string; accessLog: string }> {
  const folder = bench.folder()
  let readers = readFileSync(NGINX, 'utf8').replace('/var/cache/nginx', folder)
  for (const [name, port] of Object.entries(PORTS)) {
    readers = readers.replaceAll(
      `127.0.0.1:${port}`,
      `127.0.0.1:${ports[name as keyof typeof PORTS]}`,
    )
  }
  writeFileSync(join(folder, 'readers.conf'), readers)
  const accessLog = join(folder, 'access.log')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  const root = process.getuid?.() === 0 ? 'user root;' : ''
  const config = `${root} daemon off; pid ${folder}/pid; error_log stderr error; events {}
    http {
      ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
      log_format used '$status $request_length $bytes_sent $upstream_cache_status|$http_user_agent';
      access_log ${accessLog} used;
      include ${folder}/readers.conf;
    }`
  writeFileSync(join(folder, 'nginx.conf'), config)
  const nginx = bench.start('nginx', 'nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')])
  const url = `http://127.0.0.1:${ports.nginx}/checkpoint`
  await nginx.until(() =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
  return { folder, accessLog }
}
