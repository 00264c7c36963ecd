/**
 * Several crawler processes on one queue, of which one is killed in the middle: how that went. The queue is
 * on PostgreSQL, the server NSD, the log ours. Most names do not exist, so that what is measured is
 * asking and the queue; some are signed, and the log must have each of them.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { sql } from 'kysely'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import { CRAWLER_CONFIG } from '@dslog/crawler/config'
import { openCrawler, type OpenedCrawler } from '@dslog/crawler/main'
import { INTERVAL, Source, TaskKind, Tier } from '@dslog/crawler/schedule'
import { readConfig } from '@dslog/service/config'
import { anchorOf } from '@dslog/testbed/key'
import { startNsd } from '@dslog/testbed/realserver'
import { rootKeys, rootZone } from './bench/rootzone.ts'
import { TOKEN } from './crawl.ts'
import type { Said } from './crawlworker.ts'
import { dnsEnv } from './dnsenv.ts'
import { startLogService } from './logservice.ts'
import type { Places } from './place.ts'
import { FROM_SOURCE } from './repository.ts'
import { silent } from './silent.ts'

const WORKER = fileURLToPath(new URL('crawlworker.ts', import.meta.url))
/** Names that are signed. */
const SIGNED = 500
/** Clocks go so much faster: a lease ends after nine seconds. */
const SPEED = 20
/** How often the queue is looked at, ms, and not more often than it takes to count so many names. */
const LOOK_MS = 1_000
const NAMES_PER_MS = 100

/** How it went. */
export interface CrawlReport {
  /** From the first question to the last answer. */
  readonly seconds: number
  /** Names that nobody has asked in the end. */
  readonly lost: number
  /** Names that were asked later than their interval says. */
  readonly late: number
  /** Answers that were proven, by those who lived and the last word of who did not. */
  readonly seen: number
  /** Of each worker, what it said of its memory, bytes; the first was killed. */
  readonly memory: readonly (readonly number[])[]
  /** The same, of what was still held after garbage had been collected. */
  readonly held: readonly (readonly number[])[]
  /** Seconds of processor time of those who lived, and names that they have seen. */
  readonly survivors: { readonly cpu: number; readonly seen: number }
  /** Bytes of the queue's table with its indexes. */
  readonly queue: number
  /** Names that the log has, of {@link signed}. */
  readonly logged: number
  readonly signed: number
}

class Worker {
  readonly said: Said[] = []
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #isEnding = false

  constructor(env: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, ['--expose-gc', ...FROM_SOURCE, WORKER], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#exited = once(this.#child, 'exit')
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.said.push(JSON.parse(line) as Said)
    })
  }

  get seen(): number {
    return this.said.at(-1)?.seen ?? 0
  }

  /** It has ended though nobody has asked it to. */
  get isDead(): boolean {
    return !this.#isEnding && this.#child.exitCode !== null
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#isEnding = true
    this.#child.kill(signal)
    await this.#exited
  }
}

/** Has names asked by some processes; undefined (and a line that says so) where NSD or PostgreSQL is missing. */
export async function crawlWithDeath(
  places: Places,
  { names, timeout, workers }: { names: number; workers: number; timeout: number },
): Promise<CrawlReport | undefined> {
  const nsd = await startNsd([{ name: ROOT, text: rootZone(SIGNED), serial: 1 }])
  if (nsd === undefined || places.postgres === undefined) return undefined
  const ending: (() => Promise<unknown>)[] = [() => nsd.stop()]
  try {
    const place = await places.make('postgres', [anchorOf(rootKeys()[0]!)])
    const log = await startLogService({ ...place.env, ...TOKEN })
    ending.push(() => log.life.stop())
    const env = {
      ...place.env,
      ...TOKEN,
      DSLOG_CRAWLER_PORT: '0',
      DSLOG_CRAWLER_LOG_URL: log.url,
      ...dnsEnv(['127.0.0.1'], nsd.port),
      DSLOG_CRAWLER_TRANSFERS: 'none',
      DSLOG_TEST_SPEED: String(SPEED),
    }
    const { crawler: config } = readConfig({ crawler: CRAWLER_CONFIG }, env)
    const queue = await openCrawler({ config, logger: silent })
    ending.push(() => queue.close())
    const since = Date.now()
    await fill(queue, names, since)

    const started = performance.now()
    const running = Array.from({ length: workers }, () => new Worker(env))
    ending.push(() => Promise.all(running.map((worker) => worker.end('SIGTERM'))))
    const [victim] = running
    let isKilled = false
    const end = started + timeout
    const pause = Math.max(LOOK_MS, names / NAMES_PER_MS)
    for (let left = names; left > 0 && performance.now() < end; await sleep(pause)) {
      left = await unseen(queue)
      if (running.some(({ isDead }) => isDead)) throw new Error('a crawler has ended')
      if (isKilled || left > names / 2 || victim!.seen === 0) continue
      await victim!.end('SIGKILL')
      isKilled = true
    }
    if (!isKilled) throw new Error('all was over before anybody was killed')
    const seconds = (performance.now() - started) / 1000
    // What is on its way to the log.
    await Promise.all(running.slice(1).map((worker) => worker.end('SIGTERM')))
    return {
      seconds,
      lost: await unseen(queue),
      late: await late(queue, since),
      seen: running.reduce((sum, { seen }) => sum + seen, 0),
      memory: running.map(({ said }) => said.map(({ rss }) => rss)),
      held: running.map(({ said }) => said.flatMap(({ held }) => held ?? [])),
      survivors: {
        cpu: running.slice(1).reduce((sum, { said }) => sum + (said.at(-1)?.cpu ?? 0), 0),
        seen: running.slice(1).reduce((sum, { seen }) => sum + seen, 0),
      },
      queue: await sizeOf(queue),
      logged: (await log.opened.reader.zoneCounts(ROOT)).signed,
      signed: SIGNED,
    }
  } finally {
    for (const stop of ending.reverse()) await stop()
  }
}

/** Names that exist, and many more that do not, all due now. */
async function fill({ frontier }: OpenedCrawler, names: number, due: number): Promise<void> {
  const task = { kind: TaskKind.poll, tier: Tier.other, due, source: Source.file }
  const BATCH = 50_000
  for (let from = 0; from < names; from += BATCH) {
    const length = Math.min(BATCH, names - from)
    const labels = Array.from({ length }, (_, i) => `name${from + i}.`)
    await frontier.add(labels.map((label) => ({ name: nameFromText(label), ...task })))
  }
  await frontier.leave()
}

async function unseen({ db }: OpenedCrawler): Promise<number> {
  const { count } = await db.kysely
    .selectFrom('task')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('kind', '=', TaskKind.poll)
    .where('seen_at', 'is', null)
    .executeTakeFirstOrThrow()
  return count
}

async function sizeOf({ db }: OpenedCrawler): Promise<number> {
  const { rows } = await sql<{ size: number }>`
    select pg_total_relation_size('task')::int8 as size`.execute(db.kysely)
  return rows[0]!.size
}

async function late({ db }: OpenedCrawler, since: number): Promise<number> {
  const { count } = await db.kysely
    .selectFrom('task')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('kind', '=', TaskKind.poll)
    .where('seen_at', '>', since + INTERVAL[Tier.other])
    .executeTakeFirstOrThrow()
  return count
}
