/** Views of crawlers: read to their end, kept for watched names, judged, and over when they agree. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toBase64, utf8 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import type { View } from '@dslog/schema/crawlerapi'
import { stateId } from '@dslog/schema/identity'
import { HOUR, MINUTE } from '@dslog/schema/time'
import { silent } from '../../../test/silent.ts'
import { ViewReader } from '../src/views.ts'
import { rogueKey, Stage } from './scenario/stage.ts'
import { place, type Place, RUNNING } from './world.ts'

let home: Place
let stage: Stage
let reader: ViewReader
let pages: string[]
const asked: string[] = []

beforeAll(async () => {
  home = await place()
})
afterAll(() => home.close())
beforeEach(async () => {
  stage = await Stage.set(home)
  pages = []
  asked.length = 0
  reader = new ViewReader({
    db: home.db,
    crawlers: ['https://crawler.example/'],
    digests: nodeBackend(),
    clock: stage.net.clock.now,
    logger: silent,
    http: {
      async request(url) {
        asked.push(url)
        const page = pages.shift()
        if (page === undefined) throw new TlogError('network', 'away')
        return { status: 200, headers: new Headers(), body: utf8(page) }
      },
    },
  })
})
afterEach(() => stage.close())

/** A view now of the state with these DS. */
function view(
  vantage: string,
  server: string,
  ds: readonly Uint8Array[],
  name = 'example.fi.',
): View {
  const { name: owner, net } = stage
  const time = net.clock.now()
  const state = toBase64(stateId(owner, stage.fi.name, ds))
  const more = { zone: 'fi.', transport: 'udp', differs: false }
  return { name, vantage, server, state_id: state, inception: time / 1000, time, ...more }
}

async function read(...views: readonly View[]): Promise<void> {
  pages.push(JSON.stringify({ views, next: String(asked.length + 1) }))
  await reader.round(RUNNING)
}

describe('a DS that is shown to one vantage only', () => {
  const mine = () => stage.child.dsRecords()
  const rogue = () => [stage.ds(rogueKey())]

  test('is told at once, and once', async () => {
    await read(view('tokyo', '192.0.2.1', mine()), view('paris', '192.0.2.1', mine()))
    stage.net.clock.advance(MINUTE)
    await read(view('tokyo', '192.0.2.1', rogue()))
    expect(await stage.alerts()).toEqual([])
    stage.net.clock.advance(MINUTE)
    await read(view('paris', '192.0.2.1', mine()), view('paris', '192.0.2.2', mine()))
    expect(await stage.alerts()).toEqual(['R11 HIGH raised'])
    stage.net.clock.advance(MINUTE)
    await read(view('paris', '192.0.2.1', mine()))
    expect(await stage.alerts()).toEqual(['R11 HIGH raised'])
  })

  test('is CRITICAL against pins', async () => {
    await stage.pin(stage.child.entryKeys().map(({ rdata }) => ({ kind: 'dnskey', rdata })))
    await read(view('tokyo', '192.0.2.1', rogue()))
    stage.net.clock.advance(MINUTE)
    await read(view('paris', '192.0.2.1', mine()), view('paris', '192.0.2.2', mine()))
    expect(await stage.alerts()).toEqual(['R11 CRITICAL raised'])
  })

  test('is a split when it stands for two hours, and over when all agree', async () => {
    await read(view('tokyo', '192.0.2.1', mine()), view('tokyo', '192.0.2.2', rogue()))
    stage.net.clock.advance(2.1 * HOUR)
    await read(view('tokyo', '192.0.2.1', mine()), view('tokyo', '192.0.2.2', rogue()))
    expect(await stage.alerts()).toEqual(['R11 HIGH raised'])
    stage.net.clock.advance(MINUTE)
    await read(view('tokyo', '192.0.2.2', mine()))
    expect(await stage.alerts()).toEqual(['R11 HIGH raised', 'R11 HIGH resolved'])
  })
})

describe('a crawler', () => {
  test('is read on from where it was left', async () => {
    await read()
    await read()
    expect(asked[0]).toBe('https://crawler.example/v1/views?limit=1000')
    expect(asked[1]).toBe('https://crawler.example/v1/views?limit=1000&after=1')
  })

  test('that does not answer, or talks nonsense, is asked again', async () => {
    await reader.round(RUNNING)
    for (const page of ['', '{}', '{"views": [{}], "next": "1"}', '{"views": [], "next": 1}']) {
      pages.push(page)
      await reader.round(RUNNING)
    }
    expect(await home.db.kysely.selectFrom('crawler').selectAll().execute()).toEqual([])
  })

  test('may see what nobody watches, and what is no name', async () => {
    const other = view('tokyo', '192.0.2.1', [], 'other.fi.')
    await read(other, { ...other, name: 'a..b' })
    expect(await home.db.kysely.selectFrom('view').selectAll().execute()).toEqual([])
  })

  test('cannot date its views ahead', async () => {
    const ahead = view('tokyo', '192.0.2.1', [])
    await read({ ...ahead, time: ahead.time + 99 * HOUR })
    const [row] = await home.db.kysely.selectFrom('view').selectAll().execute()
    expect(row?.last_at).toBe(ahead.time)
  })
})
