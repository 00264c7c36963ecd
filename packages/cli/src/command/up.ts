/**
 * `dslog up`: log, monitor and API in one process on the embedded database. Zone files are imported
 * first, into a log that nobody sees yet; then everything is served, and `service.json` tells commands
 * beside it where, and with which token evidence of the past may be submitted.
 */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { logComponents } from '@dslog/log/main'
import { monitorComponents } from '@dslog/monitor/main'
import { PRIVATE_FILE, writeFileAtomic } from '@dslog/service/files'
import { isRunningProcess, processIdentity } from '@dslog/service/lock'
import type { Logger } from '@dslog/service/log'
import { type Component, Lifecycle } from '@dslog/service/run'
import { readServiceConfig } from '../config.ts'
import { EXIT, Failure } from '../failure.ts'
import { prepareFolder } from '../folder.ts'
import type { Io } from '../io.ts'
import { LocalTarget } from '../local-target.ts'
import { quietLogger, runServices, urlOf } from '../service.ts'
import { POLICY_FILE, SERVICE_FILE, type ServiceFile, type Session } from '../session.ts'
import { checkFiles, importInto } from './import.ts'

export interface UpOptions {
  readonly zoneFile?: readonly string[]
  readonly names?: string
  readonly port?: number
  readonly origin?: string
}

/** Bytes of an operator's token. */
const TOKEN_BYTES = 32

/** What `up` promises in the end, and this version does not have. */
const MISSING = ['crawler'] as const

export async function up(session: Session, options: UpOptions): Promise<void> {
  const { names, origin, zoneFile = [] } = options
  if (names !== undefined) {
    throw new Failure(EXIT.usage, '--names needs the crawler, which is not part of this version')
  }
  await checkFiles(zoneFile)
  const env = upEnv(session, options)
  const { log: config } = readServiceConfig(env)
  await refuseSecond(session, config.data)
  for (const port of portsOf(env)) await demandFree(config.host, port)
  const key = await prepareFolder(session.data, { origin, key: config.key })
  if (zoneFile.length > 0 && !(await importFirst(session, zoneFile))) return

  const logger = quietLogger('dslog', config, session.io)
  const log = logComponents({ config, logger, create: true })
  const monitor = new MonitorPart(env, () => urlOf(config.host, log.port()), logger)
  const service = (): ServiceFile => ({
    pid: process.pid,
    process: processIdentity(),
    log: urlOf(config.host, log.port()),
    monitor: monitor.url(),
    operator_token: config.operatorToken!.reveal(),
  })
  const announcement: Component = {
    name: 'service file',
    async start() {
      await writeServiceFile(session, service())
      announce(session, key.name, log.opened().log.published.size, service())
    },
    stop: () => rm(join(session.data, SERVICE_FILE), { force: true }),
  }
  await runServices([...log.components, monitor, announcement], logger, session.io)
}

/** The environment of both services: what was asked for on the command line comes first. */
function upEnv(session: Session, { port }: UpOptions): Io['env'] {
  const token = session.config.operatorToken
  const env = session.serviceEnv({
    DSLOG_MONITOR_POLICY: join(session.data, POLICY_FILE),
    ...(token === undefined ? { DSLOG_OPERATOR_TOKEN: newToken() } : {}),
    ...(port === undefined ? {} : { DSLOG_LOG_PORT: String(port) }),
  })
  const logPort = readServiceConfig(env).log.port
  const own = port === undefined ? env['DSLOG_MONITOR_PORT'] : undefined
  const both = { ...env, DSLOG_MONITOR_PORT: own ?? String(logPort === 0 ? 0 : logPort + 1) }
  const { log, monitor } = readServiceConfig(both)
  // Visitors of the explorer are shown the way to the monitor, where it is known before it starts.
  if (monitor.port === 0 || log.monitor !== undefined) return both
  return { ...both, DSLOG_LOG_MONITOR_URL: urlOf(monitor.host, monitor.port) }
}

function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url')
}

function portsOf(env: Io['env']): number[] {
  return [env['DSLOG_LOG_PORT'], env['DSLOG_MONITOR_PORT']].map(Number).filter((port) => port > 0)
}

async function refuseSecond(session: Session, data: string): Promise<void> {
  const running = await session.service()
  // Where that cannot be seen, the lock of the database decides.
  if (running === undefined || isRunningProcess(running.process) !== true) return
  throw new Failure(
    EXIT.service,
    `${data} is in use: dslog runs there as process ${running.pid}, at ${running.log}`,
  )
}

/** A port that is taken is better known before an import of an hour than after it. */
async function demandFree(host: string, port: number): Promise<void> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port, exclusive: true }, resolve)
    })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be listened on (${code})`
    throw new Failure(EXIT.service, `port ${port} of ${host} ${why}: choose another with --port`, {
      cause,
    })
  }
  await new Promise((resolve) => server.close(resolve))
}

/** @returns whether to go on: false after a signal */
async function importFirst(session: Session, files: readonly string[]): Promise<boolean> {
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  const target = await LocalTarget.open(session)
  try {
    const plan = { anchors: await session.anchors(), signal: stop.signal }
    await importInto(target, files, plan, session.output)
    return true
  } catch (error) {
    if (!stop.signal.aborted) throw error
    session.output.note('stopped: import the other files later')
    return false
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
    await target.close()
  }
}

/** The monitor; it can be put together only when the log has its port. */
class MonitorPart implements Component {
  readonly name = 'monitor'
  readonly #env: Io['env']
  readonly #logUrl: () => string
  readonly #logger: Logger
  #parts: Lifecycle | undefined
  #url = ''

  constructor(env: Io['env'], logUrl: () => string, logger: Logger) {
    this.#env = env
    this.#logUrl = logUrl
    this.#logger = logger
  }

  url(): string {
    return this.#url
  }

  async start(fail: (error: unknown) => void): Promise<void> {
    const env = { ...this.#env, DSLOG_MONITOR_LOG_URL: this.#logUrl() }
    const { monitor: config } = readServiceConfig(env)
    const monitor = monitorComponents({ config, logger: this.#logger })
    const parts = new Lifecycle(monitor.components, this.#logger)
    await parts.start()
    void parts.failed.then(fail)
    this.#parts = parts
    this.#url = urlOf(config.host, monitor.port())
  }

  async stop(): Promise<void> {
    await this.#parts?.stop()
  }
}

async function writeServiceFile(session: Session, service: ServiceFile): Promise<void> {
  const text = `${JSON.stringify(service, undefined, 2)}\n`
  await writeFileAtomic(join(session.data, SERVICE_FILE), text, { mode: PRIVATE_FILE })
}

function announce(session: Session, origin: string, size: number, service: ServiceFile): void {
  const { data, output } = session
  const policy = join(data, POLICY_FILE)
  const { log, monitor } = service
  output.event({ event: 'ready', origin, size, log, monitor, data, policy, missing: MISSING })
  output.line(`${origin}: ${size} entries, in ${data}

  explorer  ${log}/
  log       ${log}      description of the API: ${log}/docs
  monitor   ${monitor}      what it has verified: ${monitor}/v1/status
  policy    ${policy}      give it to those who shall verify this log

This version has no crawler: nothing is fetched from the DNS, so the log grows by imports and
submissions only.

Next, in another terminal:
  dslog import FILE…      signed zone files
  dslog history NAME      every change of a name, proven complete
  dslog audit             verifies the whole log

Ctrl-C stops it.`)
}
