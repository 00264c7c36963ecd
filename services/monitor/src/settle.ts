/**
 * Judges cases that are due, for everybody who is to be told, and writes down what comes of it: alerts,
 * what has become of those that were raised before, and when each case is due again. Called in the
 * transaction that holds all of it.
 *
 * What a case raised keeps the rule that it was raised under: a change is told once, and again when its
 * level rises, whatever rule says so then.
 */
import { sql, type Transaction } from 'kysely'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { type Name, nameKey, nameToText } from '@dslog/dnssec/name'
import { type AlertRule, levelRank } from '@dslog/schema/alert'
import type { MonitorTables } from '@dslog/schema/db'
import { HOUR } from '@dslog/schema/time'
import { decodeDsSet } from '@dslog/service/dsset'
import { type AlertDraft, causeOf, raiseAlerts, resolveAlert } from './alert.ts'
import { Intents, type Listener, listenersOf, subjectKey } from './audience.ts'
import { type Intent, SILENT } from './judge/intent.ts'
import { judge, type Question, STILL_ABSENT_MS, type Verdict } from './judge/rules.ts'
import { inForce, sameSet } from './judge/state.ts'
import { judgeZoneKeys } from './judge/zonekeys.ts'
import {
  keySets,
  type Matter,
  mattersOf,
  type OpenCase,
  type Raised,
  raisedBefore,
  subjectOf,
} from './matter.ts'
import { watchesBelow, withWatchesBelow } from './watch.ts'

/** Longest time until an open case is judged again, ms, though nothing is known to have changed. */
const AGAIN_MS = 6 * HOUR

/** Rules about a change: of these, a case raises one. The others stand beside it. */
const BESIDE: ReadonlySet<AlertRule> = new Set<AlertRule>(['R12'])

/** Alerts that are over when the set before is in force again. */
const REVERSIBLE: readonly AlertRule[] = ['R1', 'R2', 'R3', 'R4a', 'R4b', 'R6', 'R7', 'R8']

/** Judges cases. */
export async function settle(
  trx: Transaction<MonitorTables>,
  due: readonly OpenCase[],
  now: number,
  digests: SignatureBackend,
): Promise<void> {
  const changes = due.filter(({ kind }) => kind === 'change')
  const settling = new Settling(trx, now, digests)
  await settling.changes(await mattersOf(trx, changes, now))
  for (const open of due) if (open.kind === 'keys') await settling.keys(open)
  await settling.write(due)
}

class Settling {
  readonly #trx: Transaction<MonitorTables>
  readonly #now: number
  readonly #digests: SignatureBackend
  readonly #drafts: AlertDraft[] = []
  readonly #resolutions: { readonly id: string; readonly why: string }[] = []
  /** When a case is due next, where that is known. */
  readonly #next = new Map<number, number>()
  readonly #toldBelow: number[] = []

  constructor(trx: Transaction<MonitorTables>, now: number, digests: SignatureBackend) {
    this.#trx = trx
    this.#now = now
    this.#digests = digests
  }

