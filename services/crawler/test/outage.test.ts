/** A database that is away for a while: the crawler waits, and nothing of its queue is lost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Name, nameFromText, ROOT } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { type Database, openDatabase } from '@dslog/service/db'
import { Metrics } from '@dslog/service/metrics'
import { TestClock } from '@dslog/testbed/clock'
import { Wire } from '@dslog/testbed/wire'
import { silent } from '../../../test/silent.ts'
import { Crawler, type CrawlerOptions } from '../src/crawl.ts'
import { Frontier, LEASE_MS } from '../src/frontier.ts'
import { Inquirer, type InquirerOptions } from '../src/inquire.ts'
import { countersIn } from '../src/metrics.ts'
import { Source, TaskKind, Tier } from '../src/schedule.ts'
import { Standing } from '../src/standing.ts'
import { Views } from '../src/views.ts'
import { HASH_KEY, openPlace, type Place, SCHEMA } from './place.ts'

const clock = new TestClock()
const NAMES = 2_000

let place: Place
const endings: (() => unknown)[] = []
beforeAll(async () => {
  place = await openPlace()
})
beforeEach(() => place.empty())
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})
afterAll(() => place.close())

/** The crawler's database at the other end of a wire. */
async function wired(): Promise<{ wire: Wire; db: Database<CrawlerTables> }> {
  const wire = await Wire.to(Number(new URL(place.url!).port))
  const url = Object.assign(new URL(place.url!), { hostname: '127.0.0.1', port: wire.port }).href
  const db = await openDatabase<CrawlerTables>({ folder: '', url, schema: SCHEMA })
  endings.push(
    () => wire.cut(),
    () => db.close(),
  )
  return { wire, db }
}

/** A crawler of names that nobody may be asked about: each is leased, and put off. */
async function crawlerOf(db: Database<CrawlerTables>): Promise<Crawler> {
  const frontier = await Frontier.join(db, HASH_KEY, clock.now())
  await frontier.add(
    Array.from({ length: NAMES }, (_, i) => {
      const name: Name = nameFromText(`n${i}.example.`)
      const due = clock.now()
      return { name, kind: TaskKind.poll, tier: Tier.other, due, source: Source.file }
    }),
  )
  const nothing = { stop: async () => {}, isFull: false, silentSince: undefined }
  const counters = countersIn(new Metrics('crawler'))
  // Nobody is asked, and nothing found.
  const inquirer = new Inquirer({
    counters,
    optOut: [ROOT],
    clock: clock.now,
    random: () => 0,
    logger: silent,
  } as unknown as InquirerOptions)
  return new Crawler({
    db,
    frontier,
    inquirer,
    standing: new Standing(db, clock.now, () => 0),
    views: new Views(db),
    counters,
    clock: clock.now,
    // An outage takes as long as the test lets it.
    sleep: async (_ms: number, signal?: AbortSignal) => {
      await sleep(5, undefined, { ...(signal !== undefined && { signal }) })
    },
    submitter: nothing,
  } as unknown as CrawlerOptions)
}

test('the crawler goes on when the database is back, with every name', async (context) => {
  if (place.url === undefined) return context.skip()
  const { db, wire } = await wired()
  const crawler = await crawlerOf(db)
  const failures: unknown[] = []
  crawler.start((error) => failures.push(error))
  endings.push(() => crawler.stop().catch(() => {}))
  const done = async (): Promise<number> => {
    const rows = await place.db.kysely
      .selectFrom('task')
      .select('name')
      .where('reason', '=', 'opted-out')
      .execute()
    return rows.length
  }
  await expect.poll(done).toBeGreaterThan(0)
  await wire.cut()
  await expect.poll(() => db.awaySince).toBeDefined()
  await wire.mend()
  await expect.poll(() => db.awaySince, { timeout: 20_000 }).toBeUndefined()
  // What was leased in an answer that never came is due again when the lease is over.
  clock.advance(LEASE_MS)
  await expect.poll(done, { timeout: 20_000 }).toBe(NAMES)
  await crawler.stop()
  expect(failures).toEqual([])
  expect(await place.db.kysely.selectFrom('worker').selectAll().execute()).toEqual([])
})

test('the crawler may be stopped while the database is away', async (context) => {
  if (place.url === undefined) return context.skip()
  const { db, wire } = await wired()
  const crawler = await crawlerOf(db)
  const failures: unknown[] = []
  crawler.start((error) => failures.push(error))
  endings.push(() => crawler.stop().catch(() => {}))
  await wire.cut()
  await expect.poll(() => db.awaySince).toBeDefined()
  await expect(crawler.stop()).rejects.toMatchObject({ code: 'away' })
  expect(failures).toEqual([])
})
