/**
 * `dslog up`: log, crawler, monitor and API in one process on the embedded database. Zone files are
 * imported first, into a log that nobody sees yet; then everything is served, and `service.json` tells
 * commands beside it where, and with which token evidence of the past may be submitted. The crawler
 * takes zones by transfer, the root unless others are configured, and asks for the domains that are named;
 * without a network it says so and goes on trying.
 */
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { formatVkey, type SignerKey } from '@dslog/tlog/key'
import { nameToText } from '@dslog/dnssec/name'
import { DAY, HOUR, MINUTE, SECOND } from '@dslog/schema/time'
import { logService } from '@dslog/log/main'
import { LOG_FILES } from '@dslog/log/files'
import type { CrawlerConfig } from '@dslog/crawler/config'
import { readNames } from '@dslog/crawler/source/names'
import { SourceError } from '@dslog/crawler/source/source'
import { configuredTransfers } from '@dslog/crawler/source/transfer'
import { PRIVATE_FILE, writeFileAtomic } from '@dslog/service/files'
import { newToken } from '@dslog/service/http/bearer'
import { isRunningProcess, processIdentity } from '@dslog/service/lock'
import type { Component } from '@dslog/service/run'
import { counted } from '@dslog/verify/counted'
import { Beside } from '../beside.ts'
import { readServiceConfig } from '../config.ts'
import { EXIT, Failure } from '../failure.ts'
import { prepareFolder } from '../folder.ts'
import type { Io } from '../io.ts'
import { LocalTarget } from '../local-target.ts'
import { quietLogger, runServices, untilSignal, urlOf } from '../service.ts'
import { SERVICE_FILE, type ServiceFile, type Session } from '../session.ts'
import { checkFiles, importBackend, importInto } from './import.ts'

const OFFLINE =
  'Nothing is fetched from the DNS (--no-crawler): the log grows by imports and submissions.'

export interface UpOptions {
  readonly zoneFile?: readonly string[]
  readonly names?: string
  readonly port?: number
  readonly origin?: string
  /** False with --no-crawler. */
  readonly crawler?: boolean
}

export async function up(session: Session, options: UpOptions): Promise<void> {
  const { crawler = true, names, origin, zoneFile = [] } = options
  if (names !== undefined && !crawler) {
    throw new Failure(EXIT.usage, '--names is for the crawler: leave out --no-crawler')
  }
  await checkFiles(zoneFile)
  if (names !== undefined) await checkNames(names)
  const env = upEnv(session, options)
  const { log: config, crawler: crawlerConfig } = readServiceConfig(env)
  await refuseSecond(session, config.data)
  for (const port of portsOf(env, crawler)) await demandFree(config.host, port)
  const { key: elsewhere, witnessPolicy: witnesses } = config
  const key = await prepareFolder(session.data, { origin, key: elsewhere, witnesses })
  if (zoneFile.length > 0 && !(await importFirst(session, zoneFile))) return

  const logger = quietLogger('dslog', config, session.io)
  const log = logService({ config, logger, create: true })
  const logUrl = (): string => urlOf(config.host, log.port())
  const beside = new Beside({
    env,
    logUrl,
    logger,
    offline: !crawler,
    onSource: (id, reason) => tellSource(session, id, reason),
  })
  const service = (): ServiceFile => ({
    pid: process.pid,
    process: processIdentity(),
    log: logUrl(),
    monitor: beside.monitorUrl(),
    ...(crawler ? { crawler: beside.crawlerUrl()! } : {}),
    operator_token: config.operatorToken!.reveal(),
  })
  const announcement: Component = {
    name: 'service file',
    async start() {
      await writeServiceFile(session, service())
      announce(session, key, log.opened().log.published.size, service(), crawlerConfig)
    },
    stop: () => rm(join(session.data, SERVICE_FILE), { force: true }),
  }
  await runServices([...log.components, beside, announcement], logger, session.io)
}

/** The environment of all services: what was asked for on the command line comes first. */
function upEnv(session: Session, { names, port }: UpOptions): Io['env'] {
  const token = session.config.operatorToken
  const env = session.serviceEnv({
    DSLOG_MONITOR_POLICY: join(session.data, LOG_FILES.policy),
    ...(token === undefined ? { DSLOG_OPERATOR_TOKEN: newToken() } : {}),
    ...(port === undefined ? {} : { DSLOG_LOG_PORT: String(port) }),
    ...(names === undefined ? {} : { DSLOG_CRAWLER_NAMES: resolve(names) }),
  })
  const logPort = readServiceConfig(env).log.port
  const behind = (name: string, n: number): string =>
    (port === undefined ? env[name] : undefined) ?? String(logPort === 0 ? 0 : logPort + n)
  const all = {
    ...env,
    DSLOG_MONITOR_PORT: behind('DSLOG_MONITOR_PORT', 1),
    DSLOG_CRAWLER_PORT: behind('DSLOG_CRAWLER_PORT', 2),
  }
  const { log, monitor } = readServiceConfig(all)
  // Visitors of the explorer are shown the way to the monitor, where it is known before it starts.
  if (monitor.port === 0 || log.monitor !== undefined) return all
  return { ...all, DSLOG_LOG_MONITOR_URL: urlOf(monitor.host, monitor.port) }
}

