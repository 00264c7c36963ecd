/**
 * The picture of a history: which records were in force from when to when. Pure geometry, in fractions of the
 * width; view/timeline.tsx draws it.
 *
 * Time is not to scale where it would hide what happened: two changes within an hour, years after the
 * first, would be one line. Each span between two moments gets at least an even share of half the
 * width, the rest in proportion to its length; so order and neighbourhood are always seen, and long is
 * longer than short.
 */

/** The state of a name after an entry. */
export interface State {
  readonly index: number
  /** ms */
  readonly time: number
  /** Keys of what was in force; none for a proven absence. */
  readonly records: readonly string[]
  /** Never in force: signed before the state that was. */
  readonly outOfOrder: boolean
}

/** A record in force, from one moment to another. */
export interface Bar {
  /** From 0 to 1. */
  readonly from: number
  readonly to: number
  /** Still in force. */
  readonly open: boolean
  /** Shown, but never in force. */
  readonly odd: boolean
  readonly since: number
  readonly until?: number
}

/** A record with all spans in which it was in force. */
export interface Row {
  readonly record: string
  readonly bars: readonly Bar[]
}

/** An entry. */
export interface Mark {
  readonly at: number
  readonly index: number
  readonly time: number
  /** `swapped`: replaced, and nothing of what was in force stayed. */
  readonly kind: 'added' | 'replaced' | 'swapped' | 'removed' | 'odd'
}

export interface Timeline {
  readonly rows: readonly Row[]
  readonly marks: readonly Mark[]
  /** Rows that were left out, since there are too many: what went first. */
  readonly hidden: number
}

/** What of the width is shared evenly between spans. */
const EVEN_SHARE = 0.5

/** Width of what was shown and never in force, as a part of the whole. */
const ODD_WIDTH = 0.03

/** Where moments lie: increasing times to increasing fractions, the last at 1. */
export function scaleOf(times: readonly number[]): (time: number) => number {
  const moments = [...new Set(times)].sort((a, b) => a - b)
  const spans = moments.slice(1).map((time, i) => time - moments[i]!)
  const whole = spans.reduce((sum, span) => sum + span, 0)
  const places = [0]
  for (const span of spans) {
    const share = EVEN_SHARE / spans.length + (1 - EVEN_SHARE) * (span / whole)
    places.push(places.at(-1)! + share)
  }
  return (time) => Math.min(1, places[moments.indexOf(time)] ?? 1)
}

/** A bar before it has a place. */
type Span = Omit<Bar, 'from' | 'to'>

/**
 * The picture of a history up to `now` (ms).
 *
 * @param states oldest first, in log order
 * @param maxRows rows at most; with more, the picture begins where the last so many do
 */
export function timelineOf(
  states: readonly State[],
  now: number,
  maxRows: number = Infinity,
): Timeline {
  const { marks, rows } = foldStates(states)
  const drawn = newest(rows, maxRows)
  const start = Math.min(...drawn.flatMap(([, spans]) => spans.map(({ since }) => since)))
  const shown = drawn.length < rows.size ? marks.filter(({ time }) => time >= start) : marks
  const end = Math.max(now, ...states.map(({ time }) => time + 1))
  const at = scaleOf([...shown.map(({ time }) => time), end])
  const barOf = (span: Span): Bar => {
    if (!span.odd) {
      return { ...span, from: at(span.since), to: span.open ? 1 : at(span.until ?? end) }
    }
    const from = Math.min(at(span.since), 1 - ODD_WIDTH)
    return { ...span, from, to: from + ODD_WIDTH }
  }
  return {
    rows: drawn.map(([record, spans]) => ({ record, bars: spans.map(barOf) })),
    marks: shown.map((mark) => ({ ...mark, at: at(mark.time) })),
    hidden: rows.size - drawn.length,
  }
}

/** Which records were in force from when to when, in the order in which they came, and what each entry did. */
function foldStates(states: readonly State[]): {
  rows: Map<string, Span[]>
  marks: Omit<Mark, 'at'>[]
} {
  const rows = new Map<string, Span[]>()
  const open = new Map<string, number>()
  const marks: Omit<Mark, 'at'>[] = []
  const push = (record: string, span: Span): void => {
    rows.set(record, [...(rows.get(record) ?? []), span])
  }
  let inForce: readonly string[] = []
  for (const { index, outOfOrder, records, time } of states) {
    if (outOfOrder) {
      marks.push({ index, time, kind: 'odd' })
      for (const record of records) {
        if (!open.has(record)) push(record, { open: false, odd: true, since: time })
      }
      continue
    }
    for (const [record, since] of open) {
      if (records.includes(record)) continue
      push(record, { open: false, odd: false, since, until: time })
      open.delete(record)
    }
    for (const record of records) {
      if (!open.has(record)) open.set(record, time)
      if (!rows.has(record)) rows.set(record, [])
    }
    marks.push({ index, time, kind: kindOf(inForce, records) })
    inForce = records
  }
  for (const [record, since] of open) push(record, { open: true, odd: false, since })
  return { rows, marks }
}

function kindOf(before: readonly string[], records: readonly string[]): Mark['kind'] {
  if (records.length === 0) return 'removed'
  if (before.length === 0) return 'added'
  return records.some((record) => before.includes(record)) ? 'replaced' : 'swapped'
}

/** The rows that were in force last, in the order in which they came. */
function newest(rows: ReadonlyMap<string, Span[]>, count: number): [string, Span[]][] {
  const all = [...rows]
  if (all.length <= count) return all
  const last = (spans: readonly Span[]): number =>
    Math.max(...spans.map(({ open, since, until }) => (open ? Infinity : (until ?? since))))
  const kept = new Set(all.toSorted(([, a], [, b]) => (last(b) > last(a) ? 1 : -1)).slice(0, count))
  return all.filter((row) => kept.has(row))
}

/** Which of some boxes in a line can be drawn, the first of them before the others: each at least `gap` from the rest. */
export function spaced(boxes: readonly (readonly [number, number])[], gap: number): boolean[] {
  const drawn: (readonly [number, number])[] = []
  return boxes.map(([left, right]) => {
    const isClear = drawn.every(([from, to]) => left - to >= gap || from - right >= gap)
    if (isClear) drawn.push([left, right])
    return isClear
  })
}
