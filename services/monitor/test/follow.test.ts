import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toHex, utf8 } from '@dslog/tlog/bytes'
import { signerOf } from '@dslog/tlog/cosignature'
import { leafHash } from '@dslog/tlog/hash'
import { formatVkey, KEY_TYPE } from '@dslog/tlog/key'
import { parseNote, signNote } from '@dslog/tlog/note'
import { rootOf } from '@dslog/tlog/tree'
import { nameFromText } from '@dslog/dnssec/name'
import { decodeEntry } from '@dslog/schema/entry'
import { mapKeyOf } from '@dslog/schema/identity'
import { HOUR, MINUTE } from '@dslog/schema/time'
import { LyingLog } from '@dslog/testbed/lyinglog'
import { testKey } from '@dslog/testbed/notekey'
import { nightly } from '../../../test/nightly.ts'
import { atTestPoint } from '../../../test/testpoint.ts'
import type { Follower } from '../src/follow.ts'
import { STALE_AFTER_MS } from '../src/standing.ts'
import type { UnitLimits } from '@dslog/service/replay'
import { Changes } from '../src/changes.ts'
import { MonitorStore } from '../src/store.ts'
import {
  follower,
  grow,
  history,
  type History,
  logOf,
  place,
  type Place,
  RUNNING,
  settingOf,
} from './world.ts'

let past: History
let here: Place

beforeAll(async () => {
  past = await history(230)
  here = await place()
})
beforeEach(async () => {
  await here.empty()
})
afterAll(() => here.close())

const setting = (log: LyingLog) => settingOf(log, past, here)

/** Everything that is stored about a log, in a form that compares. */
async function stored() {
  const { kysely } = here.db
  const rows = {
    followed: await kysely.selectFrom('followed').selectAll().execute(),
    // Numbers of zones are what is left of transactions that failed.
    names: await kysely
      .selectFrom('name')
      .innerJoin('zone', 'zone.id', 'name.zone')
      .select(['key', 'kind', 'name.name', 'zone.name as zone', 'latest', 'history'])
      .orderBy('key')
      .execute(),
    keys: await kysely.selectFrom('zone_keys').selectAll().orderBy('idx').execute(),
    changes: await kysely.selectFrom('change').selectAll().orderBy('idx').execute(),
    buckets: await kysely
      .selectFrom('map_bucket')
      .select(['prefix', 'root', 'data'])
      .orderBy('prefix')
      .execute(),
  }
  // A hash, since a difference is too long to read.
  return toHex(leafHash(utf8(JSON.stringify(rows))))
}

function expectAll({ status }: Follower, log: LyingLog): void {
  const { entries } = log
  expect(status).toMatchObject({ state: 'following', backlog: 0, detail: undefined })
  expect(status.size).toBe(entries.length)
  expect(status.published).toBe(entries.length)
  expect(toHex(status.root)).toBe(toHex(rootOf(entries.map(leafHash))))
  const last = decodeEntry(entries.at(-1)!)
  if (last.type !== 'map-head') throw new Error('a log ends with a MAP_HEAD')
  expect(toHex(status.mapRoot)).toBe(toHex(last.mapRoot))
  expect(status.mapKeys).toBe(last.keyCount)
  expect(status.findings.size).toBe(0)
}

