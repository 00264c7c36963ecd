/**
 * Metrics of one service in the Prometheus text format. Each service has a registry of its own, also when several share a
 * process, and every name begins with `dslog_`; the page docs/metrics is compared with what the registries hold.
 */
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import type { Database } from './db.ts'
import { Distribution } from './distribution.ts'
import { isOutage } from './outage.ts'

const MS_PER_SECOND = 1000

/** Name, meaning and labels of a metric. */
export interface MetricOptions<L extends string> {
  /** With prefix `dslog_` and unit, as Prometheus wants it: `dslog_sequence_seconds`. */
  name: `dslog_${string}`
  help: string
  labels?: readonly L[]
}

/** From a tile out of memory to a submission that waits for publication, seconds. */
const HTTP_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 20, 60]

/** The metrics of one service. */
export class Metrics {
  readonly registry = new Registry()
  /** Time from the first byte of a request to the last of its answer, by route pattern. */
  readonly httpSeconds: Distribution<'method' | 'route' | 'status'>

  constructor(service: string) {
    this.registry.setDefaultLabels({ service })
    collectDefaultMetrics({ register: this.registry })
    this.httpSeconds = this.histogram({
      name: 'dslog_http_seconds',
      help: 'Duration of HTTP requests by route',
      labels: ['method', 'route', 'status'],
      buckets: HTTP_BUCKETS,
    })
  }

  /** A number that only grows. */
  counter<L extends string = never>(options: MetricOptions<L>): Counter<L> {
    return new Counter(this.#configuration(options))
  }

  /**
   * A number that goes up and down; `collect` may set it when it is asked for. What the database does not tell now is left
   * out, so that the others are seen all the same.
   */
  gauge<L extends string = never>(
    options: MetricOptions<L> & { collect?: (gauge: Gauge<L>) => void | Promise<void> },
  ): Gauge<L> {
    const { collect, labels = [] } = options
    return new Gauge({
      ...this.#configuration(options),
      ...(collect && {
        async collect(this: Gauge<L>) {
          try {
            await collect(this)
          } catch (error) {
            if (!isOutage(error)) throw error
            this.reset()
            // Without labels that leaves a 0.
            if (labels.length === 0) this.remove()
          }
        },
      }),
    })
  }

  /** Whether the database of the service answers. */
  observeDatabase(db: Pick<Database<never>, 'awaySince'>): void {
    this.gauge({
      name: 'dslog_database_away_seconds',
      help: 'Time for which the database has not answered; 0 as long as it does',
      collect: (gauge) => {
        const { awaySince } = db
        gauge.set(awaySince === undefined ? 0 : (performance.now() - awaySince) / MS_PER_SECOND)
      },
    })
  }

  /** A distribution. */
  histogram<L extends string = never>(
    options: MetricOptions<L> & { buckets: readonly number[] },
  ): Distribution<L> {
    const distribution = new Distribution<L>(options)
    this.registry.registerMetric(distribution.asMetric())
    return distribution
  }

  /** Everything, as text. */
  async render(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.registry.contentType, text: await this.registry.metrics() }
  }

  #configuration<L extends string>(options: MetricOptions<L>) {
    return {
      name: options.name,
      help: options.help,
      labelNames: [...(options.labels ?? [])],
      registers: [this.registry],
    }
  }
}
