/**
 * A crawler as a process of its own, which can be killed: configured by its environment, as fast as its
 * servers are, on a clock that may go faster. It says, line by line, what it has done (crawlers.ts).
 */
import { writeSync } from 'node:fs'
import { readConfig } from '@dslog/service/config'
import { installNodeCrypto } from '@dslog/service/crypto'
import { createLogger } from '@dslog/service/log'
import { Metrics } from '@dslog/service/metrics'
import { runProcess } from '@dslog/service/run'
import { CRAWLER_CONFIG } from '@dslog/crawler/config'
import { crawlerService } from '@dslog/crawler/main'
import { MINUTE } from '@dslog/schema/time'
import { UNLIMITED } from './dnsenv.ts'
import { clock } from './fastclock.ts'

/** The servers are there, however long they take on a machine that does other things. */
const TIMEOUT_MS = MINUTE
const SAY_MS = 1_000
/** Every so many times garbage is collected before, so that what is left is what is held. */
const COLLECT_EVERY = 5

/** What a worker says of itself. */
export interface Said {
  /** Names that it has asked and proven something about. */
  readonly seen: number
  /** Seconds of processor time so far, since it began to work. */
  readonly cpu: number
  /** Memory of the process, bytes: what it once needed, garbage included. */
  readonly rss: number
  /** What is held on the heap and beside it, bytes; not told each time. */
  readonly held?: number
}

installNodeCrypto()
const { crawler: config } = readConfig({ crawler: CRAWLER_CONFIG }, process.env)
const logger = createLogger({ service: 'crawler', level: 'error' })
const metrics = new Metrics('crawler')
const { components } = crawlerService({
  config,
  logger,
  clock,
  metrics,
  limits: UNLIMITED,
  timeout: TIMEOUT_MS,
})
await runProcess(components, { logger })

const atStart = process.cpuUsage()
let times = 0
async function say(): Promise<void> {
  const counted = await metrics.registry.getSingleMetric('dslog_crawler_seen_total')?.get()
  const seen = (counted?.values ?? []).reduce((sum, { value }) => sum + value, 0)
  const rss = process.memoryUsage.rss()
  const { system, user } = process.cpuUsage(atStart)
  const now = { seen, cpu: (system + user) / 1e6, rss }
  const said: Said = ++times % COLLECT_EVERY === 0 ? { ...now, held: held() } : now
  writeSync(1, `${JSON.stringify(said)}\n`)
}

function held(): number {
  globalThis.gc?.()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

setInterval(() => void say(), SAY_MS).unref()
