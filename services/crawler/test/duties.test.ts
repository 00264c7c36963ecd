/** What one process does for all: who has a duty, and who gets it when that one dies. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { MINUTE } from '@dslog/schema/time'
import { TestClock } from '@dslog/testbed/clock'
import { silent } from '../../../test/silent.ts'
import { Duties } from '../src/duties.ts'
import { Frontier, WORKER_GONE_MS } from '../src/frontier.ts'
import { SourceError, SourceTable } from '../src/source/source.ts'
import { SourcesPart } from '../src/sources.ts'
import { HASH_KEY, openPlace, type Place } from './place.ts'

const clock = new TestClock()
let place: Place

beforeAll(async () => {
  place = await openPlace()
})
beforeEach(() => place.empty())
afterAll(() => place.close())

async function join(): Promise<{ frontier: Frontier; duties: Duties }> {
  const frontier = await Frontier.join(place.db, HASH_KEY, clock.now())
  return { frontier, duties: new Duties(place.db, frontier.worker, clock.now) }
}

test('one of several has a duty, and keeps it as long as it lives', async () => {
  const all = await Promise.all(Array.from({ length: 5 }, join))
  const has = async (): Promise<boolean[]> =>
    Promise.all(all.map(({ duties }) => duties.has('axfr:.')))
  const first = await has()
  expect(first.filter(Boolean)).toHaveLength(1)
  clock.advance(WORKER_GONE_MS)
  const { frontier } = all[first.indexOf(true)]!
  await frontier.beat(clock.now())
  clock.advance(WORKER_GONE_MS)
  expect(await has()).toEqual(first)
  clock.advance(1)
  // As long as nobody else takes it, it is still ours.
  expect(await all[first.indexOf(true)]!.duties.has('axfr:.')).toBe(true)
  const others = all.filter((_, i) => !first[i])
  await Promise.all(others.map(({ frontier: other }) => other.beat(clock.now())))
  const taken = await Promise.all(others.map(({ duties }) => duties.has('axfr:.')))
  expect(taken.filter(Boolean)).toHaveLength(1)
  expect((await has()).filter(Boolean)).toHaveLength(1)
  expect(await all[first.indexOf(true)]!.duties.has('axfr:.')).toBe(false)
})

test('two that take each other for dead, as after a sleep of the machine, both live', async (context) => {
  if (place.url === undefined) return context.skip('one connection waits for nobody')
  const [one, two, third] = [await join(), await join(), await join()]
  clock.advance(WORKER_GONE_MS + 1)
  const { kysely } = place.owner
  const beats: Promise<number>[] = []
  await kysely.transaction().execute(async (trx) => {
    const { worker } = third.frontier
    await sql`select from worker where id = ${worker} for update`.execute(trx)
    // Each has removed the other, and waits to remove the third, before it writes itself.
    for (const { frontier } of [one, two]) {
      beats.push(frontier.beat(clock.now()))
      await expect.poll(() => waiting(trx), { timeout: MINUTE }).toBe(beats.length)
    }
  })
  await Promise.all(beats)
  const alive = await Promise.all([one, two].map(({ frontier }) => frontier.beat(clock.now())))
  expect(Math.max(...alive)).toBe(2)
})

/** How many wait for a row. */
async function waiting(kysely: Kysely<CrawlerTables>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`.execute(kysely)
  return rows[0]!.count
}

test('a duty is free when its holder leaves, or gives it up', async () => {
  const [one, two, three] = [await join(), await join(), await join()]
  expect(await one.duties.has('log')).toBe(true)
  expect(await two.duties.has('log')).toBe(false)
  await two.duties.giveUp('log')
  expect(await one.duties.has('log')).toBe(true)
  await one.duties.giveUp('log')
  expect(await two.duties.has('log')).toBe(true)
  expect(await one.duties.has('log')).toBe(false)
  await two.frontier.leave()
  expect(await three.duties.has('log')).toBe(true)
  expect(await one.duties.has('other')).toBe(true)
})

test('a zone is read by one process, and by another when that one dies over it, or cannot', async () => {
  const read: string[] = []
  const running: SourcesPart[] = []
  const failures: unknown[] = []
  // A minute in a third of a second.
  const from = Date.now()
  const fast = (): number => from + (Date.now() - from) * 180
  const start = async (name: string, work: () => Promise<boolean>): Promise<Frontier> => {
    const frontier = await Frontier.join(place.db, HASH_KEY, fast())
    const sources = new SourcesPart({
      logged: { follow: async () => {}, isCaughtUp: async () => true },
      names: undefined,
      zones: [
        {
          id: 'axfr:.',
          read() {
            read.push(name)
            return work()
          },
        },
      ],
      duties: new Duties(place.db, frontier.worker, fast),
      table: new SourceTable(place.db),
      counters: { read: () => {} },
      clock: fast,
      logger: silent,
      interval: MINUTE,
      onSource: () => {},
      tidy: async () => {},
    })
    running.push(sources)
    sources.start((error) => failures.push(error))
    return frontier
  }
  const alive = new Set<Frontier>()
  const end = new AbortController()
  const beating = (async () => {
    // One after the other: on a busy machine those that nobody waits for would pile up before the database.
    for (; !end.signal.aborted; await sleep(10)) {
      for (const frontier of alive) await frontier.beat(fast())
    }
  })()
  let die = (): void => {}
  try {
    // It never ends, nor beats again.
    await start('dying', () => new Promise((resolve) => (die = () => resolve(false))))
    await expect.poll(() => read).toEqual(['dying'])
    alive.add(
      await start('blind', async () => {
        throw new SourceError('unreachable', 'no such file here')
      }),
    )
    await expect.poll(() => read).toContain('blind')
    alive.add(await start('able', async () => true))
    await expect.poll(() => read.filter((name) => name === 'able').length).toBeGreaterThan(3)
    // It reads again and again, alone, unless the machine has stood still for longer than a process may be silent.
    await expect.poll(() => read.slice(-3)).toEqual(['able', 'able', 'able'])
    expect(read.filter((name) => name === 'dying')).toHaveLength(1)
  } finally {
    die()
    end.abort()
    await beating
    await Promise.all(running.map((sources) => sources.stop()))
  }
  expect(failures).toEqual([])
})
