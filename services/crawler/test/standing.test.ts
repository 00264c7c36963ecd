/** Servers that are left alone, in memory, in the database, and in another process. */
import type { Transaction } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import { MINUTE } from '@dslog/schema/time'
import { DatabaseError } from '@dslog/service/database-error'
import { TestClock } from '@dslog/testbed/clock'
import { BACKOFF } from '../src/schedule.ts'
import { Standing } from '../src/standing.ts'
import { openPlace, type Place, takeBoth } from './place.ts'

const ZONE = nameFromText('example.')
const OTHER = nameFromText('test.')
const A = '192.0.2.1'
const B = '192.0.2.2'

let place: Place
let clock: TestClock
const standing = (): Standing => new Standing(place.db, clock.now, () => 0)

beforeAll(async () => {
  place = await openPlace()
})
beforeEach(async () => {
  await place.empty()
  clock = new TestClock()
})
afterAll(() => place.close())

const zoneRow = () =>
  place.db.kysely.selectFrom('zone_status').selectAll().where('name', '=', ZONE).executeTakeFirst()

describe('a server that fails', () => {
  test('is left alone for five minutes, for that zone', () => {
    const own = standing()
    own.failed(ZONE, A, 'refused')
    expect(own.mayAsk(ZONE, A)).toBe(false)
    expect(own.mayAsk(ZONE, B)).toBe(true)
    expect(own.mayAsk(OTHER, A)).toBe(true)
    expect(own.blocked).toBe(1)
    clock.advance(BACKOFF.first - 1)
    expect(own.mayAsk(ZONE, A)).toBe(false)
    clock.advance(1)
    expect(own.mayAsk(ZONE, A)).toBe(true)
  })

  test('is left alone for longer each time, up to a day, until it answers', () => {
    const own = standing()
    const waits: number[] = []
    for (let i = 0; i < 12; i++) {
      own.failed(ZONE, A, 'servfail')
      const wait = own.freeAt(ZONE, [A]) - clock.now()
      waits.push(wait / MINUTE)
      clock.advance(wait)
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440, 1440])
    own.answered(ZONE, A)
    own.failed(ZONE, A, 'servfail')
    expect(own.freeAt(ZONE, [A]) - clock.now()).toBe(BACKOFF.first)
  })

  test('fails once, however many questions are under way', () => {
    const own = standing()
    for (let i = 0; i < 50; i++) own.failed(ZONE, A, 'lame')
    expect(own.freeAt(ZONE, [A])).toBe(clock.now() + BACKOFF.first)
  })

  test('makes nobody wait where there is another', () => {
    const own = standing()
    own.failed(ZONE, A, 'lame')
    expect(own.freeAt(ZONE, [A, B])).toBe(0)
  })
})

describe('a server that does not answer', () => {
  test('is left alone after five questions in a row', () => {
    const own = standing()
    for (let i = 0; i < 4; i++) own.missed(ZONE, A, 'timeout')
    own.answered(ZONE, A)
    for (let i = 0; i < 4; i++) own.missed(ZONE, A, 'timeout')
    expect(own.mayAsk(ZONE, A)).toBe(true)
    own.missed(ZONE, A, 'timeout')
    expect(own.mayAsk(ZONE, A)).toBe(false)
  })
})

describe('what could not be written', () => {
  /** A standing whose database is away as long as it is told so. */
  function flaky() {
    const now = { isAway: false }
    const db: Place['db'] = {
      ...place.db,
      get kysely() {
        if (now.isAway) throw new DatabaseError('away', 'gone')
        return place.db.kysely
      },
    }
    return { now, own: new Standing(db, clock.now, () => 0) }
  }

  test('of servers is written the next time', async () => {
    const { now, own } = flaky()
    own.failed(ZONE, A, 'refused')
    now.isAway = true
    await expect(own.exchange()).rejects.toThrow('gone')
    own.failed(ZONE, B, 'lame')
    now.isAway = false
    await own.exchange()
    const after = standing()
    await after.read()
    expect([after.mayAsk(ZONE, A), after.mayAsk(ZONE, B)]).toEqual([false, false])
  })

  test('of zones is, unless they have answered since', async () => {
    const { now, own } = flaky()
    for (const zone of [ZONE, OTHER]) own.zoneFailed(zone, 'lame')
    now.isAway = true
    await expect(own.exchange()).rejects.toThrow('gone')
    own.zoneFailed(ZONE, 'refused')
    own.answered(OTHER, B)
    now.isAway = false
    await own.exchange()
    const rows = await place.db.kysely
      .selectFrom('zone_status')
      .selectAll()
      .orderBy('failures')
      .execute()
    expect(rows).toMatchObject([
      { seen_at: clock.now(), failed_at: clock.now(), failures: 0, reason: null },
      { seen_at: null, failed_at: clock.now(), failures: 2, reason: 'refused' },
    ])
  })
})