describe('an honest log', () => {
  test('is followed to its end, and on as it grows', async () => {
    const { scribe, trees } = past
    const log = logOf(past, trees[1])
    const monitor = await follower(await setting(log))
    expect(monitor.status).toMatchObject({ state: 'starting', size: 0, published: 0 })
    for (const size of trees.slice(1)) {
      grow(log, scribe, size)
      await monitor.round(RUNNING)
      expectAll(monitor, log)
    }
    expect(log.size).toBeGreaterThan(256)
  })

  test('and another beside it, each in tables of its own', async () => {
    const first = logOf(past, past.trees.at(-3))
    const second = new LyingLog('other.example/log')
    grow(second, past.scribe, past.trees.at(-2))
    const worlds = [await setting(first), await setting(second)]
    const both = [await follower(worlds[0]!), await follower(worlds[1]!)]
    await Promise.all(both.map((each) => each.round(RUNNING)))
    expectAll(both[0]!, first)
    expectAll(both[1]!, second)
    grow(first, past.scribe)
    const again = [await follower(worlds[0]!), await follower(worlds[1]!)]
    await Promise.all(again.map((each) => each.round(RUNNING)))
    expectAll(again[0]!, first)
    expectAll(again[1]!, second)
    const shown = new Changes(here.db)
    const [mine] = await shown.of(past.names.insecure)
    expect(mine!.origin).toBe(first.origin)
    const newest = await shown.newest(10_000)
    expect(newest.length).toBeGreaterThan(first.size)
    expect(new Set(newest.map(({ origin }) => origin))).toEqual(
      new Set([first.origin, second.origin]),
    )
  })

  test('leaves the changes of its names', async () => {
    const log = logOf(past)
    const monitor = await follower(await setting(log))
    await monitor.round(RUNNING)
    const shown = new Changes(here.db)
    const expected = log.entries.flatMap((bytes, index) => {
      const entry = decodeEntry(bytes)
      if (entry.type !== 'ds' && entry.type !== 'no-ds') return []
      const { historical, outOfOrder: out_of_order, time } = entry
      return [{ idx: index, present: entry.type === 'ds', historical, out_of_order, time }]
    })
    const changes = await shown.between(log.origin, 0, log.size, 10_000)
    expect(changes).toHaveLength(expected.length)
    expect(changes).toMatchObject(expected)
    const ofOne = await shown.of(past.names.insecure)
    expect(ofOne.map(({ present }) => present)).toEqual([true, false, true])
    const backdated = await shown.of(past.names.backdated)
    expect(backdated.map((change) => change.out_of_order)).toContain(true)
    expect(await shown.of(nameFromText('nobody.fi.'))).toEqual([])
    const keys = new Set(log.entries.map((bytes) => mapKeyOf(decodeEntry(bytes))).map(String))
    keys.delete('undefined')
    expect(monitor.status.mapKeys).toBe(keys.size)
  })

  test('is not read again after a restart', async () => {
    const { scribe, trees } = past
    const log = logOf(past, trees.at(-3))
    const world = await setting(log)
    const first = await follower(world)
    await first.round(RUNNING)
    const before = first.status

    log.asked.length = 0
    const second = await follower(world)
    expect(second.status).toEqual({ ...before, state: 'starting' })
    await second.round(RUNNING)
    expect(log.asked).toEqual(['checkpoint'])
    expectAll(second, log)

    grow(log, scribe)
    await second.round(RUNNING)
    expectAll(second, log)
    expect(log.asked).not.toContain('tile/entries/000')
  })

  test('may sign the same tree again', async () => {
    const log = logOf(past)
    const { clock } = past.net
    const world = await setting(log)
    const monitor = await follower(world)
    await monitor.round(RUNNING)
    const { freshAt } = monitor.status
    const start = clock.now()
    try {
      // An unknown signature line makes another note of it.
      clock.advance(MINUTE)
      const note = new TextDecoder().decode(log.files.get('checkpoint'))
      log.files.set('checkpoint', utf8(`${note}— witness.example AAAAAAAA\n`))
      await monitor.round(RUNNING)
      expectAll(monitor, log)
      expect(monitor.status.freshAt).toBe(freshAt! + MINUTE)
      expect(monitor.status.verifiedAt).toBe(clock.now())
      expect((await follower(world)).status.freshAt).toBe(freshAt! + MINUTE)
    } finally {
      clock.set(start)
    }
  })

  test('without witnesses is fresh as long as it answers, also with the same note', async () => {
    const { clock } = past.net
    const start = clock.now()
    const world = await setting(logOf(past))
    const monitor = await follower(world)
    await monitor.round(RUNNING)
    try {
      clock.advance(STALE_AFTER_MS)
      expect(monitor.status.state).toBe('stale')
      await monitor.round(RUNNING)
      expect(monitor.status.state).toBe('following')
      expect(monitor.status.freshAt).toBe(start + STALE_AFTER_MS)
      // Also for whoever goes on after it.
      expect((await follower(world)).status.freshAt).toBe(start + STALE_AFTER_MS)
      clock.advance(STALE_AFTER_MS - 1)
      expect(monitor.status.state).toBe('following')
      clock.advance(1)
      expect(monitor.status.state).toBe('stale')
      expect(monitor.status.findings.size).toBe(0)
    } finally {
      clock.set(start)
    }
  })

  test('with witnesses is as fresh as a quorum says, however often it answers', async () => {
    const { clock } = past.net
    const start = clock.now()
    const log = logOf(past)
    const keys = [1, 2, 3].map((i) => testKey(`w${i}.example`, KEY_TYPE.cosignature, i))
    /** Cosigned by the first so many, each an hour before the one before it. */
    const cosigned = (now: number): void => {
      const text = parseNote(log.sign()).text
      const witnesses = keys.map((key, i) => signerOf(key, () => now - i * HOUR))
      log.files.set(
        'checkpoint',
        utf8(signNote(text, [signerOf(log.key, () => now), ...witnesses])),
      )
    }
    const lines = keys.map((key, i) => `witness w${i} ${formatVkey(key)}\n`)
    const policy = `log ${log.vkey}\n${lines.join('')}group g 2 w0 w1 w2\nquorum g\n`
    const monitor = await follower({ ...(await setting(log)), policy })
    try {
      cosigned(clock.now())
      await monitor.round(RUNNING)
      // Two of three had seen it an hour ago; the third, two hours ago, does not matter.
      const vouched = (ms: number): number => Math.floor(ms / 1000) * 1000 - HOUR
      expect(monitor.status.freshAt).toBe(vouched(start))
      expect(monitor.status.state).toBe('following')

      clock.set(vouched(start) + STALE_AFTER_MS)
      await monitor.round(RUNNING)
      expect(monitor.status).toMatchObject({ state: 'stale', detail: /quorum/ })
      cosigned(clock.now())
      await monitor.round(RUNNING)
      expect(monitor.status.state).toBe('following')
    } finally {
      clock.set(start)
    }
  })
})

