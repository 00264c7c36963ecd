/**
 * What the explorer is tried on: a real log with a monitor, filled by stories of a small signed internet; a second log
 * with the same name and key and another history; and somebody between the browser and both, who passes on what he is
 * told, or changes it on the way.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatVkey } from '@dslog/tlog/key'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { MonitorStatus, SubmitResult } from '@dslog/schema/api'
import { DAY } from '@dslog/schema/time'
import { readConfig } from '@dslog/service/config'
import { Lifecycle } from '@dslog/service/run'
import { goingOn, TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { SmtpSink } from '@dslog/testbed/smtpsink'
import { ownerDs, STORIES } from '@dslog/testbed/stories'
import { closeServer, listenOnLoopback } from '@dslog/testbed/loopback'
import { freePort } from '@dslog/testbed/program'
import type { OpenedLog } from '@dslog/log/main'
import { policyText } from '@dslog/log/policy'
import { MONITOR_CONFIG } from '@dslog/monitor/config'
import { monitorService } from '@dslog/monitor/main'
import { type RunningLogService, startLogService } from '../logservice.ts'
import { keyOf, ORIGIN, type Place, Places } from '../place.ts'
import { silent } from '../silent.ts'
import { observe } from '../testlog.ts'

/** When the stories begin: they are over before anybody looks, but not long before. */
const BEGIN = Date.now() - 105 * DAY

/** Entries of the name that has the most. */
export const MANY = 10

export class Stage {
  readonly net = new Internet({
    clock: new TestClock(BEGIN),
    root: { algorithm: ALGORITHM.RSASHA256 },
  })
  /** The time of the stories. */
  readonly now = goingOn(this.net.clock.now)
  readonly between = new Between()
  /** Where the mails of the monitor arrive. */
  readonly mailbox: SmtpSink
  readonly #places: Places
  readonly #running: Lifecycle[] = []
  #log: OpenedLog | undefined
  monitor = ''

  private constructor(places: Places, mailbox: SmtpSink) {
    this.#places = places
    this.mailbox = mailbox
  }

  static async open({ monitor = true }: { monitor?: boolean } = {}): Promise<Stage> {
    const stage = new Stage(await Places.open(['embedded']), await SmtpSink.start())
    try {
      await stage.#fill(monitor)
    } catch (error) {
      await stage.close()
      throw error
    }
    return stage
  }

  /** Where the browser goes. */
  get url(): string {
    return this.between.url
  }

  /** Text of the policy that trusts the log. */
  get policy(): string {
    return policyText([formatVkey(keyOf(ORIGIN))], undefined)
  }

  /** A change of a name, logged now, and some time after the last. */
  async change(text: string, generation: number, after: number = DAY): Promise<void> {
    const owner = nameFromText(text)
    this.net.clock.advance(after)
    this.net.parentOf(owner).delegate(owner, [ownerDs(owner, generation)])
    await this.#submit(this.#log!, owner)
  }

  /** Another log of the same name and key, larger, with another history. */
  async fork(): Promise<string> {
    const place = await this.#places.make('embedded', this.net.anchors)
    const { opened, url } = await this.#startLog(place, {})
    const names = Array.from({ length: 80 }, (_, i) => nameFromText(`other-${i}.se.`))
    for (const owner of names) {
      this.net.parentOf(owner).delegate(owner, [ownerDs(owner)])
    }
    await opened.admitter.submit(names.map((owner) => observe(this.net, owner)))
    return url
  }

  /** A log of which nothing is known but that it is there. */
  async empty(): Promise<string> {
    const place = await this.#places.make('embedded', this.net.anchors)
    return (await this.#startLog(place, {})).url
  }

  async close(): Promise<void> {
    await this.between.close()
    for (const lifecycle of this.#running.toReversed()) await lifecycle.stop()
    await this.mailbox.down()
    await this.#places.close()
  }

  async #fill(monitored: boolean): Promise<void> {
    const { net } = this
    const fi = net.addZone('fi.')
    net.addZone('se.', { denial: { nsec3: {} } })
    const port = await freePort()
    this.monitor = `http://127.0.0.1:${port}`
    const place = await this.#places.make('embedded', net.anchors)
    const { opened, url } = await this.#startLog(place, { DSLOG_LOG_MONITOR_URL: this.monitor })
    this.#log = opened

    for (let generation = 1; generation <= MANY; generation++) {
      const owner = nameFromText('example.fi.')
      net.clock.advance(9 * DAY)
      const kept = generation % 3 === 0 ? [ownerDs(owner, generation - 1)] : []
      fi.delegate(owner, [...kept, ownerDs(owner, generation)])
      await this.#submit(opened, owner)
    }
    await this.#tell('swapped', 'bank.fi.')
    await this.#tell('backdated', 'odd.fi.')
    await this.#tell('gone', 'gone.se.')
    await this.#tell('signed', 'xn--bcher-kva.se.')
    await this.between.open(url)
    if (monitored) await this.#startMonitor(port, url)
  }

  async #tell(story: keyof typeof STORIES, text: string): Promise<void> {
    const owner = nameFromText(text)
    for (const { finding } of STORIES[story](this.net, owner)) {
      if (finding.verdict !== 'unverifiable') await this.#submit(this.#log!, owner)
    }
  }

