/** Units: the order of entries is kept, limits hold, and only a MAP_HEAD or a limit ends one. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LogEntry } from '@dslog/tlog/client'
import { leafHash } from '@dslog/tlog/hash'
import { claimsMapHead } from '@dslog/schema/entry'
import { UnitReader } from '../src/replay.ts'

/** Entries of a log whose MAP_HEADs lie at these indices, `bytes` long. */
function entriesOf(size: number, heads: ReadonlySet<number>, bytes: number): LogEntry[] {
  return Array.from({ length: size }, (_, index) => {
    const entry = new Uint8Array(bytes)
    entry.set([1, heads.has(index) ? 4 : 1])
    return { index, entry, leaf: leafHash(entry) }
  })
}

/** Reads them in bundles, as they come. */
function unitsOf(
  entries: readonly LogEntry[],
  limits: ConstructorParameters<typeof UnitReader>[0],
  bundle: number,
): (readonly LogEntry[])[] {
  const reader = new UnitReader(limits)
  const units: (readonly LogEntry[])[] = []
  for (let at = 0; at < entries.length; at += bundle) {
    units.push(...reader.add(entries.slice(at, at + bundle), entries.length))
  }
  return units
}

const endsClosed = (unit: readonly LogEntry[]): boolean => claimsMapHead(unit.at(-1)!.entry)

test('units of any log', () => {
  const logs = fc.record({
    size: fc.integer({ min: 1, max: 200 }),
    heads: fc.uniqueArray(fc.integer({ min: 0, max: 199 })),
    entries: fc.integer({ min: 1, max: 60 }),
    waiting: fc.integer({ min: 1, max: 60 }),
    bytes: fc.integer({ min: 1, max: 2_000 }),
    length: fc.integer({ min: 2, max: 60 }),
    bundle: fc.integer({ min: 1, max: 256 }),
  })
  fc.assert(
    fc.property(logs, ({ bundle, heads, length, size, ...limits }) => {
      const entries = entriesOf(size, new Set([...heads, size - 1]), length)
      const units = unitsOf(entries, limits, bundle)
      expect(units.flat().map(({ index }) => index)).toEqual(entries.map(({ index }) => index))
      for (const unit of units) {
        expect(unit.length).toBeGreaterThan(0)
        expect(unit.length).toBeLessThanOrEqual(Math.max(limits.entries, limits.waiting))
        expect((unit.length - 1) * length).toBeLessThan(limits.bytes)
        if (endsClosed(unit)) continue
        // Only a tree that is longer than may wait is divided.
        const full = unit.length >= limits.waiting || unit.length * length >= limits.bytes
        expect(full).toBe(true)
        expect(unit.some(({ entry }) => claimsMapHead(entry))).toBe(false)
      }
      // How the entries come makes no difference.
      expect(unitsOf(entries, limits, 7)).toEqual(units)
    }),
  )
})

test('small trees go together, as many as a unit may hold', () => {
  const heads = new Set([0, 9, 19, 29, 39, 49])
  const entries = entriesOf(50, heads, 10)
  const units = unitsOf(entries, { entries: 25, waiting: 1_000, bytes: 1e9 }, 256)
  expect(units.map((unit) => unit.at(-1)!.index)).toEqual([19, 39, 49])
  const bytes = unitsOf(entries, { entries: 1_000, waiting: 1_000, bytes: 150 }, 256)
  expect(bytes.map((unit) => unit.at(-1)!.index)).toEqual([9, 19, 29, 39, 49])
})

test('a tree too large for a unit is divided where it must be', () => {
  const entries = entriesOf(100, new Set([0, 99]), 10)
  const units = unitsOf(entries, { entries: 10, waiting: 40, bytes: 1e9 }, 256)
  expect(units.map((unit) => unit.at(-1)!.index)).toEqual([0, 40, 80, 99])
})

test('what does not end with a MAP_HEAD ends too', () => {
  const entries = entriesOf(5, new Set([0, 2]), 10)
  const units = unitsOf(entries, { entries: 10, waiting: 40, bytes: 1e9 }, 2)
  expect(units.map((unit) => unit.map(({ index }) => index))).toEqual([[0, 1, 2, 3, 4]])
})
