/** The log's states, as the crawler follows them: bundles, another log, a log that was set back. */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { toBase64, toHex } from '@dslog/tlog/bytes'
import type { Hash } from '@dslog/tlog/hash'
import { HttpClient } from '@dslog/tlog/http'
import { type BundleId, encodeBundle, parseTilePath, TILE_WIDTH } from '@dslog/tlog/tile'
import { DENIAL } from '@dslog/dnssec/denial'
import { nameFromText, nameKey } from '@dslog/dnssec/name'
import { rdataFromText } from '@dslog/dnssec/rdata'
import { TYPE } from '@dslog/dnssec/records'
import { encodeEntry, type Entry } from '@dslog/schema/entry'
import { stateId } from '@dslog/schema/identity'
import { DAY } from '@dslog/schema/time'
import { LogApi } from '@dslog/service/logapi'
import { AnswerError } from '@dslog/service/answer'
import { TestClock } from '@dslog/testbed/clock'
import { silent } from '../../../test/silent.ts'
import { Duties } from '../src/duties.ts'
import { Frontier, WORKER_GONE_MS } from '../src/frontier.ts'
import { Logged, loggedStates } from '../src/logged.ts'
import { Source, Tier } from '../src/schedule.ts'
import { HASH_KEY, openPlace, type Place, RUNNING } from './place.ts'

const clock = new TestClock()
const ZERO = new Uint8Array(32) as Hash
const ORG = nameFromText('org.')
/** Inception of the first entry's signature, seconds since the epoch; each other's is a second later. */
const FIRST_INCEPTION = 1_577_836_800

interface Put {
  readonly name: string
  readonly ds: number | undefined
  readonly late?: boolean
}

/** A log that shows its entries, in bundles. */
class FakeLog {
  origin = 'log.example/one'
  entries: Put[] = []
  readonly requests: string[] = []

  fetch = async (url: string): Promise<Response> => {
    const { pathname } = new URL(url)
    this.requests.push(pathname)
    if (pathname === '/v1/checkpoint') return Response.json(this.#checkpoint())
    const { index, width } = parseTilePath(pathname.slice(1)) as BundleId
    const first = index * TILE_WIDTH
    const entries = this.entries.slice(first, first + width)
    const encoded = entries.map((entry, i) => encodeEntry(entryOf(entry, first + i)))
    return new Response(encodeBundle(encoded) as Uint8Array<ArrayBuffer>)
  }

  #checkpoint() {
    const { length: size } = this.entries
    return { origin: this.origin, size, root: toBase64(ZERO), note: '', published_at: 1 }
  }
}

const rdataOf = (ds: number): Uint8Array => Uint8Array.of(0, ds, 13, 2, ...ZERO)

function state(name: string, ds: number | undefined): Uint8Array {
  return stateId(nameFromText(name), ORG, ds === undefined ? [] : [rdataOf(ds)])
}

/** What a log would hold; it is not for its reader to verify. */
function entryOf({ ds, late = false, name }: Put, index: number): Entry {
  const owner = nameFromText(name)
  const head = { time: 1_600_000_000_000, historical: false, outOfOrder: late, zone: ORG }
  const rrsig = (covered: string): Uint8Array => {
    const dates = `1924905600 ${FIRST_INCEPTION + index}`
    return rdataFromText(TYPE.RRSIG, `${covered} 13 2 3600 ${dates} 1 org. ${toBase64(ZERO)}`)
  }
  if (ds !== undefined) {
    return { type: 'ds', ...head, owner, keysId: ZERO, ds: [rdataOf(ds)], rrsig: rrsig('DS') }
  }
  const rdata = rdataFromText(TYPE.NSEC, 'zzz.org. NS RRSIG NSEC')
  const records = [{ owner, type: TYPE.NSEC, rdata, rrsig: rrsig('NSEC') }]
  return { type: 'no-ds', ...head, owner, keysId: ZERO, proof: DENIAL.NSEC_MATCH, records }
}

let place: Place
let log: FakeLog

beforeAll(async () => {
  place = await openPlace()
})
beforeEach(async () => {
  await place.empty()
  log = new FakeLog()
})
afterAll(() => place.close())

async function logged(): Promise<Logged> {
  const frontier = await Frontier.join(place.db, HASH_KEY, clock.now())
  const http = new HttpClient({ fetch: log.fetch, now: clock.now, random: () => 0 }, { retries: 0 })
  const api = new LogApi('http://log.example', http)
  const duties = new Duties(place.db, frontier.worker, clock.now)
  return new Logged({ db: place.db, api, duties, frontier, clock: clock.now, logger: silent })
}