test.for([
  [A, B],
  [B, A],
])('what is learnt is written though another process has %s and wants %s', async (order, task) => {
  if (place.url === undefined) return task.skip('needs a server')
  const [first, second] = order
  const own = standing()
  own.failed(ZONE, A, 'refused')
  own.failed(ZONE, B, 'refused')
  await own.exchange()
  const touch = (address: string | undefined) => (trx: Transaction<CrawlerTables>) =>
    trx.updateTable('server').set({ reason: 'x' }).where('address', '=', address!).execute()
  const other = await takeBoth(place, touch(first), touch(second))
  clock.advance(BACKOFF.longest)
  own.failed(ZONE, A, 'timeout')
  own.failed(ZONE, B, 'timeout')
  await Promise.all([own.exchange(), other()])
  const rows = await place.db.kysely.selectFrom('server').selectAll().execute()
  expect(rows.map(({ reason }) => reason)).toEqual(['timeout', 'timeout'])
})

describe('a restart', () => {
  test('leaves alone who was left alone', async () => {
    const before = standing()
    before.failed(ZONE, A, 'refused')
    await before.exchange()
    const after = standing()
    await after.read()
    expect(after.mayAsk(ZONE, A)).toBe(false)
    expect(after.mayAsk(OTHER, A)).toBe(true)
    after.answered(ZONE, A)
    await after.exchange()
    const last = standing()
    await last.read()
    expect(last.mayAsk(ZONE, A)).toBe(true)
    expect(await place.db.kysely.selectFrom('server').selectAll().execute()).toEqual([])
  })

  test('does not forget how often it failed', async () => {
    const before = standing()
    for (let i = 0; i < 4; i++) {
      before.failed(ZONE, A, 'refused')
      clock.advance(before.freeAt(ZONE, [A]) - clock.now())
    }
    await before.exchange()
    const after = standing()
    await after.read()
    expect(after.mayAsk(ZONE, A)).toBe(true)
    after.failed(ZONE, A, 'refused')
    expect(after.freeAt(ZONE, [A]) - clock.now()).toBe(16 * BACKOFF.first)
  })

  test('of another process: what that one learnt is known within a minute', async () => {
    const one = standing()
    const two = standing()
    await two.read()
    one.failed(ZONE, A, 'refused')
    await one.exchange()
    await two.exchange()
    expect(two.mayAsk(ZONE, A)).toBe(true)
    clock.advance(MINUTE)
    await two.exchange()
    expect(two.mayAsk(ZONE, A)).toBe(false)
  })
})

test('who failed days ago is forgotten, here and in the database', async () => {
  const own = standing()
  own.failed(ZONE, A, 'refused')
  own.missed(OTHER, B, 'timeout')
  await own.exchange()
  expect(own.size).toBe(2)
  clock.advance(2 * BACKOFF.longest)
  await own.exchange()
  // He may be asked again since five minutes after he failed.
  expect(own.size).toBe(1)
  clock.advance(BACKOFF.first)
  await own.exchange()
  expect(own.size).toBe(0)
  expect(await place.db.kysely.selectFrom('server').selectAll().execute()).toEqual([])
})

describe('a zone', () => {
  test('is remembered by when it was seen, and why not since', async () => {
    const own = standing()
    own.answered(ZONE, A)
    await own.exchange()
    const seen = clock.now()
    expect(await zoneRow()).toMatchObject({ seen_at: seen, failures: 0, reason: null })
    clock.advance(1000)
    own.zoneFailed(ZONE, 'timeout')
    own.zoneFailed(ZONE, 'bad-signature')
    await own.exchange()
    own.zoneFailed(ZONE, 'bad-signature')
    await own.exchange()
    expect(await zoneRow()).toMatchObject({
      seen_at: seen,
      failed_at: seen + 1000,
      failures: 3,
      reason: 'bad-signature',
    })
    own.answered(ZONE, B)
    await own.exchange()
    expect(await zoneRow()).toMatchObject({ failures: 0, reason: null })
  })
})