  async #submit({ admitter }: OpenedLog, owner: Name): Promise<void> {
    const [result] = (await admitter.submit([observe(this.net, owner)])) as [SubmitResult]
    // A name without a DS is not in the log: absence is its state already.
    if (result.status !== 'logged' && result.status !== 'known') {
      throw new Error(`not logged: ${JSON.stringify(result)}`)
    }
  }

  async #startLog(place: Place, env: Record<string, string>): Promise<RunningLogService> {
    const own = { ...place.env, DSLOG_LOG_PUBLISH_INTERVAL: '10ms', ...env }
    const log = await startLogService(own, this.now)
    this.#running.push(log.life)
    return log
  }

  async #startMonitor(port: number, url: string): Promise<void> {
    const place = await this.#places.make('embedded', this.net.anchors, 'monitor')
    await writeFile(join(place.data, 'policy'), policyText([formatVkey(keyOf(ORIGIN))], url))
    const env = {
      ...place.env,
      DSLOG_MONITOR_PORT: String(port),
      DSLOG_MONITOR_INTERVAL: '200ms',
      DSLOG_MONITOR_SMTP: this.mailbox.url,
      DSLOG_MONITOR_MAIL_FROM: 'alerts@monitor.example',
      // The children are not on the stage.
      DSLOG_MONITOR_PROBE: 'false',
    }
    const config = readConfig({ monitor: MONITOR_CONFIG }, env).monitor
    const monitor = monitorService({ config, logger: silent, clock: this.now })
    await this.#run(monitor.components)
    for (;;) {
      const { logs } = (await (await fetch(`${this.monitor}/v1/status`)).json()) as MonitorStatus
      if (logs[0]?.state === 'following') return
      // On a slow machine it takes long, and whoever asks too often is told to wait.
      await sleep(300)
    }
  }

  async #run(components: ConstructorParameters<typeof Lifecycle>[0]): Promise<void> {
    const lifecycle = new Lifecycle(components, silent)
    this.#running.push(lifecycle)
    await lifecycle.start()
  }
}

/** Changes an answer on its way. */
type Tamper = (path: string, body: string) => string

/** Stands between the browser and the logs. */
export class Between {
  /** Where questions go on to. */
  target = ''
  /** Changes texts; event streams and files of the page pass untouched. */
  tamper: Tamper | undefined
  /** How long an answer of the log takes, ms. */
  delay = 0
  readonly #server = createServer((question, answer) => void this.#pass(question, answer))
  #port = 0

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async open(target: string): Promise<void> {
    this.target = target
    this.#port = await listenOnLoopback(this.#server)
  }

  close(): Promise<void> {
    return closeServer(this.#server)
  }

  async #pass(question: IncomingMessage, answer: ServerResponse): Promise<void> {
    const path = question.url ?? '/'
    const { tamper } = this
    // What a browser has kept it would not ask for again.
    const { host: _, 'if-none-match': __, ...headers } = question.headers
    const isAsked = /^\/(v1|checkpoint)/.test(path)
    if (isAsked && this.delay > 0) await sleep(this.delay)
    const onward = request(
      `${this.target}${path}`,
      { method: question.method, headers },
      (came) => {
        if (tamper === undefined || !isAsked) {
          answer.writeHead(came.statusCode ?? 502, came.headers)
          answer.flushHeaders()
          came.pipe(answer)
          return
        }
        const parts: Buffer[] = []
        came.on('data', (part: Buffer) => parts.push(part))
        came.on('end', () => {
          const { 'content-length': ___, ...rest } = came.headers
          answer.writeHead(came.statusCode ?? 502, rest)
          answer.end(tamper(path, Buffer.concat(parts).toString()))
        })
      },
    )
    onward.on('error', () => {
      if (!answer.headersSent) answer.writeHead(502)
      answer.end()
    })
    answer.on('close', () => onward.destroy())
    question.pipe(onward)
  }
}
