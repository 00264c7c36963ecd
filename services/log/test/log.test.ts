import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { equal, fromUtf8 } from '@dslog/tlog/bytes'
import { openCheckpoint } from '@dslog/tlog/checkpoint'
import { verifierOf } from '@dslog/tlog/cosignature'
import { EMPTY_ROOT } from '@dslog/tlog/hash'
import { TILE_WIDTH } from '@dslog/tlog/tile'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { decodeEntry } from '@dslog/schema/entry'
import { HOUR } from '@dslog/schema/time'
import { sql } from 'kysely'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { keyOf, Places } from '../../../test/place.ts'
import { broken, complaints, observe, openPlace, TestLog } from '../../../test/testlog.ts'
import { noteSignerOf } from '../src/key.ts'
import type { LogOptions } from '../src/log.ts'
import { emptied } from './emptied.ts'

const places = await Places.open()
afterAll(() => places.close())

describe.each(places.kinds)('a log on %s', (kind) => {
  const net = new Internet()
  const fi = net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
  let generation = 0
  let options: LogOptions
  let log: TestLog

  beforeAll(async () => {
    options = await openPlace(await places.make(kind, net.anchors), net.clock.now)
  })
  afterAll(() => options.db.close())
  beforeEach(async () => {
    options = await emptied(options)
    log = await open()
    return () => log.log.close()
  })

  async function open(more: Partial<LogOptions> = {}): Promise<TestLog> {
    return TestLog.over({ ...options, ...more }, { clock: net.clock.now })
  }

  async function reopen(): Promise<void> {
    await log.log.close()
    log = await open()
  }

  /** Logs a new state of each of these names, as one tree. */
  async function grow(...owners: readonly Name[]): Promise<void> {
    net.clock.advance(HOUR)
    generation++
    for (const owner of owners) fi.delegate(owner, [ownerDs(owner, generation)])
    for (const { status } of await log.submit(...owners.map((owner) => observe(net, owner)))) {
      expect(status).toBe('logged')
    }
  }

  function named(...labels: readonly (number | string)[]): Name[] {
    return labels.map((label) => nameFromText(`name${label}.fi.`))
  }

  function range(from: number, to: number): number[] {
    return Array.from({ length: to - from }, (_, i) => from + i)
  }

  test('begins with a MAP_HEAD of nothing, signed', async () => {
    const { note, publishedAt, root, size } = log.log.published
    expect(size).toBe(1)
    expect(publishedAt).toBe(net.clock.now())
    const { checkpoint } = openCheckpoint(note, [verifierOf(keyOf())])
    expect(checkpoint).toMatchObject({ origin: log.log.origin, size, extensions: [] })
    expect(equal(checkpoint.root, root)).toBe(true)
    const entry = decodeEntry((await log.reader.entry(0)).bytes)
    if (entry.type !== 'map-head') throw new Error('another type')
    expect(entry).toMatchObject({ covers: 0, keyCount: 0, time: net.clock.now() })
    expect(entry.previous).toBeUndefined()
    expect(equal(entry.mapRoot, EMPTY_ROOT)).toBe(true)
    expect(await complaints(log)).toEqual([])
  })

  test('ends every tree with a MAP_HEAD, and continues every checkpoint', async () => {
    const notes = [log.log.published.note]
    let previous = 0
    for (const owners of [named(1), named(2, 3), named(1, 4), named(1, 2, 3, 4, 5)]) {
      await grow(...owners)
      notes.push(log.log.published.note)
      const { size } = log.log.published
      const entry = decodeEntry((await log.reader.entry(size - 1)).bytes)
      expect(entry).toMatchObject({ type: 'map-head', covers: size - 1, previous })
      previous = size - 1
    }
    expect(await broken(log, notes)).toEqual([])
    expect(await complaints(log)).toEqual([])
    await reopen()
    expect(log.log.published.note).toBe(notes.at(-1))
    expect(await broken(log, notes)).toEqual([])
  })

  test('goes on from every place in a tile, and across their ends', async () => {
    const notes: string[] = []
    // Sizes: just below a full tile, full, one more, then two tiles at once, and full again.
    let used = 0
    for (const size of [
      TILE_WIDTH - 2,
      TILE_WIDTH,
      TILE_WIDTH + 2,
      3 * TILE_WIDTH + 7,
      4 * TILE_WIDTH,
    ]) {
      const heads = used === 0 ? 3 : 1
      const count = size - log.log.size - heads
      await grow(...named(...range(used, used + count)))
      used += count
      expect(log.log.size).toBe(size)
      notes.push(log.log.published.note)
      await reopen()
      expect(log.log.published.size).toBe(size)
      expect(await broken(log, notes)).toEqual([])
    }
    expect(await complaints(log)).toEqual([])
  })

  test('keeps two versions of a bucket at most, also over restarts', async () => {
    const versions = async (): Promise<number[]> => {
      const { rows } = await sql<{ n: number }>`
        select count(*)::int4 as n from map_bucket group by prefix order by n`.execute(
        options.db.kysely,
      )
      return rows.map(({ n }) => n)
    }
    await grow(...named(...range(0, 10)))
    for (let i = 0; i < 4; i++) {
      await grow(...named(...range(0, 10)))
      expect((await versions()).filter((n) => n > 1)).toHaveLength(10)
      expect(Math.max(...(await versions()))).toBe(2)
    }
    await reopen()
    // What the last tree before the restart had superseded goes with the first one after it.
    await grow(...named('other'))
    expect((await versions()).filter((n) => n > 1)).toEqual([])
    await reopen()
    await grow(...named(...range(0, 10)))
    await grow(...named('other'))
    expect((await versions()).filter((n) => n > 1)).toEqual([2])
    expect(await complaints(log)).toEqual([])
  })

  test('signs with every key that it has, and the same tree always alike', async () => {
    await grow(...named(1))
    await log.log.close()
    const before = log.log.published.note
    const second = { ...keyOf(), seed: new Uint8Array(32).fill(9) }
    const signers = [...options.signers, noteSignerOf(second, net.clock.now)]
    log = await open({ signers })
    const { note } = log.log.published
    expect(note.startsWith(before)).toBe(true)
    expect(note.trimEnd().split('\n')).toHaveLength(before.trimEnd().split('\n').length + 1)
    await log.log.refresh()
    expect(log.log.published.note).toBe(note)
  })

  test('signs nothing that is not recorded', async () => {
    await log.log.close()
    const recorded: number[] = []
    const [signer] = options.signers
    const seen: number[] = []
    const { signerRow } = options
    log = await open({
      signerRow: {
        read: () => signerRow.read(),
        advance: async (from, to) => {
          await signerRow.advance(from, to)
          recorded.push(to.size)
        },
      },
      signers: [
        {
          ...signer!,
          sign(text) {
            seen.push(Number(fromUtf8(text).split('\n')[1]))
            return signer!.sign(text)
          },
        },
      ],
    })
    for (const name of named(1, 2, 3)) await grow(name)
    expect(seen).toEqual([1, ...recorded])
    expect(recorded).toHaveLength(3)
  })
})
