/**
 * `dslog watch`: changes of names as the log publishes them. The log's stream of events only says when to
 * look: what is shown is the name's history, proven here, from which nothing can be left out. So a log
 * that keeps an event back is found out at the next look of our own, some minutes later.
 *
 * Levels are by the difference alone: who watches from a terminal has no pins, and nothing here asks the
 * child. A monitor judges with more, and tells you when you do not look.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { isAtOrBelow, type Name, nameKey, nameToText } from '@dslog/dnssec/name'
import type { AlertLevel } from '@dslog/schema/alert'
import { counted } from '@dslog/verify/counted'
import { type Change, changesOf, entryObject, historyLines, treeText } from '@dslog/verify/describe'
import type { ProofVerifier } from '@dslog/verify/verify'
import { changedNames } from '../eventstream.ts'
import { EXIT, Failure } from '../failure.ts'
import { readName } from '../name.ts'
import { proveName, verifierOf } from '../proof.ts'
import type { Session } from '../session.ts'
import { type LogSource, servedAt } from '../source.ts'

export interface WatchOptions {
  /** Ends after the first change. */
  readonly once?: boolean
  /** Shows what has happened from this entry on, too. */
  readonly from?: number
}

/** How often every name is looked at without being told to, ms. */
const LOOK_MS = 300_000

/** Waits before the log is asked again, ms; after the last one, it is given up. */
const RETRY_MS = [1_000, 2_000, 5_000, 10_000, 30_000, 60_000]
/** A stream that has lasted so long did work, ms: proxies end those that say nothing for a while. */
const STEADY_MS = 30_000

export async function watch(
  session: Session,
  texts: readonly string[],
  options: WatchOptions,
): Promise<void> {
  const { output } = session
  const names = texts.map(readName)
  const url = await session.requireLogUrl()
  const source = servedAt(url, session.http())
  const watching = new Watching(session, names, source, await verifierOf(session))
  let cursor = await watching.begin(options.from)
  for (let failures = 0; ;) {
    const began = performance.now()
    try {
      for await (const { name, next } of changedNames(url, cursor, AbortSignal.timeout(LOOK_MS))) {
        failures = 0
        cursor = next
        if (name !== undefined && (await watching.told(name)) && options.once === true) return
      }
      if ((await watching.look()) && options.once === true) return
    } catch (error) {
      if (performance.now() - began >= STEADY_MS) failures = 0
      const wait = RETRY_MS[failures++]
      if (!(error instanceof Failure) || error.exitCode !== EXIT.service || wait === undefined) {
        throw error
      }
      output.note(`${error.message}; trying again`)
      await delay(wait)
    }
  }
}

/** Names that are watched, and what was shown of each. */
class Watching {
  readonly #session: Session
  readonly #names: readonly Name[]
  readonly #source: LogSource
  readonly #verifier: ProofVerifier
  /** By name: its entries below have been shown, or were there before. */
  readonly #shown = new Map<string, number>()
  /** Of names that were not looked at yet. */
  #start = 0

  constructor(
    session: Session,
    names: readonly Name[],
    source: LogSource,
    verifier: ProofVerifier,
  ) {
    this.#session = session
    this.#names = names
    this.#source = source
    this.#verifier = verifier
  }

  /** Looks at every name for the first time. @returns from where on events count */
  async begin(from: number | undefined): Promise<number> {
    const { output } = this.#session
    let size = Infinity
    for (const name of this.#names) {
      const { report } = await proveName(this.#source, name, this.#verifier)
      const { history, trusted } = report
      size = Math.min(size, trusted.checkpoint.size)
      const entries = counted(history.length, 'entry', 'entries')
      output.note(`${nameToText(name)}: ${entries} so far, proven in ${treeText(trusted)}`)
    }
    this.#start = from ?? size
    if (from !== undefined) await this.look()
    return this.#start
  }

  /** The log says that something happened to a name. @returns whether it was shown */
  async told(name: Name): Promise<boolean> {
    const concerns = this.#names.some((mine) => isAtOrBelow(name, mine) || isAtOrBelow(mine, name))
    return concerns && (await this.#show(name))
  }

  /** Looks at every name. @returns whether anything was shown */
  async look(): Promise<boolean> {
    let shown = false
    for (const name of this.#names) shown = (await this.#show(name)) || shown
    return shown
  }

  async #show(name: Name): Promise<boolean> {
    const key = nameKey(name)
    const from = this.#shown.get(key) ?? this.#start
    const { report } = await proveName(this.#source, name, this.#verifier)
    const changes = changesOf(report.history)
    const { output } = this.#session
    for (const [i, proven] of report.history.entries()) {
      const change = changes[i]
      if (proven.index < from || change === undefined) continue
      const isLate = 'outOfOrder' in proven.entry && proven.entry.outOfOrder
      const level = this.#isMine(name) ? levelOf(change, isLate) : 'NOTICE'
      output.event({
        event: 'change',
        level,
        ...entryObject(proven),
        came: change.came,
        went: change.went,
      })
      const before = historyLines(report.history.slice(0, i)).length
      const lines = historyLines(report.history.slice(0, i + 1)).slice(before)
      output.line(`${level.padEnd(8)} ${lines[0] ?? ''}`)
      for (const line of lines.slice(1)) output.change(line)
    }
    const next = (report.history.at(-1)?.index ?? -1) + 1
    this.#shown.set(key, Math.max(from, next))
    return next > from
  }

  /** Whether a name is watched, or below one that is; else it is above. */
  #isMine(name: Name): boolean {
    return this.#names.some((mine) => isAtOrBelow(name, mine))
  }
}

/** A level by the difference of two DS sets alone. */
export function levelOf({ came, kept, went }: Change, isLate: boolean): AlertLevel {
  if (isLate) return 'HIGH'
  if (came.length === 0) return kept.length > 0 ? 'INFO' : 'HIGH'
  if (went.length > 0 && kept.length === 0) return 'HIGH'
  // The first DS of all is one that came, too.
  return 'WARNING'
}