describe('units', () => {
  /** From units of a few entries to units that hold a tree, in which every one of them has its MAP_HEAD. */
  const limits = fc.record<UnitLimits>({
    entries: fc.integer({ min: 10, max: 400 }),
    waiting: fc.integer({ min: 10, max: 400 }),
    bytes: fc.constantFrom(5_000, 20_000, 10_000_000),
  })

  test('of any size lead to the same', async () => {
    const log = logOf(past)
    const world = await setting(log)
    await (await follower(world)).round(RUNNING)
    const expected = await stored()
    await fc.assert(
      fc.asyncProperty(limits, async (limits) => {
        await here.empty()
        const monitor = await follower(world, { limits })
        await monitor.round(RUNNING)
        expectAll(monitor, log)
        expect(await stored()).toBe(expected)
      }),
      { numRuns: 6 },
    )
  })

  test('are taken for as long as a look may last; then the log is behind', async () => {
    const log = logOf(past)
    const world = await setting(log)
    const options = { limits: { entries: 50, waiting: 50, bytes: 1e9 }, interval: 0 }
    let monitor = await follower(world, options)
    let rounds = 0
    for (let before = -1; monitor.status.state !== 'following'; rounds++) {
      await monitor.round(RUNNING)
      const { backlog, published, size, state } = monitor.status
      expect(size).toBeGreaterThan(before)
      expect(published).toBe(log.size)
      expect(backlog).toBe(log.size - size)
      expect(state).toBe(backlog === 0 ? 'following' : 'behind')
      before = size
      // Another process may go on: in the middle of a tree as well as at its end.
      monitor = rounds % 2 === 0 ? monitor : await follower(world, options)
      if (rounds % 2 === 1) await monitor.round(RUNNING)
    }
    expect(rounds).toBeGreaterThan(2)
    expectAll(monitor, log)
  })

  test.each([
    ['that end with trees', { entries: 30, waiting: 1_000, bytes: 1e9 }],
    ['that end anywhere', { entries: 90, waiting: 90, bytes: 1e9 }],
  ])('%s: a crash at any moment costs one of them', async (_, limits) => {
    const log = logOf(past)
    const world = await setting(log)
    await (await follower(world, { limits })).round(RUNNING)
    const expected = await stored()
    const passes: string[] = []
    const crashes = [0]
    for (let crash = crashes.shift(); crash !== undefined; crash = crashes.shift()) {
      await here.empty()
      let pass = 0
      const off = atTestPoint((name) => {
        if (crash === 0) passes.push(name)
        else if (++pass === crash) throw new Error(`killed at ${name}`)
      })
      const killed = await follower(world, { limits })
      const died = await killed.round(RUNNING).then(
        () => false,
        (error: unknown) => String(error).startsWith('Error: killed at'),
      )
      off()
      expect(died).toBe(crash > 0)
      const next = await follower(world, { limits })
      expect(next.status.size).toBeGreaterThanOrEqual(killed.status.size)
      await next.round(RUNNING)
      expectAll(next, log)
      expect(await stored()).toBe(expected)
      if (crash === 0) crashes.push(...crashesOf(passes))
    }
    expect(passes).toContain('monitor.accepted')
    expect(passes.filter((name) => name === 'monitor.committing').length).toBeGreaterThan(3)
  })
})