/** A process that comes when those before have ended. */
async function restarted(): Promise<Logged> {
  await place.db.kysely.deleteFrom('worker').execute()
  return logged()
}

async function states(...names: string[]): Promise<(string | undefined)[]> {
  const found = await loggedStates(
    place.db,
    names.map((name) => nameFromText(name)),
  )
  return names.map((name) => {
    const held = found.get(nameKey(nameFromText(name)))
    return held && toHex(held.state)
  })
}

const hex = (name: string, ds: number | undefined): string => toHex(state(name, ds))

describe('a log', () => {
  test('is followed to its end', async () => {
    log.entries = [
      { name: 'a.org.', ds: 1 },
      { name: 'b.org.', ds: 1 },
      { name: 'a.org.', ds: 2 },
      { name: 'b.org.', ds: undefined },
      { name: 'c.org.', ds: 3 },
    ]
    const own = await logged()
    expect(own.followedAt).toBeUndefined()
    expect(await own.isCaughtUp()).toBe(false)
    await own.follow(RUNNING)
    expect(own.followedAt).toBe(clock.now())
    expect(await own.isCaughtUp()).toBe(true)
    expect(await states('a.org.', 'b.org.', 'c.org.', 'd.org.')).toEqual([
      hex('a.org.', 2),
      hex('b.org.', undefined),
      hex('c.org.', 3),
      undefined,
    ])
    log.requests.length = 0
    log.entries.push({ name: 'd.org.', ds: 1 })
    await own.follow(RUNNING)
    expect(await states('d.org.')).toEqual([hex('d.org.', 1)])
    expect(log.requests).toEqual(['/v1/checkpoint', '/tile/entries/000.p/6'])
    await own.follow(RUNNING)
    expect(log.requests.slice(2)).toEqual(['/v1/checkpoint'])
  })

  test('is read on where two wait for each other and the database sends us back', async () => {
    log.entries = [{ name: 'a.org.', ds: 1 }]
    const own = await logged()
    const deadlock = Object.assign(new Error('deadlock detected'), { code: '40P01' })
    const add = vi.spyOn(Frontier.prototype, 'addIn').mockRejectedValueOnce(deadlock)
    onTestFinished(() => add.mockRestore())
    await own.follow(RUNNING)
    expect(add).toHaveBeenCalledTimes(2)
    expect(await states('a.org.')).toEqual([hex('a.org.', 1)])
  })

  test('that is far ahead is read by whole bundles, and where it was left', async () => {
    const many = (count: number, ds: number): Put[] => {
      return Array.from({ length: count }, (_, i) => ({ name: `n${i}.org.`, ds }))
    }
    log.entries = many(300, 1)
    const own = await logged()
    await own.follow(RUNNING)
    log.entries.push(...many(5_000, 2))
    log.requests.length = 0
    await own.follow(RUNNING)
    const { oldest, signed } = await place.db.kysely
      .selectFrom('logged')
      .select((eb) => [eb.fn.countAll<number>().as('signed'), eb.fn.min('inception').as('oldest')])
      .executeTakeFirstOrThrow()
    expect({ oldest, signed }).toEqual({ oldest: FIRST_INCEPTION + 300, signed: 5_000 })
    // 20 bundles from that on which was begun, the last of them in part.
    expect(log.requests.filter((path) => path.includes('entries'))).toHaveLength(20)
    expect(log.requests).toContain('/tile/entries/020.p/180')
  })

  test('names what is signed there to be asked every day', async () => {
    log.entries = [
      { name: 'a.org.', ds: 1 },
      { name: 'b.org.', ds: undefined },
    ]
    await (await logged()).follow(RUNNING)
    const rows = await place.db.kysely
      .selectFrom('task')
      .select(['tier', 'sources', 'due'])
      .orderBy('name')
      .execute()
    expect(rows).toEqual([
      { tier: Tier.signed, sources: Source.log, due: expect.any(Number) },
      { tier: Tier.other, sources: Source.log, due: expect.any(Number) },
    ])
    for (const { due } of rows) expect(due - clock.now()).toBeLessThanOrEqual(DAY)
  })

  test('has no state by what is out of order', async () => {
    log.entries = [
      { name: 'a.org.', ds: 1 },
      { name: 'a.org.', ds: 2, late: true },
    ]
    await (await logged()).follow(RUNNING)
    expect(await states('a.org.')).toEqual([hex('a.org.', 1)])
  })

  test('that is another than before is read anew', async () => {
    log.entries = [{ name: 'a.org.', ds: 1 }]
    await (await logged()).follow(RUNNING)
    log.origin = 'log.example/two'
    log.entries = [{ name: 'b.org.', ds: 1 }]
    await (await restarted()).follow(RUNNING)
    expect(await states('a.org.', 'b.org.')).toEqual([undefined, hex('b.org.', 1)])
  })

  test('that was set back is read anew, and what it had answered counts no more', async () => {
    log.entries = Array.from({ length: 5 }, (_, i) => ({ name: `n${i}.org.`, ds: 1 }))
    const own = await logged()
    await own.follow(RUNNING)
    await place.db.kysely
      .updateTable('task')
      .set({ answered: Uint8Array.of(1) })
      .execute()
    log.entries.length = 2
    await own.follow(RUNNING)
    expect(await states('n0.org.', 'n4.org.')).toEqual([hex('n0.org.', 1), undefined])
    const { answered } = await place.db.kysely
      .selectFrom('task')
      .select((eb) => eb.fn.count('answered').as('answered'))
      .executeTakeFirstOrThrow()
    expect(answered).toBe(0)
  })

  test('is followed by several, and each change is taken once', async () => {
    log.entries = Array.from({ length: 60 }, (_, i) => ({ name: `n${i}.org.`, ds: 1 }))
    const processes = await Promise.all([logged(), logged(), logged()])
    await Promise.all(processes.map((process) => process.follow(RUNNING)))
    const { names } = await place.db.kysely
      .selectFrom('logged')
      .select((eb) => eb.fn.countAll<number>().as('names'))
      .executeTakeFirstOrThrow()
    expect(names).toBe(60)
  })

  test('is read by one of several for all, until that one dies', async () => {
    log.entries = [{ name: 'a.org.', ds: 1 }]
    const [first, second] = [await logged(), await logged()]
    await first.follow(RUNNING)
    log.entries.push({ name: 'b.org.', ds: 1 })
    log.requests.length = 0
    await second.follow(RUNNING)
    expect(log.requests).toEqual(['/v1/checkpoint'])
    expect(second.followedAt).toBe(clock.now())
    expect(await second.isCaughtUp()).toBe(false)
    await first.follow(RUNNING)
    expect(await second.isCaughtUp()).toBe(true)

    log.entries.push({ name: 'c.org.', ds: 1 })
    clock.advance(WORKER_GONE_MS + 1)
    await second.follow(RUNNING)
    expect(await states('b.org.', 'c.org.')).toEqual([hex('b.org.', 1), hex('c.org.', 1)])
    // One that only stood still stands back.
    log.requests.length = 0
    await first.follow(RUNNING)
    expect(log.requests).toEqual(['/v1/checkpoint'])
  })

  test('that another process is taking over is not waited for', async (context) => {
    context.skip(
      place.url === undefined,
      'transactions wait for one another in an embedded database',
    )
    log.entries = [{ name: 'a.org.', ds: 1 }]
    const own = await logged()
    await own.follow(RUNNING)
    log.entries.push({ name: 'b.org.', ds: 1 })
    await place.owner.kysely.transaction().execute(async (trx) => {
      await trx.updateTable('followed_log').set({ after: 2 }).execute()
      // It would wait until we are done, so for ever.
      await own.follow(RUNNING)
    })
    expect(await states('b.org.')).toEqual([undefined])
    expect(await own.isCaughtUp()).toBe(true)
  })

  test('that talks nonsense is a failure', async () => {
    const own = await logged()
    await own.follow(RUNNING)
    log.entries = [{ name: 'a.org.', ds: 1 }]
    const { fetch } = log
    for (const path of ['/v1/checkpoint', '/tile/entries/000.p/1']) {
      log.fetch = async (url) => (url.endsWith(path) ? new Response('{}') : fetch(url))
      const broken = await restarted()
      await expect(broken.follow(RUNNING)).rejects.toThrow(AnswerError)
    }
    log.fetch = fetch
    // Whoever failed has left it to others.
    await own.follow(RUNNING)
    expect(await states('a.org.')).toEqual([hex('a.org.', 1)])
  })
})
