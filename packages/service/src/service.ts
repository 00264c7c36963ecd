/**
 * What services have alike: how the database of one is opened, and the order in which it starts. Its store first, then
 * what runs in it, HTTP last: nobody is answered by half a service. Stopping is the reverse. What a service consists of is
 * said by its main.ts.
 */
import { join } from 'node:path'
import { type Database, openDatabase } from './db.ts'
import { Health } from './health.ts'
import type { Http } from './http.ts'
import type { PressureLimits } from './http/pressure.ts'
import type { Logger } from './log.ts'
import { Metrics } from './metrics.ts'
import type { Component } from './run.ts'
import type { ServiceConfig } from './serviceconfig.ts'

/**
 * The database of a service: a schema of its name on the server, since several share one, else a folder of its name. The
 * tables are the business of migrate.ts.
 */
export function openServiceDatabase<T>(
  service: string,
  options: {
    readonly config: ServiceConfig
    readonly logger: Logger
    /** The database has ended by itself. */
    readonly onLost?: ((error: Error) => void) | undefined
  },
): Promise<Database<T>> {
  const { config, logger, onLost } = options
  return openDatabase<T>({
    url: config.databaseUrl?.reveal(),
    folder: join(config.data, service),
    schema: service,
    applicationName: `dslog-${service}`,
    poolSize: config.poolSize,
    logger,
    ...(onLost === undefined ? {} : { onFailure: onLost }),
  })
}

/** Where a service reports to. */
export interface Reporting {
  readonly logger: Logger
  readonly health: Health
  readonly metrics: Metrics
}

/** What the HTTP server of a service is made of, beside its routes. */
export interface Serving extends Reporting {
  /** When it counts as overloaded; `false` for never. */
  readonly pressure?: PressureLimits | false
}

/** Reports that a part has failed for good: the process ends. */
export type Fail = (error: unknown) => void

/** Something that runs within an opened service. */
export interface Part<T> {
  readonly name: string
  start(opened: T, fail: Fail): Promise<void> | void
  stop?(opened: T): Promise<void> | void
}

/** What a service consists of. */
export interface ServicePlan<T> {
  readonly name: string
  readonly config: ServiceConfig
  readonly logger: Logger
  /** Where numbers go; of the service's own if left out. */
  readonly metrics?: Metrics | undefined
  /** When its HTTP server counts as overloaded; `false` for never, on a machine that others keep busy. */
  readonly pressure?: PressureLimits | false
  /** Opens its store, and adds its checks and metrics. */
  open(reporting: Reporting, fail: Fail): Promise<T>
  /** In the order in which they start. */
  readonly parts: readonly Part<T>[]
  /** Its HTTP server, not yet listening. */
  http(opened: T, serving: Serving): Promise<Http>
}

/** A service as a part of a process. */
export interface Service<T> {
  /** In the order in which they start. */
  readonly components: readonly Component[]
  /** After the start. */
  opened(): T
  /** Port it listens on, after the start. */
  port(): number
}

/** Makes components of a plan. */
export function serviceOf<T extends { close(): Promise<void> }>(plan: ServicePlan<T>): Service<T> {
  const { config, logger, metrics = new Metrics(plan.name), name } = plan
  const health = new Health(logger)
  const reporting = { logger, health, metrics }
  let opened: T | undefined
  let app: Http | undefined
  const current = (): T => {
    if (opened === undefined) throw new Error(`the ${name} has not been opened`)
    return opened
  }
  const store: Component = {
    name,
    async start(fail) {
      opened = await plan.open(reporting, fail)
    },
    stop: () => current().close(),
  }
  const parts = plan.parts.map((part): Component => {
    return {
      name: part.name,
      start: (fail) => part.start(current(), fail),
      stop: () => part.stop?.(current()),
    }
  })
  let listening: Component | undefined
  const server: Component = {
    name: `${name} http`,
    async start(fail) {
      const { pressure } = plan
      app = await plan.http(current(), {
        ...reporting,
        ...(pressure !== undefined && { pressure }),
      })
      const { httpComponent } = await import('./http.ts')
      listening = httpComponent(app, { health, host: config.host, port: config.port })
      await listening.start(fail)
    },
    stop: () => listening?.stop?.(),
  }
  const port = (): number => {
    const address = app?.server.address()
    return typeof address === 'object' && address !== null ? address.port : config.port
  }
  return { components: [store, ...parts, server], opened: current, port }
}