/** At which of the moments to crash, counted from 1: all of them at night, else the first and the last of each kind. */
function crashesOf(passes: readonly string[]): number[] {
  const chosen = nightly
    ? passes.keys()
    : new Set(passes.flatMap((name) => [passes.indexOf(name), passes.lastIndexOf(name)]))
  return [...chosen].map((index) => index + 1)
}

describe('no misbehaviour is', () => {
  test('a log that does not answer', async () => {
    const log = logOf(past, past.trees.at(-2))
    const world = await setting(log)
    const monitor = await follower(world)
    await monitor.round(RUNNING)
    grow(log, past.scribe)
    const checkpoint = log.files.get('checkpoint')!
    log.files.delete('checkpoint')
    await monitor.round(RUNNING)
    expect(monitor.status).toMatchObject({ state: 'unreachable', backlog: 0 })
    expect(monitor.status.detail).toContain('404')

    log.files.set('checkpoint', checkpoint)
    const kept = new Map(log.files)
    for (const path of log.files.keys()) if (path.startsWith('tile/entries')) log.files.delete(path)
    await monitor.round(RUNNING)
    expect(monitor.status.state).toBe('unreachable')
    for (const [path, file] of kept) log.files.set(path, file)
    await monitor.round(RUNNING)
    expectAll(monitor, log)

    await world.served.close()
    await monitor.round(RUNNING)
    expect(monitor.status).toMatchObject({ state: 'unreachable', size: log.size, backlog: 0 })
    expect(monitor.status.findings.size).toBe(0)
  })

  test('a checkpoint that nobody signed whom the policy knows', async () => {
    const log = logOf(past, past.trees.at(-2))
    const monitor = await follower(await setting(log))
    await monitor.round(RUNNING)
    const before = monitor.status.size
    const stranger = new LyingLog('other.example/log')
    stranger.append(...log.entries)
    const good = log.files.get('checkpoint')!
    const text = new TextDecoder().decode(good)
    const bad: Uint8Array[] = [
      utf8(stranger.sign()),
      utf8(text.replace(log.origin, stranger.origin)),
      utf8(text.replace(/\n\d+\n/, '\n999999\n')),
      utf8('<html>'),
      Uint8Array.of(0xff, 0xfe),
      utf8(''),
    ]
    for (const checkpoint of bad) {
      log.files.set('checkpoint', checkpoint)
      await monitor.round(RUNNING)
      expect(monitor.status.state).toBe('untrusted')
      expect(monitor.status.detail).not.toBe('')
    }
    grow(log, past.scribe)
    await monitor.round(RUNNING)
    expectAll(monitor, log)
    expect(monitor.status.size).toBeGreaterThan(before)
  })

  test('a checkpoint that its witnesses have not signed', async () => {
    const log = logOf(past)
    const now = past.net.clock.now
    const witness = testKey('witness.example', KEY_TYPE.cosignature, 7)
    const policy = `log ${log.vkey}\nwitness w ${formatVkey(witness)}\nquorum w\n`
    const monitor = await follower({ ...(await setting(log)), policy })
    await monitor.round(RUNNING)
    expect(monitor.status).toMatchObject({ state: 'untrusted', size: 0, published: 0 })
    expect(monitor.status.detail).toContain('witness')

    const { text } = parseNote(log.sign())
    const note = signNote(text, [signerOf(log.key, now), signerOf(witness, now)])
    log.files.set('checkpoint', utf8(note))
    await monitor.round(RUNNING)
    expectAll(monitor, log)
  })
})