/** A file of names that cannot be meant is better known now than with the first look at it. */
async function checkNames(file: string): Promise<void> {
  await checkFiles([file])
  try {
    for await (const _ of readNames(file)) continue
  } catch (cause) {
    if (!(cause instanceof SourceError)) throw cause
    throw new Failure(EXIT.usage, cause.message, { cause })
  }
}

/** What keeps the crawler from fetching anything, in words. */
function tellSource({ output }: Session, id: string, reason: string | undefined): void {
  const zone = /^axfr:(.*)$/.exec(id)?.[1]
  const what = zone === undefined ? id : zoneWords(zone)
  if (reason === undefined) output.note(`crawler: ${what}: works again`)
  else output.note(`crawler: ${what}: not fetched: ${reason}; trying again every minute`)
}

function zoneWords(zone: string): string {
  return zone === '.' ? 'the root zone' : `the zone ${zone}`
}

function portsOf(env: Io['env'], crawler: boolean): number[] {
  const names = ['DSLOG_LOG_PORT', 'DSLOG_MONITOR_PORT', ...(crawler ? ['DSLOG_CRAWLER_PORT'] : [])]
  return names.map((name) => Number(env[name])).filter((port) => port > 0)
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
  const stopping = untilSignal()
  const { signal } = stopping
  const backend = importBackend()
  const target = await LocalTarget.open(session, backend)
  try {
    const plan = { anchors: await session.anchors(), backend, signal }
    await importInto(async () => target, files, plan, session.output)
    return true
  } catch (error) {
    if (!signal.aborted) throw error
    session.output.note('stopped: import the other files later')
    return false
  } finally {
    stopping.end()
    await target.close()
  }
}

/** Tells commands beside the service where it is. */
export async function writeServiceFile(
  session: Pick<Session, 'data'>,
  service: ServiceFile,
): Promise<void> {
  const text = `${JSON.stringify(service, undefined, 2)}\n`
  await writeFileAtomic(join(session.data, SERVICE_FILE), text, { mode: PRIVATE_FILE })
}

function announce(
  session: Session,
  key: SignerKey,
  size: number,
  service: ServiceFile,
  crawlerConfig: CrawlerConfig,
): void {
  const { data, output } = session
  const policy = join(data, LOG_FILES.policy)
  const { crawler, log, monitor } = service
  const where = { log, monitor, ...(crawler === undefined ? {} : { crawler }) }
  const origin = key.name
  const vkey = formatVkey(key)
  output.event({ event: 'ready', origin, vkey, size, ...where, data, policy })
  output.line(`${origin}: ${counted(size, 'entry', 'entries')}, in ${data}

  explorer  ${log}/
  log       ${log}      description of the API: ${log}/docs
  monitor   ${monitor}      what it has verified: ${monitor}/v1/status
${crawlerLine(crawler)}  vkey      ${vkey}
  policy    ${policy}      names that key: give it to those who shall verify this log

${crawler === undefined ? OFFLINE : crawls(crawlerConfig)}

Next, in another terminal:
  npx dslog import FILE…      signed zone files
  npx dslog history NAME      every change of a name, proven complete
  npx dslog audit             verifies the whole log

Ctrl-C stops it.`)
}

function crawlerLine(crawler: string | undefined): string {
  if (crawler === undefined) return ''
  return `  crawler   ${crawler}      what it fetches, and what failed: ${crawler}/v1/sources\n`
}

/** What a crawler does that is configured so, in words. */
export function crawls(
  config: Pick<CrawlerConfig, 'names' | 'transferInterval' | 'transfers' | 'tsig'>,
): string {
  const { names, transferInterval } = config
  const zones = configuredTransfers(config).map(([place]) => zoneWords(nameToText(place!.zone)))
  const transfers =
    zones.length === 0
      ? 'no zone'
      : `${zones.join(', ')}, every ${intervalWords(transferInterval)} if changed`
  const domains =
    names === undefined
      ? 'What the log knows is asked every day'
      : `The names in ${names} are asked`
  return `The crawler transfers ${transfers}. ${domains}.`
}

/** What comes after "every": `hour`, `90 minutes`. */
function intervalWords(ms: number): string {
  const units = [
    [DAY, 'day'],
    [HOUR, 'hour'],
    [MINUTE, 'minute'],
    [SECOND, 'second'],
  ] as const
  const [unit, name] = units.find(([length]) => ms % length === 0) ?? [1, 'millisecond']
  return ms === unit ? name : counted(ms / unit, name)
}
