/** The log's states, as the crawler follows them: pages, another log, a log that was set back. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toBase64, toHex } from '@dslog/tlog/bytes'
import { HttpClient } from '@dslog/tlog/http'
import { nameFromText, nameKey } from '@dslog/dnssec/name'
import { stateId } from '@dslog/schema/identity'
import { LogAnswerError, LogApi } from '@dslog/service/logapi'
import { TestClock } from '@dslog/testbed/clock'
import { Frontier } from '../src/frontier.ts'
import { Logged, loggedStates } from '../src/logged.ts'
import { Source, Tier } from '../src/schedule.ts'
import { HASH_KEY, openPlace, type Place, RUNNING, silent } from './place.ts'

const clock = new TestClock()
const ZERO = toBase64(new Uint8Array(32))

interface Entry {
  readonly name: string
  readonly ds: number | undefined
  readonly late?: boolean
}

/** A log that shows its changes, so many a page. */
class FakeLog {
  origin = 'log.example/one'
  entries: Entry[] = []
  requests = 0
  page = 3

  fetch = async (url: string): Promise<Response> => {
    this.requests++
    const { pathname, searchParams } = new URL(url)
    if (pathname === '/v1/log') return Response.json(this.#info())
    const after = Number(searchParams.get('after'))
    if (after > this.entries.length) {
      const headers = { 'content-type': 'application/problem+json' }
      return new Response('{"title":"beyond"}', { status: 404, headers })
    }
    const end = Math.min(after + this.page, this.entries.length)
    const changes = this.entries.slice(after, end).map((entry, i) => view(entry, after + i))
    return Response.json({ changes, next: String(end), size: this.entries.length })
  }

  #info() {
    const limits = { observations: 1000, body_bytes: 1, entries: 1 }
    const texts = { policy: '', software: 'test', vkeys: [], zones: [], frozen: false }
    return { origin: this.origin, publish_interval_ms: 1, limits, ...texts }
  }
}

function state(name: string, ds: number | undefined): Uint8Array {
  const set = ds === undefined ? [] : [Uint8Array.of(0, ds)]
  return stateId(nameFromText(name), nameFromText('org.'), set)
}

function view({ ds, late = false, name }: Entry, index: number) {
  const head = { index, raw: '', time: 5, name, zone: 'org.', historical: false, inception: index }
  const ids = { keys_id: ZERO, state_id: toBase64(state(name, ds)), out_of_order: late }
  return ds === undefined
    ? { type: 'no-ds', ...head, ...ids, proof: 'nsec', records: [] }
    : { type: 'ds', ...head, ...ids, ds: [`1 13 2 ${ds}`], rrsig: '' }
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
  return new Logged({ db: place.db, api, frontier, clock: clock.now, logger: silent })
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
  test('is followed to its end, page by page', async () => {
    log.entries = [
      { name: 'a.org.', ds: 1 },
      { name: 'b.org.', ds: 1 },
      { name: 'a.org.', ds: 2 },
      { name: 'b.org.', ds: undefined },
      { name: 'c.org.', ds: 3 },
    ]
    const own = await logged()
    expect(own.followedAt).toBeUndefined()
    await own.follow(RUNNING)
    expect(own.followedAt).toBe(clock.now())
    expect(await states('a.org.', 'b.org.', 'c.org.', 'd.org.')).toEqual([
      hex('a.org.', 2),
      hex('b.org.', undefined),
      hex('c.org.', 3),
      undefined,
    ])
    log.requests = 0
    log.entries.push({ name: 'd.org.', ds: 1 })
    await own.follow(RUNNING)
    expect(await states('d.org.')).toEqual([hex('d.org.', 1)])
    // What is new, and that there is no more.
    expect(log.requests).toBe(2)
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
    for (const { due } of rows) expect(due - clock.now()).toBeLessThan(86_400_001)
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
    await (await logged()).follow(RUNNING)
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

  test('that talks nonsense is a failure', async () => {
    const own = await logged()
    await own.follow(RUNNING)
    log.entries = [{ name: 'a.org.', ds: 1 }]
    log.fetch = async () => Response.json({ changes: [], next: 7 })
    const broken = await logged()
    await expect(broken.follow(RUNNING)).rejects.toThrow(LogAnswerError)
  })
})