  async changes(matters: readonly Matter[]): Promise<void> {
    if (matters.length === 0) return
    const subjects = matters.map(subjectOf)
    const listeners = await listenersOf(this.#trx, subjects)
    const subscriptions = [...listeners.values()].flat().map(({ subscription }) => subscription)
    const since = Math.min(...matters.map(({ question }) => question.state.time))
    const intents = await Intents.of(this.#trx, subscriptions, this.#now, since, this.#digests)
    const raised = await raisedBefore(this.#trx, matters, subscriptions)
    // Asked for all at once: of most names nobody watches anything below.
    const names = matters.map(({ open }) => open.name as Name)
    const above = new Set((await withWatchesBelow(this.#trx, names)).map(nameKey))
    for (const [i, matter] of matters.entries()) {
      for (const listener of listeners.get(subjectKey(subjects[i]!)) ?? []) {
        const intent = await intents.of(listener, matter.open.opened_at)
        this.#tell(matter, listener, intent, raised)
      }
      await this.#tellBelow(matter, above.has(nameKey(matter.open.name as Name)))
    }
  }

  #tell(matter: Matter, listener: Listener, intent: Intent, raised: readonly Raised[]): void {
    const { open, question } = matter
    const cause = causeOf({ entry: { origin: open.origin, index: open.idx } })
    const mine = raised.filter(({ subscription }) => subscription === listener.subscription)
    const before = mine.filter((alert) => alert.cause === cause)
    const verdicts = verdictsFor(listener, question, intent)
    if (before.length === 0 && isCovered(matter, intent)) return
    const about = verdicts.find(({ rule }) => !BESIDE.has(rule))
    const known = before.find(({ rule }) => !BESIDE.has(rule))
    if (known !== undefined && levelRank(about?.level ?? 'INFO') === 0) {
      const isOpen = known.resolved_at === null && known.level > 0
      const why = about?.why ?? 'it names the same keys as before'
      if (isOpen) this.#resolutions.push({ id: known.id, why })
    } else if (about !== undefined) {
      this.#raise(matter, listener, known === undefined ? about : { ...about, rule: known.rule })
    }
    for (const verdict of verdicts) if (verdict !== about) this.#raise(matter, listener, verdict)
    const isQuiet = levelRank(about?.level ?? 'INFO') === 0
    if (isQuiet && listener.relation === 'same') this.#resolveReturned(matter, mine)
  }

  /** Raises an alert, or notes when it is to be. */
  #raise(matter: Matter, { subscription }: Listener, verdict: Verdict): void {
    const { open, question } = matter
    const at = open.opened_at + verdict.hold
    if (at > this.#now) return this.#again(open, at)
    if (verdict.rule === 'R6' && verdict.level !== 'CRITICAL') {
      this.#again(open, question.state.time + STILL_ABSENT_MS)
    }
    this.#drafts.push(draftOf(matter, subscription, verdict))
  }

  /**
   * The set is, without a question, what it was before another change: what was told of that is over,
   * whichever log it was told from.
   */
  #resolveReturned({ question: { state } }: Matter, mine: readonly Raised[]): void {
    if (state.outOfOrder) return
    for (const { before, first_at: at, id, resolved_at: resolvedAt, rule } of mine) {
      if (resolvedAt !== null || !REVERSIBLE.includes(rule)) continue
      if (before === null || at >= state.time || !sameSet(decodeDsSet(before), state.ds)) {
        continue
      }
      this.#resolutions.push({ id, why: 'the DS set before it is in force again' })
    }
  }

  /** Those who watch names below get a notice, once: whoever holds a zone holds all below it. */
  async #tellBelow(matter: Matter, isWatched: boolean): Promise<void> {
    const { open, question } = matter
    if (open.told_below) return
    const [verdict] = judge(question, SILENT)
    if (verdict === undefined || levelRank(verdict.level) < levelRank('NOTICE')) return
    const at = open.opened_at + verdict.hold
    if (at > this.#now) return this.#again(open, at)
    const why = `${nameToText(open.name as Name)}, above the watched name: ${verdict.why}`
    const listening = isWatched ? watchesBelow(this.#trx, open.name as Name) : []
    for await (const watches of listening) {
      const drafts = watches.map(({ subscription }) =>
        draftOf(matter, subscription, { ...verdict, level: 'NOTICE', why }),
      )
      await raiseAlerts(this.#trx, drafts, this.#now)
    }
    this.#toldBelow.push(open.id)
  }

  /** Keys of a zone that it never had. */
  async keys(open: OpenCase): Promise<void> {
    const zone = open.name as Name
    const { entry, earlier } = await keySets(this.#trx, open)
    const verdict = judgeZoneKeys(entry, earlier, false)
    if (verdict === undefined || open.told_below) return
    const at = open.opened_at + verdict.hold
    if (at > this.#now) return this.#again(open, at)
    const pinned = judgeZoneKeys(entry, earlier, true)
    for await (const watches of watchesBelow(this.#trx, zone)) {
      const ids = watches.map(({ subscription }) => subscription)
      const intents = await Intents.of(this.#trx, ids, this.#now, this.#now, this.#digests)
      const drafts = ids.map((id) => {
        const isPinned = intents.isPinned(id)
        return draftFor(open, id, (isPinned ? pinned : verdict) ?? verdict, entry.time)
      })
      await raiseAlerts(this.#trx, drafts, this.#now)
    }
    this.#toldBelow.push(open.id)
  }

  #again({ id }: OpenCase, at: number): void {
    this.#next.set(id, Math.min(at, this.#next.get(id) ?? at))
  }

  /** Writes everything down. */
  async write(due: readonly OpenCase[]): Promise<void> {
    const now = this.#now
    await raiseAlerts(this.#trx, this.#drafts, now)
    for (const { id, why } of this.#resolutions) await resolveAlert(this.#trx, id, why, now)
    const closed = due.filter((open) => open.closes_at <= now).map(({ id }) => id)
    if (closed.length > 0) {
      await this.#trx.deleteFrom('open_case').where('id', 'in', closed).execute()
    }
    const told = new Set(this.#toldBelow)
    const rows = due.map(({ closes_at: end, id }) => {
      const wanted = this.#next.get(id)
      const next = wanted === undefined || wanted <= now ? now + AGAIN_MS : wanted
      return {
        id,
        next: Math.min(next, now + AGAIN_MS, Math.max(end, now + 1)),
        told: told.has(id),
      }
    })
    await sql`
      update open_case set due_at = settled.next, told_below = told_below or settled.told
      from unnest(${rows.map(({ id }) => id)}::int8[], ${rows.map(({ next }) => next)}::int8[],
        ${rows.map((row) => row.told)}::boolean[]) settled (id, next, told)
      where open_case.id = settled.id`.execute(this.#trx)
  }
}

// --- verdicts ---

function verdictsFor(
  { relation, watched }: Listener,
  question: Question,
  intent: Intent,
): Verdict[] {
  const { state } = question
  // A removal below is nothing that a zone above puts in the way of the watched one.
  if (relation === 'past' && state.ds.length > 0) {
    const why = `${nameToText(state.zone)} delegates a name below ${nameToText(watched)}, past its own servers`
    return [{ rule: 'R4b', level: 'CRITICAL', hold: 0, why }]
  }
  return relation === 'past' ? [] : judge(question, intent)
}

/** Whether a later change is told of as there and back again, this one included. */
function isCovered({ open, question }: Matter, intent: Intent): boolean {
  const states = [...question.history, question.state, ...question.later]
  return question.later.some((state) => {
    const at = states.indexOf(state)
    const around = { history: states.slice(0, at), state, later: states.slice(at + 1) }
    const [verdict] = judge({ ...question, ...around }, intent)
    return verdict?.rule === 'R10' && verdict.others?.includes(open.idx) === true
  })
}

function draftOf({ open, question }: Matter, subscription: string, verdict: Verdict): AlertDraft {
  const { history, state } = question
  const before = inForce(history).at(-1)
  const sets = { after: state.ds, ...(before !== undefined && { before: before.ds }) }
  return { ...draftFor(open, subscription, verdict, state.time), ...sets }
}

function draftFor(
  { idx, name, origin }: OpenCase,
  subscription: string,
  { level, others, rule, why }: Verdict,
  at: number,
): AlertDraft {
  const entry = { origin, index: idx, ...(others !== undefined && { others }) }
  return { subscription, rule, level, name: name as Name, entry, why, at }
}
