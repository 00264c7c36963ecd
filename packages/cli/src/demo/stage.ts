/**
 * The stage of the demo: a small signed internet on the loopback interface, the services of this project
 * on a data folder, as an operator would set them up, and a mailbox. Nothing here is a stand-in for our
 * own code; what is made up is the internet, the mail server, and the time: it begins some days ago.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HttpClient } from '@dslog/tlog/http'
import { formatVkey, type SignerKey } from '@dslog/tlog/key'
import { parsePolicy, type Policy } from '@dslog/tlog/policy'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { LOG_FILES } from '@dslog/log/files'
import { policyText } from '@dslog/log/policy'
import { logService } from '@dslog/log/main'
import { newToken } from '@dslog/service/http/bearer'
import type { Logger } from '@dslog/service/log'
import { processIdentity } from '@dslog/service/lock'
import { Lifecycle } from '@dslog/service/run'
import { RunningClock } from '@dslog/testbed/clock'
import { type Authority, Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { freePort } from '@dslog/testbed/program'
import type { ProofVerifier } from '@dslog/verify/verify'
import { Beside } from '../beside.ts'
import { writeServiceFile } from '../command/up.ts'
import { readServiceConfig } from '../config.ts'
import { EXIT, Failure } from '../failure.ts'
import { prepareFolder } from '../folder.ts'
import type { Io } from '../io.ts'
import { quietLogger, urlOf } from '../service.ts'
import { SERVICE_FILE, type ServiceFile } from '../session.ts'
import { Mailbox } from './mailbox.ts'
import { SplitView } from './split-view.ts'

/** The bank, and others of its zone, among which nothing happens. */
export const BANK = 'bank.example.'
export const OTHERS: readonly string[] = ['museum.example.', 'shop.example.', 'university.example.']
/** Delegated without keys: nothing of it is logged. */
export const UNSIGNED = 'old.example.'

/** Files in the data folder. */
const FILES = { anchors: 'anchors', names: 'names', mail: 'mail' } as const

/** Where everything is reached. */
export interface Places {
  readonly log: string
  readonly monitor: string
  readonly crawler: string
  readonly mailbox: string
}

/** See the head of this file. */
export class Stage {
  readonly clock: RunningClock
  readonly net: Internet
  readonly registry: Authority
  readonly bank: Authority
  readonly data: string
  /** Of the log: whoever has it can sign anything in its name. */
  readonly key: SignerKey
  readonly #logger: Logger
  readonly #io: Io
  readonly #token = newToken()
  #mailbox: Mailbox | undefined
  #view: SplitView | undefined
  #servers: NameServers | undefined
  #places: Places | undefined
  #life: Lifecycle | undefined

  private constructor(options: { data: string; behind: number; key: SignerKey; io: Io }) {
    const { behind, data, io, key } = options
    this.clock = new RunningClock(behind)
    this.net = new Internet({ clock: this.clock, servers: 1 })
    this.registry = this.net.addZone('example.', { denial: { nsec3: {} } })
    this.bank = this.net.addZone(BANK, { split: false })
    for (const name of OTHERS) this.net.addZone(name, { split: false })
    this.net.addZone(UNSIGNED, { secure: false })
    this.data = data
    this.key = key
    this.#io = io
    const env = levelOf(io)
    this.#logger = quietLogger('dslog', readServiceConfig(env).log, { ...io, env })
  }

  /** @param behind how long ago it begins, ms */
  static async set(data: string, behind: number, io: Io): Promise<Stage> {
    const key = await prepareFolder(data, { origin: 'log.demo.example' })
    const stage = new Stage({ data, behind, key, io })
    try {
      await stage.#start()
    } catch (error) {
      await stage.stop().catch(() => {})
      throw error
    }
    return stage
  }

  get places(): Places {
    return this.#places!
  }

  get mailbox(): Mailbox {
    return this.#mailbox!
  }

  /** What the monitor sees of the log. */
  get view(): SplitView {
    return this.#view!
  }

  get servers(): NameServers {
    return this.#servers!
  }

  /** Whoever presents it may say what the crawler watches. */
  get token(): string {
    return this.#token
  }

  /** What this log must satisfy; the file that verifiers are given says the same. */
  get policy(): Policy {
    return parsePolicy(new TextEncoder().encode(policyText([formatVkey(this.key)], undefined)))
  }

  /** What proofs are held against. */
  get verifier(): ProofVerifier {
    const { anchors } = this.net
    return { policy: this.policy, anchors, backend: nodeBackend(), now: this.clock.now() }
  }

