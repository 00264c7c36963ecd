/** The log's side and the auditor's side of the fold agree on every stream, and on nothing else. */
import { setImmediate as immediate } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { compare, equal } from '@dslog/tlog/bytes'
import { type Hash, sha256 } from '@dslog/tlog/hash'
import { UpperTree } from '@dslog/tlog/maptree'
import { decodeEntry, encodeEntry, type Entry, type MapHeadEntry } from '@dslog/schema/entry'
import { mapKey, MapKind, mapKeyOf, mapValue } from '@dslog/schema/identity'
import { DAY } from '@dslog/schema/time'
import { Auditor, type Violation } from '@dslog/verify/audit'
import { type Admission, type Chains, EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { keyText } from '@dslog/verify/foldstore'
import type { History } from '@dslog/verify/history'
import { MemoryStore } from '@dslog/verify/memory'
import { nameFromText } from '@dslog/dnssec/name'
import { TIMES } from '../nightly.ts'
import { mapOver } from './mapmodel.ts'
import { anchorOfRoot, day, days, madeUpDs, Registry } from './registry.ts'
import { type Handed, OWNERS, play, STREAM_OPTIONS, stream, type Step } from './streams.ts'
import { audit, live, past, refusal, statuses, TestLog, verdictOn } from './testlog.ts'

const STREAMS = 30 * TIMES
const MUTATED = 8 * TIMES

/** A store that answers late, each question after some turns of the event loop. */
class LateStore extends MemoryStore {
  readonly #turns: () => number

  constructor(turns: () => number) {
    super()
    this.#turns = turns
  }

  override async histories(keys: readonly Hash[]): Promise<ReadonlyMap<string, History>> {
    await this.#late()
    return super.histories(keys)
  }

  override async buckets(prefixes: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    await this.#late()
    return super.buckets(prefixes)
  }

  async #late(): Promise<void> {
    for (let turn = this.#turns(); turn > 0; turn--) await immediate()
  }
}

function isMapHead(bytes: Uint8Array): boolean {
  return decodeEntry(bytes).type === 'map-head'
}

/** Index of the first MAP_HEAD at or after `from`. */
function nextMapHead(entries: readonly Uint8Array[], from: number): number {
  return entries.findIndex((bytes, i) => i >= from && isMapHead(bytes))
}

describe('whatever is observed', () => {
  test('an auditor accepts what the log appended', async () => {
    await fc.assert(
      fc.asyncProperty(stream(60), async (steps) => {
        const { entries } = (await play(steps)).log
        const { fold, seen, violation } = await audit(entries, STREAM_OPTIONS)
        expect(violation).toBeUndefined()
        expect(seen).toEqual(entries.map((_, i) => i))
        expect(fold.head.size).toBe(entries.length)
        expect(fold.head.mapHead).toBe(entries.length - 1)
      }),
      { numRuns: STREAMS },
    )
  })

  test('each MAP_HEAD has root and count of the map by its definition', async () => {
    await fc.assert(
      fc.asyncProperty(stream(60), async (steps) => {
        const { entries } = (await play(steps)).log
        let previous: number | undefined
        for (const [i, bytes] of entries.entries()) {
          const entry = decodeEntry(bytes)
          if (entry.type !== 'map-head') continue
          const { keyCount, root } = mapOver(entries.slice(0, i))
          expect(entry).toMatchObject({ covers: i, mapRoot: root, keyCount, previous })
          previous = i
        }
      }),
      { numRuns: STREAMS },
    )
  })

  test('buckets of any depth, one fold or many, lead to the same entries', async () => {
    await fc.assert(
      fc.asyncProperty(stream(60), fc.constantFrom(0, 1, 6, 10), async (steps, depth) => {
        const { handed, log } = await play(steps)
        const other = await play(steps, { depth })
        expect(other.log.entries).toEqual(log.entries)
        expect(await replay(handed, log.entries, depth)).toEqual(log.entries)
      }),
      { numRuns: STREAMS },
    )
  })

  test('where trees end does not show in the map', async () => {
    await fc.assert(
      fc.asyncProperty(stream(60), fc.infiniteStream(fc.boolean()), async (steps, skips) => {
        const { handed, log } = await play(steps)
        const trees = handed.filter((each) => each === 'tree').length
        let left = trees
        const skipped = (): boolean => --left > 0 && skips.next().value === true
        const entries = await replay(handed, log.entries, 4, skipped)
        expect(entries.length).toBe(log.entries.length)
        const last = decodeEntry(entries.at(-1)!) as MapHeadEntry
        const { keyCount, mapRoot } = decodeEntry(log.entries.at(-1)!) as MapHeadEntry
        expect(last).toMatchObject({ keyCount, mapRoot })
        expect(await verdictOn(entries, STREAM_OPTIONS)).toBe('right')
      }),
      { numRuns: STREAMS },
    )
  })

  test('an auditor who stops and goes on comes to the same, in one fold or in many', async () => {
    await fc.assert(
      fc.asyncProperty(stream(60), fc.integer({ min: 1, max: 9 }), async (steps, length) => {
        const { entries } = (await play(steps)).log
        const { anchors } = STREAM_OPTIONS
        const store = new MemoryStore()
        let fold = new Fold(EMPTY_HEAD, new UpperTree(5), { store, anchors })
        let auditor = new Auditor(fold, STREAM_OPTIONS)
        for (let at = 0; at < entries.length; at += length) {
          expect(await auditor.check(entries.slice(at, at + length))).toBeUndefined()
          const { mapHead, size } = fold.head
          if (mapHead !== size - 1) continue
          store.apply(fold.changes())
          fold = new Fold(fold.head, fold.upper, { store, anchors })
          auditor = new Auditor(fold, STREAM_OPTIONS)
        }
        const whole = (await audit(entries, STREAM_OPTIONS)).fold
        expect(fold.head).toEqual(whole.head)
        expect(fold.upper.root()).toEqual(whole.upper.root())
      }),
      { numRuns: STREAMS },
    )
  })

  test('archives imported a second time add nothing', async () => {
    await fc.assert(
      fc.asyncProperty(stream(40), async (steps) => {
        const archives = steps.filter((each) => each.kind === 'archive')
        const { handed, log } = await play(archives.toSorted((a, b) => a.at - b.at))
        const size = log.entries.length
        for (const each of handed) {
          if (each === 'tree') continue
          const again = statuses(await log.admit(each.candidates, each.moment))
          expect(again.filter((status) => status !== 'known' && status !== 'stale')).toEqual([])
        }
        expect(log.entries.length).toBe(size)
      }),
      { numRuns: STREAMS },
    )
  })

  test('who reads ahead of what is decided, and behind it, comes to the same', async () => {
    const delays = fc.infiniteStream(fc.nat(3))
    await fc.assert(
      fc.asyncProperty(stream(60), delays, async (steps, delay) => {
        const { handed, log } = await play(steps)
        const store = new LateStore(() => delay.next().value as number)
        const { anchors } = STREAM_OPTIONS
        const made: Uint8Array[] = []
        let fold = new Fold(EMPTY_HEAD, new UpperTree(6), { store, anchors })
        let reading: Promise<void> | undefined
        for (const [at, each] of ['tree' as const, ...handed].entries()) {
          if (each === 'tree') {
            const { time } = decodeEntry(log.entries[made.length]!) as MapHeadEntry
            made.push(encodeEntry(await fold.appendMapHead(time)))
            store.apply(fold.changes())
            fold = new Fold(fold.head, fold.upper, { store, anchors })
            reading = undefined
            continue
          }
          await (reading ?? fold.prefetch(each.candidates))
          const next = handed[at]
          reading =
            next === undefined || next === 'tree' ? undefined : fold.prefetch(next.candidates)
          for (const candidate of each.candidates) {
            const admission =
              fold.admitAtOnce(candidate, each.moment) ?? (await fold.admit(candidate, each.moment))
            if (admission.status !== 'logged') continue
            made.push(admission.bytes)
            void fold.prefetchMap()
          }
        }
        expect(made).toEqual(log.entries)
      }),
      { numRuns: STREAMS },
    )
  })

  /** The candidates of a stream into one long fold; some trees may end with an unknown entry instead. */
  async function replay(
    handed: readonly (Handed | 'tree')[],
    entries: readonly Uint8Array[],
    depth: number,
    skipped: () => boolean = () => false,
  ): Promise<Uint8Array[]> {
    const { anchors } = STREAM_OPTIONS
    const fold = new Fold(EMPTY_HEAD, new UpperTree(depth), { store: new MemoryStore(), anchors })
    const made: Uint8Array[] = []
    const timeAt = (index: number): number => (decodeEntry(entries[index]!) as MapHeadEntry).time
    made.push(encodeEntry(await fold.appendMapHead(timeAt(0))))
    for (const each of handed) {
      if (each === 'tree' && skipped()) {
        fold.appendUnknown()
        made.push(Uint8Array.of(1, 99))
      } else if (each === 'tree') {
        made.push(encodeEntry(await fold.appendMapHead(timeAt(made.length))))
      } else {
        await fold.prefetch(each.candidates)
        for (const candidate of each.candidates) {
          const admission = await fold.admit(candidate, each.moment)
          if (admission.status === 'logged') made.push(admission.bytes)
        }
      }
    }
    return made
  }
})

describe('whatever is changed is found', () => {
  /** Runs a check on the entries of random logs, each long enough to be interesting. */
  async function onLogs(check: (entries: readonly Uint8Array[]) => Promise<void>): Promise<void> {
    await fc.assert(
      fc.asyncProperty(stream(50), async (steps) => {
        const { entries } = (await play(steps)).log
        fc.pre(entries.length > 6)
        await check(entries)
      }),
      { numRuns: MUTATED },
    )
  }

  const judge = async (entries: readonly Uint8Array[]): Promise<Violation> => {
    const { seen, violation } = await audit(entries, STREAM_OPTIONS)
    expect(violation).toBeDefined()
    // Everything before the violation was right, and nothing after it was looked at.
    expect(seen).toEqual(Array.from({ length: violation!.index }, (_, i) => i))
    expect(violation!.entry).toBe(entries[violation!.index])
    return violation!
  }

  const short = async (entries: readonly Uint8Array[]): Promise<string> => {
    const { index, kind } = await judge(entries)
    return `${index} ${kind}`
  }

  test('an entry left out', () =>
    onLogs(async (entries) => {
      for (const i of entries.keys()) {
        const without = entries.toSpliced(i, 1)
        if (i === entries.length - 1) {
          // What is left is right, but no tree: it does not end with a MAP_HEAD.
          const { fold, violation } = await audit(without, STREAM_OPTIONS)
          expect(violation).toBeUndefined()
          expect(fold.head.mapHead === without.length - 1).toBe(isMapHead(without.at(-1)!))
          continue
        }
        const { index, kind } = await judge(without)
        // At the latest the next MAP_HEAD does not fit any more; what hung from the entry shows before.
        const mapHead = nextMapHead(entries, i + 1) - 1
        if (i === 0 || index === mapHead) expect(kind).toBe('bad-map')
        else expect(['bad-evidence', 'bad-admission']).toContain(kind)
        expect(index).toBeGreaterThanOrEqual(i)
        expect(index).toBeLessThanOrEqual(mapHead)
      }
    }))

  test('an entry twice', () =>
    onLogs(async (entries) => {
      for (const [i, bytes] of entries.entries()) {
        const kind = isMapHead(bytes) ? 'bad-map' : 'bad-admission'
        expect(await short(entries.toSpliced(i + 1, 0, bytes))).toBe(`${i + 1} ${kind}`)
      }
    }))

  test('an entry of before, once more at the end of the last tree', () =>
    onLogs(async (entries) => {
      const end = entries.length - 1
      for (const bytes of entries.slice(0, -1)) {
        const { index, kind } = await judge(entries.toSpliced(end, 0, bytes))
        expect(index).toBe(end)
        expect(kind).toBe(isMapHead(bytes) ? 'bad-map' : 'bad-admission')
      }
    }))

  test('two neighbours swapped', () =>
    onLogs(async (entries) => {
      for (let i = 0; i < entries.length - 1; i++) {
        const [a, b] = [entries[i]!, entries[i + 1]!]
        const swapped = entries.toSpliced(i, 2, b, a)
        if (areOfOneName(a, b) && (await verdictOn(swapped, STREAM_OPTIONS)) === 'right') {
          // Keys of the present and of an archive, or two states signed in the same second: either may
          // be first, and the list of that name has the same two places.
          continue
        }
        const { index, kind } = await judge(swapped)
        if (i === 0 || isMapHead(b)) {
          expect([index, kind]).toEqual([i, 'bad-map'])
        } else if (isMapHead(a)) {
          expect([index, kind]).toEqual([i + 1, 'bad-map'])
        } else if (index === nextMapHead(entries, i + 2)) {
          expect(kind).toBe('bad-map')
        } else {
          expect([i, i + 1]).toContain(index)
          expect(['bad-evidence', 'bad-admission']).toContain(kind)
        }
      }
    }))

  test('the out_of_order flag flipped, and what should stand there is said', () =>
    onLogs(async (entries) => {
      for (const [i, bytes] of entries.entries()) {
        const entry = decodeEntry(bytes)
        if (entry.type !== 'ds' && entry.type !== 'no-ds') continue
        const flipped = encodeEntry({ ...entry, outOfOrder: !entry.outOfOrder })
        const violation = await judge(entries.with(i, flipped))
        expect(violation).toMatchObject({ index: i, kind: 'bad-admission', expected: bytes })
      }
    }))

  test('the historical flag flipped, unless nothing speaks against it', () =>
    onLogs(async (entries) => {
      for (const [i, bytes] of entries.entries()) {
        const entry = decodeEntry(bytes)
        if (entry.type === 'map-head' || entry.type === 'unknown') continue
        const changed = entries.with(i, encodeEntry({ ...entry, historical: !entry.historical }))
        if (entry.historical) {
          // Archives are older than the log, so the entry is older than the tree before it.
          expect(await short(changed)).toBe(`${i} bad-admission`)
          continue
        }
        // An operator may call the evidence of an owner archived until the first live entry.
        const before = entries.slice(0, i).map(decodeEntry).filter(isOfSameOwner(entry))
        const allowed = before.every(({ historical }) => historical)
        expect(await verdictOn(changed, STREAM_OPTIONS)).toBe(
          entry.type === 'zone-keys' || allowed ? 'right' : `${i} bad-admission`,
        )
      }
    }))

  test('a live entry from before its tree, or after it', () =>
    onLogs(async (entries) => {
      for (const [i, bytes] of entries.entries()) {
        const entry = decodeEntry(bytes)
        if (entry.type === 'map-head' || entry.type === 'unknown' || entry.historical) continue
        const timeOf = (index: number): number =>
          (decodeEntry(entries[index]!) as MapHeadEntry).time
        const previous = entries.findLastIndex((each, at) => at < i && isMapHead(each))
        const next = nextMapHead(entries, i)
        const early = encodeEntry({ ...entry, time: timeOf(previous) - 1 })
        const { index, kind } = await judge(entries.with(i, early))
        expect(index).toBe(i)
        expect(['bad-evidence', 'bad-admission']).toContain(kind)
        const late = encodeEntry({ ...entry, time: timeOf(next) + 1 })
        const violation = await judge(entries.with(i, late))
        // Unless its evidence had expired by then, the MAP_HEAD is what is too early.
        if (violation.index === next) expect(violation.kind).toBe('bad-map')
        else expect(violation).toMatchObject({ index: i, kind: 'bad-evidence' })
      }
    }))

  test('an entry outside the windows of its signatures', () =>
    onLogs(async (entries) => {
      for (const [i, bytes] of entries.entries()) {
        const entry = decodeEntry(bytes)
        if (entry.type === 'map-head' || entry.type === 'unknown') continue
        for (const time of [0, entry.time - 400 * DAY, entry.time + 400 * DAY]) {
          const changed = entries.with(i, encodeEntry({ ...entry, time }))
          expect(await short(changed)).toBe(`${i} bad-evidence`)
        }
      }
    }))

  test('a MAP_HEAD that is missing, or has another root, count, place, predecessor or time', () =>
    onLogs(async (entries) => {
      let before: MapHeadEntry | undefined
      for (const [i, bytes] of entries.entries()) {
        const entry = decodeEntry(bytes)
        if (entry.type !== 'map-head') continue
        const changes: Partial<MapHeadEntry>[] = [
          { mapRoot: sha256(entry.mapRoot) },
          { keyCount: entry.keyCount + 1 },
        ]
        if (before !== undefined) {
          changes.push(
            { covers: i + 1 },
            { keyCount: entry.keyCount === 0 ? 2 : entry.keyCount - 1 },
            { previous: i - 1 === before.covers ? 0 : i - 1 },
            { previous: before.previous ?? 1 },
            { time: before.time },
            { time: before.time - 1 },
          )
        }
        for (const change of changes) {
          const changed = { ...entry, ...change }
          if (changed.previous === entry.previous && change.previous !== undefined) continue
          if (changed.previous !== undefined && changed.previous >= changed.covers) continue
          expect(await short(entries.with(i, encodeEntry(changed)))).toBe(`${i} bad-map`)
        }
        before = entry
      }
    }))

  test('a MAP_HEAD that is older than an entry it covers', () =>
    onLogs(async (entries) => {
      for (const [i, bytes] of entries.entries()) {
        const entry = decodeEntry(bytes)
        if (entry.type !== 'map-head') continue
        const previous = entries.findLastIndex((each, at) => at < i && isMapHead(each))
        const covered = entries.slice(previous + 1, i).map(decodeEntry)
        const times = covered.flatMap((e) => ('historical' in e && !e.historical ? [e.time] : []))
        if (times.length === 0) continue
        const right = encodeEntry({ ...entry, time: Math.max(...times) })
        const time = Math.max(...times) - 1
        if (time <= (decodeEntry(entries[previous]!) as MapHeadEntry).time) continue
        expect(await short(entries.with(i, encodeEntry({ ...entry, time })))).toBe(`${i} bad-map`)
        // At the very time of the newest entry it is right, as far as itself goes.
        const { violation } = await audit(entries.slice(0, i).concat(right), STREAM_OPTIONS)
        expect(violation).toBeUndefined()
      }
    }))

  test('an entry of which any byte is missing or added', () =>
    onLogs(async (entries) => {
      for (const [i, bytes] of entries.entries()) {
        const longer = new Uint8Array(bytes.length + 1)
        longer.set(bytes)
        for (const changed of [bytes.subarray(0, -1), longer]) {
          expect(await short(entries.with(i, changed))).toBe(`${i} bad-encoding`)
        }
      }
    }))

  function areOfOneName(a: Uint8Array, b: Uint8Array): boolean {
    const [one, other] = [mapKeyOf(decodeEntry(a)), mapKeyOf(decodeEntry(b))]
    return one !== undefined && other !== undefined && equal(one, other)
  }

  function isOfSameOwner(
    entry: Entry,
  ): (other: Entry) => other is Extract<Entry, { owner: unknown }> {
    return (other): other is Extract<Entry, { owner: unknown }> =>
      'owner' in other && 'owner' in entry && equal(other.owner, entry.owner)
  }
})

describe('a fold', () => {
  const root = new Registry('.')
  const fi = new Registry('fi.')
  const options = { ...STREAM_OPTIONS, anchors: [anchorOfRoot(root)] }
  const a = nameFromText('a.fi.')
  const window = days(-1, 20)
  const chain = [...root.dnskeys(window), ...root.delegation(fi, window), ...fi.dnskeys(window)]
  const signedA = [...chain, ...fi.ds(a, [madeUpDs(1)], window)]

  test('begins with an empty MAP_HEAD', async () => {
    const log = await TestLog.create(options)
    expect(log.decoded).toEqual([
      {
        type: 'map-head',
        covers: 0,
        mapRoot: sha256(new Uint8Array(0)),
        keyCount: 0,
        previous: undefined,
        time: day(0),
      },
    ])
  })

  test('logs keys from the top down, then the state, then the map', async () => {
    const log = await TestLog.create(options)
    const said = statuses(await log.observe(a, signedA, live(day(1))))
    expect(said).toEqual(['zone-keys', 'zone-keys', 'ds'])
    await log.mapHead(day(1))
    expect(log.decoded.map(({ type }) => type)).toEqual([
      'map-head',
      'zone-keys',
      'zone-keys',
      'ds',
      'map-head',
    ])
    expect(log.head).toEqual({
      size: 5,
      mapHead: 4,
      mapTime: day(1),
      keyCount: 3,
      liveTime: 0,
    })
    expect(log.store.names).toBe(3)
  })

  test('says what changed', async () => {
    const { anchors } = options
    const fold = new Fold(EMPTY_HEAD, new UpperTree(2), { store: new MemoryStore(), anchors })
    await fold.appendMapHead(day(0))
    const log = await TestLog.create(options)
    for (const candidate of await log.observer(live(day(1))).delegation(a, signedA)) {
      await fold.admit(candidate, live(day(1)))
    }
    await fold.appendMapHead(day(2))
    const { buckets, names, zoneKeys } = fold.changes()
    expect(names.map(({ text }) => text)).toEqual(names.map(({ key }) => keyText(key)))
    expect(zoneKeys.map(({ index }) => index)).toEqual([1, 2])
    expect(names.map(({ fresh, kind }) => [kind, fresh])).toEqual([
      [MapKind.zoneKeys, true],
      [MapKind.zoneKeys, true],
      [MapKind.delegation, true],
    ])
    const state = names.find(({ name }) => equal(name, a))!
    expect(state.key).toEqual(mapKey(MapKind.delegation, a))
    expect(state.inForce).toEqual({ zone: fi.zone, ds: [madeUpDs(1)] })
    expect(state.history).toHaveLength(1)
    // Histories hold what decides about later states, and no entries.
    expect(Object.keys(state.history[0]!).sort()).toEqual([
      'historical',
      'index',
      'orderKey',
      'outOfOrder',
      'present',
      'stateId',
      'time',
    ])
    const pairs = buckets.flatMap(({ bytes }) => {
      return Array.from({ length: bytes.length / 64 }, (_, i) =>
        bytes.subarray(64 * i, 64 * i + 64),
      )
    })
    expect(pairs.map((pair) => pair.slice(0, 32)).toSorted(compare)).toEqual(
      names.map(({ key }) => key).toSorted(compare),
    )
    expect(pairs.some((pair) => equal(pair.subarray(32), mapValue([3])))).toBe(true)
  })

  test('an auditor’s histories are those of the log', async () => {
    const log = await TestLog.create(options)
    await log.observe(a, signedA, live(day(1)))
    await log.mapHead(day(2))
    const store = new MemoryStore()
    const { fold } = await audit(log.entries, options, { store })
    store.apply(fold.changes())
    const key = mapKey(MapKind.delegation, a)
    const [mine, theirs] = [await log.store.histories([key]), await store.histories([key])]
    expect(theirs.get(keyText(key))).toEqual(mine.get(keyText(key)))
  })

  test('a state in force is not told anew by an entry that is out of order', async () => {
    const log = await TestLog.create(options)
    await log.observe(a, signedA, live(day(1)))
    const fold = new Fold(log.head, log.upper, { store: log.store, anchors: options.anchors })
    await log.mapHead(day(2))
    const early = [...chain, ...fi.ds(a, [madeUpDs(9)], days(-5, 20))]
    const candidates = await log.observer(live(day(3))).delegation(a, early)
    const next = new Fold(log.head, log.upper, { store: log.store, anchors: options.anchors })
    const said = []
    for (const candidate of candidates) said.push(await next.admit(candidate, live(day(3))))
    expect(statuses(said)).toEqual(['known', 'known', 'ds, out of order'])
    expect(next.changes().names).toMatchObject([{ inForce: undefined, fresh: false }])
    expect(fold.changes()).toEqual({ names: [], zoneKeys: [], buckets: [] })
  })

  test('refuses evidence that is not valid at its moment', async () => {
    const log = await TestLog.create(options)
    const candidates = await log.observer(live(day(1))).delegation(a, signedA)
    const at = async (time: number) => statuses(await log.admit(candidates, past(time)))
    expect(await at(day(-2))).toEqual(Array.from({ length: 3 }, () => 'refused: not-yet-valid'))
    expect(await at(day(20) + 1000)).toEqual(Array.from({ length: 3 }, () => 'refused: expired'))
    expect(log.entries).toHaveLength(1)
    // The last millisecond of a signature is the last of its last second.
    expect(await at(day(20) + 999)).toEqual(['zone-keys', 'zone-keys', 'ds'])
  })

  test('decides at once, and alike, what it has everything for', async () => {
    const log = await TestLog.create(options)
    await log.observe(a, signedA, live(day(1)))
    await log.mapHead(day(2))
    const changed = [...chain, ...fi.ds(a, [madeUpDs(9)], days(0, 20))]
    const candidates = await log.observer(live(day(3))).delegation(a, changed)
    const fold = new Fold(log.head, log.upper, { store: log.store, anchors: options.anchors })
    const [rootKeys, , state] = candidates
    // Neither the name's history nor the chain above it is at hand.
    expect(fold.admitAtOnce(state!, live(day(3)))).toBeUndefined()
    await fold.prefetch(candidates)
    expect(fold.admitAtOnce(state!, live(day(3)))).toBeUndefined()
    expect(fold.head.size).toBe(log.head.size)
    expect(statuses([await fold.admit(state!, live(day(3)))])).toEqual(['ds'])
    // Now they are, for as long as the chain is valid; keys are looked up.
    for (const time of [day(3), day(3) + 1, day(19)]) {
      expect(fold.admitAtOnce(state!, live(time))).toEqual({ status: 'known' })
    }
    expect(fold.admitAtOnce(rootKeys!, live(day(3)))).toBeUndefined()
    // These very keys were found to be known at this moment: they are again, and at another it has to be seen.
    expect(statuses([await fold.admit(rootKeys!, live(day(3)))])).toEqual(['known'])
    expect(fold.admitAtOnce(rootKeys!, live(day(3)))).toEqual({ status: 'known' })
    expect(fold.admitAtOnce(rootKeys!, live(day(3) + 1))).toBeUndefined()
    expect(fold.admitAtOnce({ ...rootKeys! }, live(day(3)))).toBeUndefined()
    // What is out of its time needs nothing to be looked up.
    expect(statuses([fold.admitAtOnce(state!, live(day(40)))!])).toEqual(['refused: expired'])
    expect(statuses([fold.admitAtOnce(state!, live(day(1)))!])).toEqual(['refused: time'])
    expect(fold.head.size).toBe(log.head.size + 1)
  })

  test('a chain proves in its window, in the next fold as well, and nowhere else', async () => {
    const log = await TestLog.create(options)
    await log.observe(a, signedA, live(day(1)))
    await log.mapHead(day(2))
    const fold = new Fold(log.head, log.upper, { store: log.store, anchors: options.anchors })
    const [, , state] = await log.observer(live(day(1))).delegation(a, signedA)
    expect(statuses([await fold.admit(state!, live(day(2)))])).toEqual(['known'])
    const { chains, head, upper } = fold
    const next = new Fold(head, upper, { store: log.store, anchors: options.anchors, chains })
    const lookups = vi.spyOn(log.store, 'zoneKeys')
    // Evidence that outlives the keys it hangs from, at both ends.
    const notBefore = day(-100)
    const wide = { ...state!, window: { notBefore, notAfter: day(100) } }
    await next.prefetch([wide])
    for (const time of [day(2), day(19)]) {
      expect(next.admitAtOnce(wide, live(time))).toEqual({ status: 'known' })
    }
    expect(lookups).not.toHaveBeenCalled()
    for (const time of [day(-50), day(60)]) {
      expect(next.admitAtOnce(wide, past(time))).toBeUndefined()
      expect(statuses([await next.admit(wide, past(time))])).toEqual(['refused: unproven'])
      expect(statuses([next.admitAtOnce(wide, past(time))!])).toEqual(['refused: unproven'])
    }
    expect(lookups).toHaveBeenCalled()
    expect(next.admitAtOnce(wide, live(day(3)))).toEqual({ status: 'known' })
    // What a fold finds is its own: if its tree is never stored, neither are the keys that it put there.
    const { anchors } = options
    const none: Chains = new Map()
    const own = new Fold(head, upper, { store: log.store, anchors, chains: none })
    expect(statuses([await own.admit(wide, live(day(3)))])).toEqual(['known'])
    expect([own.chains.size, none.size]).toEqual([1, 0])
  })

  test('a bucket that cannot be read is an error of the MAP_HEAD, whoever has begun to read it', async () => {
    const log = await TestLog.create(options)
    const candidates = await log.observer(live(day(1))).delegation(a, signedA)
    const lost = new Error('the connection is lost')
    const store = new MemoryStore()
    store.buckets = () => Promise.reject(lost)
    const fold = new Fold(log.head, log.upper, { store, anchors: options.anchors })
    for (const candidate of candidates) await fold.admit(candidate, live(day(1)))
    await expect(fold.prefetchMap()).rejects.toBe(lost)
    await expect(fold.appendMapHead(day(2))).rejects.toBe(lost)
    expect(fold.head.size).toBe(log.head.size + 3)
  })

  test('keys that come with each state of a tree are logged once, and known with the others', async () => {
    const log = await TestLog.create(options)
    const observed = await log.observer(live(day(1))).delegation(a, signedA)
    const fold = new Fold(log.head, log.upper, { store: log.store, anchors: options.anchors })
    await fold.prefetch([...observed, ...observed])
    const said: Admission[] = []
    for (const candidate of [...observed, ...observed]) {
      said.push(
        fold.admitAtOnce(candidate, live(day(1))) ?? (await fold.admit(candidate, live(day(1)))),
      )
    }
    const all = ['zone-keys', 'zone-keys', 'ds', 'known', 'known', 'known']
    expect(statuses(said)).toEqual(all)
    // As one that asks for each says.
    const asked = new Fold(log.head, log.upper, { store: log.store, anchors: options.anchors })
    const answers: Admission[] = []
    for (const candidate of [...observed, ...observed.map((each) => ({ ...each }))]) {
      answers.push(await asked.admit(candidate, live(day(1))))
    }
    expect(statuses(answers)).toEqual(all)
    expect(asked.changes()).toEqual(fold.changes())
  })

  test('refuses what hangs from nothing in the log', async () => {
    const log = await TestLog.create(options)
    const candidates = await log.observer(live(day(1))).delegation(a, signedA)
    const [rootKeys, fiKeys, state] = candidates
    expect(statuses(await log.admit([state!, fiKeys!], live(day(1))))).toEqual([
      'refused: unproven',
      'refused: unproven',
    ])
    expect(statuses(await log.admit([rootKeys!, state!], live(day(1))))).toEqual([
      'zone-keys',
      'refused: unproven',
    ])
  })

  test('refuses live evidence that is older than the tree before', async () => {
    const log = await TestLog.create(options)
    await log.mapHead(day(2))
    const said = (time: number) => log.observe(a, signedA, live(time)).then(statuses)
    expect(await said(day(2) - 1)).toEqual(Array.from({ length: 3 }, () => 'refused: time'))
    expect(await said(day(2))).toEqual(['zone-keys', 'zone-keys', 'ds'])
  })

  test('a MAP_HEAD grows in time and covers nothing newer than itself', async () => {
    const log = await TestLog.create(options)
    await expect(log.mapHead(day(0))).rejects.toThrow(RangeError)
    await log.observe(a, signedA, live(day(3)))
    await expect(log.mapHead(day(3) - 1)).rejects.toThrow(RangeError)
    await log.mapHead(day(3))
    expect(log.head.mapTime).toBe(day(3))
  })

  test('archives may follow one another, and nothing live', async () => {
    const log = await TestLog.create(options)
    const bagOf = (n: number, at: number) => [...chain, ...fi.ds(a, [madeUpDs(n)], days(at, 20))]
    const say = async (n: number, at: number, isPast: boolean) => {
      const moment = isPast ? past(day(at)) : live(day(at))
      return statuses(await log.observe(a, bagOf(n, at), moment)).at(-1)
    }
    expect(await say(1, 1, true)).toBe('ds')
    expect(await say(2, 3, true)).toBe('ds')
    expect(await say(1, 1, true)).toBe('known')
    expect(await say(2, 2, true)).toBe('stale')
    expect(await say(3, 2, true)).toBe('stale')
    expect(await say(2, 5, true)).toBe('known')
    expect(await say(1, 6, false)).toBe('ds')
    expect(await say(4, 7, true)).toBe('stale')
    expect(await say(1, 7, true)).toBe('known')
    await log.mapHead(day(8))
    expect(await verdictOn(log.entries, options)).toBe('right')
  })

  test('what never was signed is not logged as removed', async () => {
    const log = await TestLog.create(options)
    const removed = [...chain, ...fi.noDs(a, window)]
    const said = statuses(await log.observe(a, removed, live(day(1))))
    expect(said).toEqual(['zone-keys', 'zone-keys', 'known'])
  })

  test('unknown entries count, and have no key', async () => {
    const log = await TestLog.create(options)
    const unknown = Uint8Array.of(1, 77, 1, 2, 3)
    const entries = [...log.entries, unknown, Uint8Array.of(2, 1)]
    const { fold, violation } = await audit(entries, options)
    expect(violation).toBeUndefined()
    expect(fold.head).toMatchObject({ size: 3, keyCount: 0, mapHead: 0 })
    expect(await verdictOn([unknown, ...log.entries], options)).toBe('0 bad-map')
  })

  test('a log cannot begin with anything but a MAP_HEAD', async () => {
    const log = await TestLog.create(options)
    await log.observe(a, signedA, live(day(1)))
    const [, keys] = log.entries
    expect(await verdictOn([keys!], options)).toBe('0 bad-map')
    expect(await verdictOn([Uint8Array.of(1)], options)).toBe('0 bad-encoding')
    expect(await verdictOn([], options)).toBe('right')
  })

  test('a log with another anchor proves nothing to me', async () => {
    const log = await TestLog.create(options)
    await log.observe(a, signedA, live(day(1)))
    const other = { ...options, anchors: [anchorOfRoot(new Registry('.', 2))] }
    expect(await verdictOn(log.entries, other)).toBe('1 bad-evidence')
    expect(await refusal(log.observer(live(day(1))).delegation(a, []))).toBe('unproven')
  })
})

test('streams are not all of one kind', async () => {
  const types = new Set<string>()
  const flags = new Set<string>()
  const steps: Step[][] = fc.sample(stream(60), { numRuns: 20, seed: 7 })
  for (const each of steps) {
    for (const entry of (await play(each)).log.decoded) {
      types.add(entry.type)
      if ('outOfOrder' in entry) flags.add(`${entry.historical} ${entry.outOfOrder}`)
    }
  }
  expect([...types].sort()).toEqual(['ds', 'map-head', 'no-ds', 'zone-keys'])
  expect([...flags].sort()).toEqual(['false false', 'false true', 'true false'])
  expect(OWNERS.length).toBe(6)
})
