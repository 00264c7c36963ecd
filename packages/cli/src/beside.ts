/**
 * The services that `dslog up` runs beside its log: monitor and crawler. They can be put together only
 * when the log has its port, and start at the same time: each makes a database of its own.
 */
import { crawlerService } from '@dslog/crawler/main'
import { monitorService } from '@dslog/monitor/main'
import { type Clock, systemClock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import { type Component, Lifecycle } from '@dslog/service/run'
import { readServiceConfig } from './config.ts'
import type { Io } from './io.ts'
import { urlOf } from './service.ts'

/** What runs, and where it is reached. */
interface Running {
  readonly parts: Lifecycle
  url(): string
}

export interface BesideOptions {
  /** Of all services. */
  readonly env: Io['env']
  /** Of the log, once it listens. */
  readonly logUrl: () => string
  /** Where the monitor finds the log, if not there. */
  readonly monitorsLogUrl?: () => string
  /** The machine's unless given. */
  readonly clock?: Clock
  readonly logger: Logger
  /** Nothing is fetched from the DNS. */
  readonly offline: boolean
  /** A source of the crawler gave nothing, or, without a reason, gives again. */
  readonly onSource: (id: string, reason: string | undefined) => void
}

/** See the head of this file. */
export class Beside implements Component {
  readonly name = 'monitor and crawler'
  readonly #options: BesideOptions
  #monitor: Running | undefined
  #crawler: Running | undefined

  constructor(options: BesideOptions) {
    this.#options = options
  }

  monitorUrl(): string {
    return this.#monitor!.url()
  }

  /** Undefined without a crawler. */
  crawlerUrl(): string | undefined {
    return this.#crawler?.url()
  }

  async start(fail: (error: unknown) => void): Promise<void> {
    const { clock = systemClock, env, logger, logUrl, offline, onSource } = this.#options
    const url = logUrl()
    const { crawler: crawlerConfig, monitor: monitorConfig } = readServiceConfig({
      ...env,
      DSLOG_MONITOR_LOG_URL: this.#options.monitorsLogUrl?.() ?? url,
      DSLOG_CRAWLER_LOG_URL: url,
    })
    const monitor = monitorService({ config: monitorConfig, logger, clock })
    this.#monitor = {
      parts: new Lifecycle(monitor.components, logger),
      url: () => urlOf(monitorConfig.host, monitor.port()),
    }
    if (!offline) {
      // That the DNS does not answer is said in words, and once.
      const quiet = env['DSLOG_LOG_LEVEL'] === undefined ? { level: 'error' } : {}
      const crawler = crawlerService({
        config: crawlerConfig,
        clock,
        logger: logger.child({}, quiet),
        onSource,
      })
      this.#crawler = {
        parts: new Lifecycle(crawler.components, logger),
        url: () => urlOf(crawlerConfig.host, crawler.port()),
      }
    }
    const running = this.#running()
    try {
      await Promise.all(running.map(({ parts }) => parts.start()))
    } catch (error) {
      await this.stop().catch(() => {})
      throw error
    }
    for (const { parts } of running) void parts.failed.then(fail)
  }

  async stop(): Promise<void> {
    // The crawler first: what it has seen still goes to the log.
    for (const { parts } of this.#running().toReversed()) await parts.stop()
  }

  #running(): Running[] {
    return [this.#monitor, this.#crawler].filter((running) => running !== undefined)
  }
}