  http(): HttpClient {
    return new HttpClient({ fetch, now: Date.now, random: Math.random })
  }

  /** A failure of something that runs, whenever it comes. */
  get failed(): Promise<unknown> {
    return this.#life!.failed
  }

  async stop(): Promise<void> {
    try {
      await this.#life?.stop()
    } finally {
      await rm(join(this.data, SERVICE_FILE), { force: true })
      await this.#view?.stop()
      await this.#mailbox?.stop()
      await this.#servers?.stop()
    }
  }

  async #start(): Promise<void> {
    const { data } = this
    const { now: clock } = this.clock
    await writeFile(join(data, FILES.anchors), formatAnchors(this.net.anchors))
    await writeFile(join(data, FILES.names), `${[BANK, ...OTHERS, UNSIGNED].join('\n')}\n`)
    this.#mailbox = await Mailbox.start(join(data, FILES.mail))
    this.#servers = await startServers(this.net)
    const env = await this.#env()
    const { log: config } = readServiceConfig(env)
    const log = logService({ config, logger: this.#logger, clock, create: true })
    const logUrl = (): string => urlOf(config.host, log.port())
    this.#view = await SplitView.start(logUrl)
    const beside = new Beside({
      env,
      logUrl,
      monitorsLogUrl: () => this.view.url,
      clock,
      logger: this.#logger,
      offline: false,
      onSource: () => {},
    })
    this.#life = new Lifecycle([...log.components, beside], this.#logger)
    await this.#life.start()
    const urls = { log: logUrl(), monitor: beside.monitorUrl(), crawler: beside.crawlerUrl()! }
    this.#places = { ...urls, mailbox: this.mailbox.url }
    const service: ServiceFile = {
      pid: process.pid,
      process: processIdentity(),
      ...urls,
      operator_token: this.#token,
    }
    await writeServiceFile({ data }, service)
  }

  /** Settings of the services: those of an operator, and where this internet begins. */
  async #env(): Promise<Io['env']> {
    const roots = this.servers.hints().flatMap(({ addresses }) => addresses)
    // Free now: links in mails are made before the monitor listens.
    const [logPort, monitorPort] = [await freePort(), await freePort()]
    return {
      ...levelOf(this.#io),
      DSLOG_DATA: this.data,
      DSLOG_ANCHORS: join(this.data, FILES.anchors),
      DSLOG_OPERATOR_TOKEN: this.#token,
      DSLOG_LOG_PORT: String(logPort),
      DSLOG_LOG_MONITOR_URL: `http://127.0.0.1:${monitorPort}`,
      DSLOG_CRAWLER_PORT: '0',
      DSLOG_CRAWLER_TOKEN: this.#token,
      DSLOG_CRAWLER_NAMES: join(this.data, FILES.names),
      DSLOG_CRAWLER_TRANSFERS: 'none',
      DSLOG_CRAWLER_ROOT_SERVERS: roots.join(),
      DSLOG_CRAWLER_DNS_PORT: String(this.servers.port),
      DSLOG_CRAWLER_ALLOW: '127.0.0.0/8',
      DSLOG_MONITOR_PORT: String(monitorPort),
      DSLOG_MONITOR_URL: `http://127.0.0.1:${monitorPort}`,
      DSLOG_MONITOR_POLICY: join(this.data, LOG_FILES.policy),
      DSLOG_MONITOR_INTERVAL: '1s',
      DSLOG_MONITOR_SMTP: this.mailbox.smtp,
      DSLOG_MONITOR_MAIL_FROM: 'dslog monitor <alerts@monitor.example>',
      DSLOG_MONITOR_OPERATOR: 'mailto:operator@monitor.example',
      DSLOG_MONITOR_DNS_ROOTS: roots.join(),
      DSLOG_MONITOR_DNS_PORT: String(this.servers.port),
      DSLOG_MONITOR_DNS_ALLOW: '127.0.0.0/8',
    }
  }
}

/** Of the caller's settings, how much is logged; what the story says need not be said twice. */
function levelOf({ env }: Io): Io['env'] {
  return { DSLOG_LOG_LEVEL: env['DSLOG_LOG_LEVEL'] ?? 'fatal' }
}

async function startServers(net: Internet): Promise<NameServers> {
  try {
    return await NameServers.start(net, net.clock.now)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw cause
    const addresses = net.zones.flatMap(({ servers }) => servers.flatMap((each) => each.addresses))
    throw new Failure(
      EXIT.service,
      `the name servers of the demo need ${addresses.join(', ')} on the loopback interface (macOS: sudo ifconfig lo0 alias ADDRESS)`,
      { cause },
    )
  }
}
