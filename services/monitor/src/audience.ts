/**
 * Who is to be told of a change, and what each of them meant. A watch on a name is told of changes of the
 * name itself, as its pins and windows have it; of names below; of zones above, as a notice; and, whatever
 * it asked for, when a zone above begins to delegate a name below the watched one, past it.
 */
import type { Transaction } from 'kysely'
import { toHex } from '@dslog/tlog/bytes'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { labelCount, lastLabels, type Name, nameKey } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { decodePinList, dsOfPin } from '@dslog/verify/pins'
import { type Announced, announcedBy } from './announced.ts'
import { type Intent, SILENT } from './judge/intent.ts'
import type { DsSet } from './judge/state.ts'
import { type Watch, watchesOf } from './watch.ts'

/** Where a change stands to a watched name: `past` it, as a delegation below it in a zone above. */
export type Relation = 'same' | 'below' | 'above' | 'past'

/** Somebody who is to be told. */
export interface Listener {
  readonly subscription: string
  readonly watched: Name
  readonly relation: Relation
}

/** A delegation and the zone that signs it. */
export interface Subject {
  readonly name: Name
  readonly zone: Name
}

/** A subject as the key of a map. */
export function subjectKey({ name, zone }: Subject): string {
  return `${nameKey(name)} ${nameKey(zone)}`
}

/** The names that a delegation passes by: below the zone that signs it, and above itself. */
export function passedBy({ name, zone }: Subject): Name[] {
  const passed: Name[] = []
  for (let count = labelCount(name) - 1; count > labelCount(zone); count--) {
    passed.push(lastLabels(name, count))
  }
  return passed
}

/**
 * Who watches these delegations, or the names above them. Those who watch names below are not here: there
 * can be millions (`watchesBelow`).
 *
 * @returns by `subjectKey`
 */
export async function listenersOf(
  trx: Transaction<MonitorTables>,
  subjects: readonly Subject[],
): Promise<Map<string, Listener[]>> {
  const names = subjects.flatMap((subject) => [subject.name, ...passedBy(subject)])
  const watches = await watchesOf(trx, names)
  const found = new Map<string, Listener[]>()
  for (const subject of subjects) {
    const passed = passedBy(subject).flatMap((name) => same(watches.get(nameKey(name))))
    const listeners = [
      ...passed.map((watch): Listener => ({ ...watch, relation: 'past' })),
      ...(watches.get(nameKey(subject.name)) ?? []).map((watch): Listener => ({
        ...watch,
        relation: watch.reach,
      })),
    ]
    const once = listeners.filter(
      ({ subscription }, i) =>
        listeners.findIndex((other) => other.subscription === subscription) === i,
    )
    if (once.length > 0) found.set(subjectKey(subject), once)
  }
  return found
}

/** Who watches a name itself. */
export async function watchersOf(trx: Transaction<MonitorTables>, name: Name): Promise<string[]> {
  const watches = await watchesOf(trx, [name])
  return same(watches.get(nameKey(name))).map(({ subscription }) => subscription)
}

function same(watches: readonly Watch[] = []): Watch[] {
  return watches.filter(({ reach }) => reach === 'same')
}

/** What owners meant; asked for many at once. */
export class Intents {
  readonly #announced: ReadonlyMap<string, Announced>
  readonly #digests: SignatureBackend
  readonly #pins = new Map<string, Promise<DsSet>>()

  private constructor(announced: ReadonlyMap<string, Announced>, digests: SignatureBackend) {
    this.#announced = announced
    this.#digests = digests
  }

  /**
   * Pins that are in force now, and windows that were open lately: a change is told up to an hour
   * after it happened.
   */
  static async of(
    trx: Transaction<MonitorTables>,
    subscriptions: readonly string[],
    now: number,
    since: number,
    digests: SignatureBackend,
  ): Promise<Intents> {
    const ids = [...new Set(subscriptions)]
    if (ids.length === 0) return new Intents(new Map(), digests)
    const [pins, windows] = [
      await announcedBy(trx, ids, now),
      await announcedBy(trx, ids, Math.min(now, since)),
    ]
    const all = ids.map((id): [string, Announced] => [
      id,
      { pins: pins.get(id)?.pins, windows: windows.get(id)?.windows ?? [] },
    ])
    return new Intents(new Map(all), digests)
  }

  /** Whether a subscription has pins under an owner's key. */
  isPinned(subscription: string): boolean {
    return this.#announced.get(subscription)?.pins?.isSigned === true
  }

  /**
   * What somebody meant with a change.
   *
   * @param seen when this monitor saw it: what was announced later was not
   */
  async of(listener: Listener, seen: number): Promise<Intent> {
    const { relation, subscription, watched } = listener
    const { pins, windows } = this.#announced.get(subscription) ?? { pins: undefined, windows: [] }
    const announced = windows
      .filter(({ created_at: createdAt }) => createdAt <= seen)
      .map((window) => ({
        begins: window.begins_at,
        ends: window.ends_at,
        unsigned: window.unsigned,
      }))
    if (relation !== 'same') return { ...SILENT, windows: relation === 'below' ? announced : [] }
    const set = pins === undefined ? [] : await this.#dsOf(watched, pins.keys)
    const isPinned = pins?.isSigned === true
    return {
      pins: isPinned ? set : undefined,
      acknowledged: isPinned ? [] : set,
      windows: announced,
    }
  }

  #dsOf(name: Name, list: Uint8Array): Promise<DsSet> {
    const id = `${nameKey(name)} ${toHex(list)}`
    const known = this.#pins.get(id)
    if (known !== undefined) return known
    const pins = decodePinList(list).map((pin) => dsOfPin(pin, name, this.#digests))
    const made = Promise.all(pins).then((sets) => sets.flat())
    this.#pins.set(id, made)
    return made
  }
}
