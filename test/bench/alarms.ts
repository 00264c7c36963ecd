/**
 * How often the rules would have warned, on real history: every change of a DS in .gov in 928 days. Nobody
 * had pinned, nobody had looked at the children, and as far as anybody knows none of it was an attack:
 * so every warning is one too many, and the figure an upper bound.
 *
 * What is judged are the states, as the log would have had them; a day's changes are of that day. What no
 * copy of a zone can tell is left open: whether the child had announced a change by CDS, or published its
 * key before, and whether its name servers moved.
 */
import { parseDs } from '@dslog/dnssec/records'
import { type Name, nameKey } from '@dslog/dnssec/name'
import { ALERT_LEVELS, type AlertLevel } from '@dslog/schema/alert'
import { DAY } from '@dslog/schema/time'
import { type Intent, SILENT } from '@dslog/monitor/judge/intent'
import { judge } from '@dslog/monitor/judge/rules'
import { type Child, type DsSet, type State, UNSEEN } from '@dslog/monitor/judge/state'
import { type Gov, type GovChange, openGov } from '@dslog/testbed/gov'
import { Internet } from '@dslog/testbed/internet'
import type { Bench, Benchmark } from './harness.ts'

const YEAR_MS = 365.25 * DAY

/** Everything that a name went through. */
interface Course {
  readonly name: Name
  readonly states: State[]
}

export const alarms: Benchmark = {
  name: 'alarms',
  about: 'warnings that 928 days of .gov would have given',
  async run(bench) {
    const gov = openGov(new Internet())
    if (gov === undefined) return bench.skip('alarms: no data of .gov')
    const courses = coursesOf(gov)
    const [first, last] = [gov.days[0]!.at, gov.days.at(-1)!.at]
    const years = (last - first) / YEAR_MS
    const nameYears = courses.length * years
    bench.report('names that had a DS', '', [courses.length], { note: `${years.toFixed(2)} years` })
    tell(bench, 'nobody pins', courses, () => SILENT, first, nameYears)
    const announced = 'nobody pins, every key published before its DS'
    tell(bench, announced, courses, () => SILENT, first, nameYears, publishedBefore)

    const kept = courses.flatMap((course) => {
      const pins = keptKeys(course, first)
      return pins === undefined ? [] : [{ course, pins }]
    })
    const pinsOf = new Map(kept.map(({ course, pins }) => [course, pins]))
    const same = kept.map(({ course }) => course)
    const keptYears = same.length * years
    bench.report('names that kept a key', '', [same.length])
    tell(bench, 'the same names, nobody pins', same, () => SILENT, first, keptYears)
    const intent = (course: Course): Intent => ({ ...SILENT, pins: pinsOf.get(course)! })
    tell(bench, 'the same names, that key pinned', same, intent, first, keptYears)
  },
}

function coursesOf(gov: Gov): Course[] {
  const courses = new Map<string, Course>()
  const zone = gov.authority.name
  let index = 0
  for (const { at, changes } of gov.days) {
    for (const change of changes) {
      const { owner } = change
      const course = courses.get(nameKey(owner)) ?? { name: owner, states: [] }
      courses.set(nameKey(owner), course)
      const seen = { index: index++, time: at, inception: at / 1000, zone, outOfOrder: false }
      course.states.push({ ...seen, ds: change.ds, absence: absenceOf(change) })
    }
  }
  return [...courses.values()]
}

function absenceOf({ ds, isDelegated }: GovChange): State['absence'] {
  if (ds.length > 0) return undefined
  return isDelegated ? 'delegated' : 'gone'
}

/** DS of the keys, by tag and algorithm, that a name had at the first and has at the last. */
function keptKeys({ states }: Course, first: number): DsSet | undefined {
  const before = states.findLast(({ time }) => time === first)
  const after = states.at(-1)!
  if (before === undefined || after.ds.length === 0) return undefined
  const kept = (ds: Uint8Array): boolean =>
    [before, after].every((state) => state.ds.some((other) => sameKey(other, ds)))
  const pins = states.flatMap(({ ds }) => ds).filter(kept)
  return pins.length === 0 ? undefined : pins
}

function sameKey(a: Uint8Array, b: Uint8Array): boolean {
  const [one, other] = [parseDs(a), parseDs(b)]
  return one.tag === other.tag && one.algorithm === other.algorithm
}

/** A child that had published, under the keys before, each key that the parent was to name next. */
function publishedBefore({ states }: Course): Child {
  const all = states.flatMap(({ ds }) => ds)
  const keys = all.map((ds) => all.filter((other) => sameKey(other, ds)))
  const seen = { first: 0, last: 0, keys, wanted: undefined, deletes: false }
  return { ...UNSEEN, sightings: states.map(({ ds: under }) => ({ ...seen, under })) }
}

/** Judges every change after the first day, and reports how many there are of each level and rule. */
function tell(
  bench: Bench,
  who: string,
  courses: readonly Course[],
  intentOf: (course: Course) => Intent,
  first: number,
  nameYears: number,
  childOf: (course: Course) => Child = () => UNSEEN,
): void {
  const byLevel = new Map<AlertLevel, Map<string, number>>()
  let changes = 0
  let quiet = 0
  const warned = new Set<Course>()
  for (const course of courses) {
    const child = childOf(course)
    for (const [i, state] of course.states.entries()) {
      if (state.time === first) continue
      changes++
      const history = course.states.slice(0, i)
      const question = { history, state, child, now: state.time }
      const verdicts = judge(question, intentOf(course))
      if (verdicts.length === 0) quiet++
      for (const { level, rule } of verdicts) {
        const rules = byLevel.get(level) ?? new Map<string, number>()
        byLevel.set(level, rules.set(rule, (rules.get(rule) ?? 0) + 1))
        if (level === 'HIGH' || level === 'CRITICAL') warned.add(course)
      }
    }
  }
  bench.report(`${who}: changes`, '', [changes], { note: `${quiet} of them are none` })
  for (const level of ALERT_LEVELS.toReversed()) {
    const rules = [...(byLevel.get(level) ?? [])].sort(([, a], [, b]) => b - a)
    const count = rules.reduce((sum, [, n]) => sum + n, 0)
    const note = rules.map(([rule, n]) => `${rule} ${n}`).join(', ')
    const rate = `${(count / nameYears).toFixed(3)} a name and year`
    bench.report(`${who}: ${level}`, '', [count], { note: note === '' ? rate : `${rate}: ${note}` })
  }
  const share = ((100 * warned.size) / courses.length).toFixed(0)
  bench.report(`${who}: names ever warned`, '', [warned.size], { note: `${share} %` })
}
