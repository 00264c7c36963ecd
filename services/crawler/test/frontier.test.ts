/** The queue: leases, order, what is lost and what is not. On a server, and embedded. */
import type { Transaction } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { TestClock } from '@dslog/testbed/clock'
import { Frontier, LEASE_MS, type NewTask, type Task, WORKER_GONE_MS } from '../src/frontier.ts'
import { Source, TaskKind, Tier } from '../src/schedule.ts'
import { HASH_KEY, openPlace, type Place, takeBoth } from './place.ts'

const clock = new TestClock()

function task(text: string, more: Partial<NewTask> = {}): NewTask {
  const name = nameFromText(text)
  const due = clock.now()
  return { name, kind: TaskKind.poll, tier: Tier.other, due, source: Source.file, ...more }
}

function names(count: number): NewTask[] {
  return Array.from({ length: count }, (_, i) => task(`n${String(i).padStart(5, '0')}.example.`))
}

const texts = (tasks: readonly { name: Name }[]) => tasks.map(({ name }) => nameToText(name))

const done = (task: Task, due: number | undefined, more = {}) => ({
  task,
  due,
  tier: task.tier,
  seenAt: clock.now(),
  failures: 0,
  reason: undefined,
  answered: undefined,
  ...more,
})

describe.each(['server', 'embedded'] as const)('a queue (%s)', (kind) => {
  let place: Place
  let frontier: Frontier
  const join = (): Promise<Frontier> => Frontier.join(place.db, HASH_KEY, clock.now())

  beforeAll(async () => {
    place = await openPlace(kind === 'embedded' ? 'embedded' : undefined)
  })
  beforeEach(async () => {
    await place.empty()
    frontier = await join()
  })
  afterAll(() => place.close())

  test('gives out what is due, once', async () => {
    await frontier.add([task('a.example.'), task('b.example.', { due: clock.now() + 1 })])
    const leased = await frontier.lease(clock.now(), 10)
    expect(texts(leased)).toEqual(['a.example.'])
    expect(leased[0]).toMatchObject({ due: clock.now(), failures: 0, tier: Tier.other })
    expect(await frontier.lease(clock.now(), 10)).toEqual([])
    expect(await frontier.nextDue()).toBe(clock.now() + 1)
  })

  test.skipIf(kind === 'embedded').each([
    ['a.example.', 'b.example.'],
    ['b.example.', 'a.example.'],
  ])('stands back for who has %s and wants %s, and is held on', async (first, second) => {
    await frontier.add([task('a.example.'), task('b.example.')])
    const leased = await frontier.lease(clock.now(), 2)
    const touch = (text: string) => (trx: Transaction<CrawlerTables>) =>
      trx.updateTable('task').set({ reason: 'x' }).where('name', '=', nameFromText(text)).execute()
    const other = await takeBoth(place, touch(first), touch(second))
    await Promise.all([frontier.renew(leased, clock.now() + 1), other()])
    expect(await frontier.nextDue()).toBe(clock.now() + 1 + LEASE_MS)
  })

  test('takes back an answer, and asks again when it is due', async () => {
    await frontier.add([task('a.example.')])
    const [leased] = await frontier.lease(clock.now(), 1)
    const answered = Uint8Array.of(1, 2, 3)
    await frontier.finish([done(leased!, clock.now() + 1000, { tier: Tier.signed, answered })])
    expect(await frontier.lease(clock.now() + 999, 1)).toEqual([])
    const [again] = await frontier.lease(clock.now() + 1000, 1)
    expect(again).toMatchObject({ tier: Tier.signed, failures: 0 })
    expect(again!.answered).toEqual(Buffer.from(answered))
  })

  test('keeps what a failure does not say', async () => {
    await frontier.add([task('a.example.')])
    const [first] = await frontier.lease(clock.now(), 1)
    await frontier.finish([done(first!, clock.now(), { answered: Uint8Array.of(9) })])
    const [second] = await frontier.lease(clock.now(), 1)
    const failed = { seenAt: undefined, failures: 1, reason: 'timeout' }
    await frontier.finish([done(second!, clock.now(), failed)])
    const row = await place.db.kysely.selectFrom('task').selectAll().executeTakeFirstOrThrow()
    expect(row).toMatchObject({ failures: 1, reason: 'timeout', seen_at: clock.now() })
    expect(row.answered).toEqual(Buffer.of(9))
  })

  test('loses nothing with a process that dies: its leases end', async () => {
    await frontier.add(names(50))
    const dead = await frontier.lease(clock.now(), 20)
    expect(dead).toHaveLength(20)
    const other = await join()
    expect(await other.lease(clock.now(), 100)).toHaveLength(30)
    expect(await other.lease(clock.now() + LEASE_MS - 1, 100)).toEqual([])
    const late = await other.lease(clock.now() + LEASE_MS, 100)
    // The other's own leases have ended, too: it did not renew them.
    expect(late).toHaveLength(50)
    expect(new Set(texts(late))).toEqual(new Set(texts(names(50))))
  })

  test('does not count the answer of a lease that somebody else has by now', async () => {
    await frontier.add([task('a.example.')])
    const [stale] = await frontier.lease(clock.now(), 1)
    const other = await join()
    const later = clock.now() + LEASE_MS
    const [taken] = await other.lease(later, 1)
    await frontier.finish([done(stale!, clock.now() + 7)])
    await frontier.giveBack([stale!])
    await frontier.renew([stale!], later + 5)
    expect(await frontier.nextDue()).toBe(later + LEASE_MS)
    await other.finish([done(taken!, later + 1)])
    expect(await frontier.nextDue()).toBe(later + 1)
  })

  test('holds what is renewed', async () => {
    await frontier.add(names(3))
    const held = await frontier.lease(clock.now(), 3)
    await frontier.renew(held.slice(0, 2), clock.now() + LEASE_MS / 2)
    const other = await join()
    expect(await other.lease(clock.now() + LEASE_MS, 9)).toHaveLength(1)
  })

  test('gives back, due as it was', async () => {
    await frontier.add(names(5))
    const held = await frontier.lease(clock.now(), 5)
    await frontier.giveBack(held.slice(0, 3))
    const again = await (await join()).lease(clock.now(), 9)
    expect(new Set(texts(again))).toEqual(new Set(texts(held.slice(0, 3))))
    expect(again.map(({ due }) => due)).toEqual([1, 2, 3].map(() => clock.now()))
  })

  test('ends a task', async () => {
    await frontier.add([task('a.example.', { kind: TaskKind.look, tier: Tier.watched })])
    const [look] = await frontier.lease(clock.now(), 1)
    await frontier.finish([done(look!, undefined)])
    expect(await frontier.nextDue()).toBeUndefined()
  })

  test('lets names out in an order that is not theirs, and not that of another queue', async () => {
    await frontier.add(names(200))
    const order = async (queue: Frontier): Promise<string[]> => {
      const out: string[] = []
      for (;;) {
        const some = await queue.lease(clock.now(), 10)
        if (some.length === 0) return out
        // A lease itself comes in no order; ten at a time do.
        out.push(...texts(some).sort())
      }
    }
    const first = await order(frontier)
    expect(first).toHaveLength(200)
    expect(first).not.toEqual(first.toSorted())
    const neighbours = first.filter((name, i) => i > 0 && name > first[i - 1]!).length
    expect(neighbours).toBeLessThan(199)
    await place.empty()
    const other = await Frontier.join(place.db, new Uint8Array(32).fill(8), clock.now())
    await other.add(names(200))
    expect(await order(other)).not.toEqual(first)
  })

  test('lets watched names pass a crowd', async () => {
    await frontier.add(names(300))
    await frontier.add([
      task('watched.example.', { tier: Tier.watched, due: clock.now() }),
      task('example.', { kind: TaskKind.keys, tier: Tier.keys }),
    ])
    const leased = await frontier.lease(clock.now(), 10)
    expect(texts(leased.slice(0, 2)).sort()).toEqual(['example.', 'watched.example.'])
    expect(leased).toHaveLength(10)
  })

  test('asks nothing anew because it was named again', async () => {
    await frontier.add([task('a.example.', { tier: Tier.signed, due: clock.now() + 5000 })])
    await frontier.add([task('a.example.', { tier: Tier.other, source: Source.log })])
    expect(await frontier.nextDue()).toBe(clock.now() + 5000)
    await frontier.add([task('a.example.', { tier: Tier.watched, source: Source.watch })])
    expect(await frontier.nextDue()).toBe(clock.now())
    const row = await place.db.kysely.selectFrom('task').selectAll().executeTakeFirstOrThrow()
    expect(row.sources).toBe(Source.file | Source.log | Source.watch)
    expect(row.tier).toBe(Tier.watched)
  })

  test('hurries what has changed, but not what is being asked', async () => {
    const due = clock.now() + 9000
    await frontier.add([task('a.example.', { due }), task('b.example.')])
    await frontier.lease(clock.now(), 1)
    await frontier.hurry([nameFromText('a.example.'), nameFromText('b.example.')], clock.now() + 1)
    expect(texts(await frontier.lease(clock.now() + 1, 9))).toEqual(['a.example.'])
  })

  test('follows a list: names come and go, unless somebody else wants them', async () => {
    const list = (...of: string[]) => of.map((text) => nameFromText(text))
    const first = clock.now()
    await frontier.list(list('a.example.', 'b.example.', 'c.example.'), first)
    expect(await frontier.unlist(first)).toBe(0)
    await frontier.add([task('b.example.', { source: Source.log, tier: Tier.signed })])
    await frontier.list(list('a.example.', 'd.example.'), first + 60)
    expect(await frontier.unlist(first + 60)).toBe(2)
    const rows = await place.db.kysely
      .selectFrom('task')
      .select(['name', 'sources'])
      .orderBy('name')
      .execute()
    expect(rows.map(({ name, sources }) => [nameToText(name as Name), sources])).toEqual([
      ['a.example.', Source.file],
      ['b.example.', Source.log],
      ['d.example.', Source.file],
    ])
    const kept = await frontier.lease(clock.now(), 9)
    expect(texts(kept).sort()).toEqual(['a.example.', 'b.example.'])
  })

  test('counts its processes, and forgets those that are gone', async () => {
    expect(await frontier.beat(clock.now())).toBe(1)
    const other = await join()
    expect(await frontier.beat(clock.now())).toBe(2)
    expect(await frontier.beat(clock.now() + WORKER_GONE_MS + 1)).toBe(1)
    // One that was taken for gone is there again as soon as it says so.
    expect(await other.beat(clock.now() + WORKER_GONE_MS + 1)).toBe(2)
    await other.leave()
    expect(await frontier.beat(clock.now() + WORKER_GONE_MS + 1)).toBe(1)
  })

  test('counts its tasks', async () => {
    await frontier.add([
      ...names(3),
      task('z.example.', { due: clock.now() + 1, tier: Tier.signed }),
    ])
    const counts = await frontier.counts(clock.now())
    expect(counts.sort((a, b) => a.tier - b.tier)).toEqual([
      { tier: Tier.signed, tasks: 1, due: 0 },
      { tier: Tier.other, tasks: 3, due: 3 },
    ])
  })
})

describe('processes at once', () => {
  let place: Place
  beforeAll(async () => {
    place = await openPlace()
  })
  afterAll(() => place.close())

  test('share a queue without asking anything twice', async () => {
    const workers = await Promise.all(
      [1, 2, 3].map(() => Frontier.join(place.db, HASH_KEY, clock.now())),
    )
    await workers[0]!.add(names(3_000))
    const asked: string[] = []
    await Promise.all(
      workers.map(async (worker) => {
        for (;;) {
          const tasks = await worker.lease(clock.now(), 50)
          if (tasks.length === 0) return
          asked.push(...texts(tasks))
          await worker.finish(tasks.map((task) => done(task, clock.now() + 1_000_000)))
        }
      }),
    )
    expect(asked).toHaveLength(3_000)
    expect(new Set(asked).size).toBe(3_000)
  })
})