describe('a monitor does not start', () => {
  test('with a policy that does not know the key of the stored checkpoint', async () => {
    const log = logOf(past)
    const world = await setting(log)
    await (await follower(world)).round(RUNNING)
    const key = testKey(log.origin, KEY_TYPE.ed25519, 9)
    const policy = `log ${formatVkey(key)}\nquorum none\n`
    const opened = follower({ ...world, policy })
    await expect(opened).rejects.toMatchObject({ name: 'MonitorError', code: 'policy' })
  })

  test('on a damaged map or right edge', async () => {
    const world = await setting(logOf(past))
    await (await follower(world)).round(RUNNING)
    const { kysely } = here.db
    const corrupt = { name: 'MonitorError', code: 'corrupt' }
    const { peaks } = await kysely.selectFrom('followed').select('peaks').executeTakeFirstOrThrow()
    await kysely
      .updateTable('followed')
      .set({ peaks: peaks.subarray(32) })
      .execute()
    await expect(follower(world)).rejects.toMatchObject(corrupt)
    await kysely.updateTable('followed').set({ peaks }).execute()
    await follower(world)
    await kysely.deleteFrom('map_bucket').where('prefix', '>', 40_000).execute()
    await expect(follower(world)).rejects.toMatchObject(corrupt)
  })

  test('and does not go on from a right edge that is not that of the tree', async () => {
    const log = logOf(past, past.trees.at(-2))
    const world = await setting(log)
    await (await follower(world)).round(RUNNING)
    const { kysely } = here.db
    const { peaks } = await kysely.selectFrom('followed').select('peaks').executeTakeFirstOrThrow()
    const other = Uint8Array.from(peaks)
    other[0]! ^= 1
    await kysely.updateTable('followed').set({ peaks: other }).execute()
    const monitor = await follower(world)
    await expect(monitor.round(RUNNING)).rejects.toMatchObject({ code: 'corrupt' })
    grow(log, past.scribe)
    await expect(monitor.round(RUNNING)).rejects.toMatchObject({ code: 'corrupt' })
  })

  test('and does not move a position that is no longer its own', async () => {
    const log = logOf(past)
    const world = await setting(log)
    const store = await MonitorStore.enter(here.db, log.origin)
    const { position: start } = await store.open()
    await (await follower(world)).round(RUNNING)
    const { position } = await store.open()
    const moved = store.transaction((trx) => store.advance(trx, start, position, []))
    await expect(moved).rejects.toMatchObject({ name: 'MonitorError', code: 'fenced' })
    await store.transaction((trx) => store.advance(trx, position, position, []))
  })

  test('and does not go on where another one has gone on', async () => {
    const log = logOf(past, past.trees.at(-2))
    const world = await setting(log)
    const [first, second] = [await follower(world), await follower(world)]
    await first.round(RUNNING)
    await expect(second.round(RUNNING)).rejects.toMatchObject({ code: 'fenced' })
  })
})
