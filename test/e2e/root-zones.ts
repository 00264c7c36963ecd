/** Ten root zones of eleven years, and what has changed between them (changes.jsonl). */
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { type Event, HAS_DATA, shared } from './dslog.ts'

interface Snapshot {
  readonly serial: string
  readonly file: string
  readonly check_time_unix: number
}

interface Truth {
  readonly from_serial: string
  readonly to_serial: string
  readonly zone: string
  readonly change: string
  readonly old: readonly string[]
  readonly new: readonly string[]
}

const text = (path: string) => readFileSync(shared(`root/${path}`), 'utf8')

/** In order of date. */
export const SNAPSHOTS: readonly Snapshot[] = HAS_DATA
  ? (JSON.parse(text('index.json')) as Snapshot[]).sort((a, b) => a.serial.localeCompare(b.serial))
  : []

/** Their files, in order. */
export const ROOT_ZONES: readonly string[] = SNAPSHOTS.map(({ file }) => shared(`root/${file}`))

/** Names with a DS in the first zone: what the first import adds. */
const BASELINE = 434
/** Lines of changes.jsonl. */
const CHANGES = 3_378

/** What the summary of an import of all zones into a fresh log says. */
export const ALL = {
  files: ROOT_ZONES.length,
  changes: BASELINE + CHANGES,
  unverifiable: 0,
}

/** That an import reported what changed, no more and no less; the first zone is the baseline. */
export function expectChanges(events: readonly Event[]): void {
  const serialOf = new Map(ROOT_ZONES.map((file, i) => [file, SNAPSHOTS[i]!.serial]))
  const changes = events.filter(({ event }) => event === 'change')
  const baseline = changes.filter(({ file }) => file === ROOT_ZONES[0])
  expect(baseline).toHaveLength(BASELINE)
  expect(baseline.every(({ change, old }) => change === 'added' && isEmpty(old))).toBe(true)

  const reported = changes.slice(BASELINE).map((change) => ({
    to: serialOf.get(String(change['file'])),
    zone: change['name'],
    change: change['change'],
    old: change['old'],
    new: change['new'],
  }))
  const truth = text('changes.jsonl')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Truth)
    .map(({ change, new: now, old, to_serial: to, zone }) => ({ to, zone, change, old, new: now }))
  expect(truth).toHaveLength(CHANGES)
  expect(sorted(reported)).toEqual(sorted(truth))
  // Every entry has an index of its own, in order.
  const indices = changes.map(({ index }) => Number(index))
  expect(indices).toEqual([...new Set(indices)].sort((a, b) => a - b))
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

function sorted<T extends { to?: string | undefined; zone?: unknown }>(changes: readonly T[]): T[] {
  const key = ({ to, zone }: T) => `${to} ${String(zone)}`
  return changes.toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
}

/** The last event of an import. */
export function summaryOf(events: readonly Event[]): Event {
  const summary = events.filter(({ event }) => event === 'summary')
  expect(summary).toHaveLength(1)
  return summary[0]!
}
