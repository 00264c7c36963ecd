/**
 * docker-compose.yml without containers: its own commands, settings, secrets, order and health checks, on a
 * real PostgreSQL server. What is a path or a host name in a container is another one here; nothing else
 * differs. Where we are root, the services run as somebody else, as in the image.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePort, isInstalled } from '@dslog/testbed/program'
import { startPostgres, type TestPostgres } from '@dslog/testbed/postgres'
import { type ComposeService, readCompose } from '../deploy/compose.ts'
import { type Service, SERVICES } from '../deploy/services.ts'
import { dnsEnv } from '../dnsenv.ts'
import { DSLOG, REPOSITORY } from '../repository.ts'
import { Folders } from './dslog.ts'

/** Ids of the image's user; files of the checkout may be closed to it, so it is tried. */
const USER = 1000
const READY_MS = 90_000

const folders = new Folders()
const compose = readCompose()
const postgres: TestPostgres | undefined = isInstalled('psql') ? await startPostgres() : undefined

const asUser =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, [DSLOG, '--version'], { uid: USER, gid: USER }).status === 0
    ? { uid: USER, gid: USER }
    : {}

describe.skipIf(postgres === undefined)('docker-compose.yml', () => {
  const secrets = folders.make()
  const volumes = folders.make()
  const ports: Partial<Record<Service, number>> = {}
  const running: ChildProcess[] = []
  const said: string[] = []
  let server: URL

  beforeAll(async () => {
    server = new URL(postgres!.url)
    const made = spawnSync(join(REPOSITORY, 'deploy/secrets.sh'), [secrets])
    if (made.status !== 0) throw new Error(made.stderr.toString())
    for (const name of SERVICES) ports[name] = await freePort()
    mkdirSync(volumes)
    // In a container a secret is a file of its own, whoever may look into the folder outside.
    for (const path of [dirname(secrets), volumes, secrets]) chmodSync(path, 0o755)
    for (const name of [...Object.keys(compose.services), ...Object.keys(compose.volumes)]) {
      const path = join(volumes, name)
      mkdirSync(path, { recursive: true })
      if ('uid' in asUser) chownSync(path, USER, USER)
    }
    // The host of the URLs is the name of a container; its password is not asked for on this server.
    for (const role of ['owner', 'log', 'log-reader', 'crawler', 'monitor']) {
      const file = join(secrets, `${role}-database-url`)
      const url = new URL(readFileSync(file, 'utf8'))
      url.host = server.host
      chmodSync(file, 0o644)
      writeFileSync(file, url.href)
    }
  })

  afterAll(async () => {
    for (const child of running.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    await postgres?.stop()
    folders.remove()
  })

  /** Folders of a service in its container, and here. */
  function placesOf(name: string, { volumes: mounts = [] }: ComposeService): string[][] {
    return mounts.map((mount) => {
      const [source, target] = mount.split(':')
      // An anonymous volume is the service's own.
      return target === undefined
        ? [source!, join(volumes, name)]
        : [target, join(volumes, source!)]
    })
  }

  /** The environment of a service, with what is elsewhere here. */
  function environmentOf(name: string, service: ComposeService) {
    const places = placesOf(name, service)
    const env: Record<string, string> = {
      PATH: process.env['PATH'] ?? '',
      // As the image sets them.
      NODE_ENV: 'production',
      DSLOG_DATA: '/data',
      // Nothing of the internet is asked.
      ...dnsEnv(['127.0.0.1'], 9),
      DSLOG_CRAWLER_TRANSFERS: '.@127.0.0.1',
      ...service.environment,
      DSLOG_LOG_URL: '',
    }
    for (const service of SERVICES) {
      env[`DSLOG_${service.toUpperCase()}_HOST`] = '127.0.0.1'
      env[`DSLOG_${service.toUpperCase()}_PORT`] = String(ports[service])
    }
    for (const [variable, value] of Object.entries(env)) {
      const here = value.replace('/run/secrets', secrets).replace('http://log:8080', urlOf('log'))
      env[variable] = inPlace(here, places)
    }
    return env
  }

  /** A path in a container, where it is here. */
  function inPlace(path: string, places: readonly (readonly string[])[]): string {
    const mount = places.find(([target]) => path === target || path.startsWith(`${target}/`))
    return mount === undefined ? path : path.replace(mount[0]!, mount[1]!)
  }

  const urlOf = (service: Service): string => `http://127.0.0.1:${ports[service]}`

  function start(name: string, args: readonly string[], own: NodeJS.ProcessEnv = {}): ChildProcess {
    const env = { ...environmentOf(name, compose.services[name]!), ...own }
    const child = spawn(process.execPath, [DSLOG, ...args], { env, cwd: volumes, ...asUser })
    running.push(child)
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => said.push(chunk.toString()))
    }
    return child
  }

  /** What a command that ends has to say. */
  async function run(
    name: string,
    args: readonly string[],
  ): Promise<{ code: unknown; out: string }> {
    const child = start(name, args)
    const [out, [code]] = await Promise.all([text(child.stdout!), once(child, 'close')])
    return { code, out }
  }

  function handOnPolicy(): void {
    const { policy } = compose.services
    const [program = '', ...words] = policy.entrypoint!
    const places = placesOf('policy', policy)
    const done = spawnSync(
      program,
      words.map((word) => inPlace(word, places)),
      asUser,
    )
    expect(done.status, done.stderr.toString()).toBe(0)
  }

  async function healthy(name: Service): Promise<void> {
    const [, ...check] = compose.services[name].healthcheck!.test
    expect(check.slice(0, 2)).toEqual(['node', '/app/packages/cli/bin/dslog.js'])
    const end = Date.now() + READY_MS
    for (;;) {
      const { code } = await run(name, check.slice(2))
      if (code === 0) return
      if (Date.now() > end) throw new Error(`${name} is not ready: ${said.join('')}`)
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
  }

  it('makes roles and databases', () => {
    const { hostname, port, username } = server
    const createdb = spawnSync('psql', [postgres!.url, '--command', 'create database dslog'])
    expect(createdb.status, createdb.stderr.toString()).toBe(0)
    const env = {
      PATH: process.env['PATH'],
      PGHOST: hostname,
      PGPORT: port,
      POSTGRES_USER: username,
      SECRETS: secrets,
      SQL: join(REPOSITORY, 'deploy/postgres/roles.sql'),
    }
    const made = spawnSync(join(REPOSITORY, 'deploy/compose/roles.sh'), { env })
    expect(made.status, made.stderr.toString()).toBe(0)
  })

  it('makes the tables, then the log, once', async () => {
    for (const service of SERVICES) {
      const name = `migrate-${service}` as const
      const { command } = compose.services[name]
      expect(await run(name, command!)).toMatchObject({ code: 0 })
    }
    const created = start('log', ['log', '--create', '--origin', 'log.example/ds'])
    await healthy('log')
    created.kill('SIGTERM')
    await once(created, 'close')
    expect(created.exitCode, said.join('')).toBe(0)
  })

  it('starts the services in their order, each healthy', async () => {
    for (const name of SERVICES) {
      start(name, compose.services[name].command!)
      await healthy(name)
      // It is handed on when there is a log.
      if (name === 'log') handOnPolicy()
    }
    const { origin } = (await (await fetch(`${urlOf('log')}/v1/log`)).json()) as { origin: string }
    expect(origin).toBe('log.example/ds')
    const status = async () => {
      const { logs } = (await (await fetch(`${urlOf('monitor')}/v1/status`)).json()) as {
        logs: { state: string }[]
      }
      return logs[0]?.state
    }
    await expect.poll(status, { timeout: READY_MS, interval: 500 }).toBe('following')
  })

  it('a process that only reads shows what the log does', async () => {
    const { command } = compose.services.reader
    const port = String(await freePort())
    const reader = start('reader', command!, { DSLOG_LOG_PORT: port })
    const checkpoint = async (url: string): Promise<string | undefined> => {
      const answer = await fetch(`${url}/checkpoint`).catch(() => undefined)
      return answer?.text()
    }
    const shown = await checkpoint(urlOf('log'))
    await expect
      .poll(() => checkpoint(`http://127.0.0.1:${port}`), { timeout: READY_MS, interval: 500 })
      .toBe(shown)
    const closed = once(reader, 'close')
    reader.kill('SIGTERM')
    await closed
    expect(reader.exitCode).toBe(0)
  })

  it('nobody can change what is logged, or look into the tables of another', () => {
    const as = (role: string, sql: string): number | null => {
      const url = Object.assign(new URL(server), { username: role, pathname: '/dslog' })
      return spawnSync('psql', [url.href, '--command', sql]).status
    }
    expect(as('dslog_log', 'select * from log.bundle')).toBe(0)
    expect(as('dslog_log', "update log.bundle set data = ''")).not.toBe(0)
    expect(as('dslog_log', 'delete from log.bundle')).not.toBe(0)
    expect(as('dslog_log_reader', 'select * from log.bundle')).toBe(0)
    expect(as('dslog_log_reader', 'insert into log.published default values')).not.toBe(0)
    for (const [role, table] of [
      ['dslog_crawler', 'log.bundle'],
      ['dslog_log_reader', 'crawler.task'],
      ['dslog_log', 'monitor.subscription'],
      ['dslog_monitor', 'log.bundle'],
      ['dslog_crawler', 'monitor.subscription'],
    ] as const) {
      expect(as(role, `select * from ${table}`), `${role} reads ${table}`).not.toBe(0)
    }
    expect(as('dslog_monitor', 'drop table monitor.subscription')).not.toBe(0)
  })

  it('stops within the time that it is given', async () => {
    const services = running.filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    )
    expect(services).toHaveLength(SERVICES.length)
    for (const child of services.toReversed()) {
      const closed = once(child, 'close')
      child.kill('SIGTERM')
      await closed
      expect(child.exitCode).toBe(0)
    }
  })
})
