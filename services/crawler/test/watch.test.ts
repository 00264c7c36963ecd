/** Watched names and their decoys. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { stateId } from '@dslog/schema/identity'
import { TestClock } from '@dslog/testbed/clock'
import { Frontier } from '../src/frontier.ts'
import { Source, TaskKind, Tier } from '../src/schedule.ts'
import { refreshDecoys, watch } from '../src/watch.ts'
import { HASH_KEY, openPlace, type Place, putLogged } from './place.ts'

const clock = new TestClock()
let place: Place
let frontier: Frontier

beforeAll(async () => {
  place = await openPlace()
})
beforeEach(async () => {
  await place.empty()
  frontier = await Frontier.join(place.db, HASH_KEY, clock.now())
})
afterAll(() => place.close())

/** Names that the log knows, of a zone. */
async function logged(zone: string, count: number): Promise<Name[]> {
  const apex = nameFromText(zone)
  const names = Array.from({ length: count }, (_, i) => nameFromText(`n${i}.${zone}`))
  for (const name of names) {
    const state = stateId(name, apex, [name])
    await putLogged(place, name, apex, state)
  }
  const due = clock.now() + 1_000_000
  const task = { kind: TaskKind.poll, tier: Tier.signed, due, source: Source.log }
  await frontier.add(names.map((name) => ({ name, ...task })))
  return names
}

async function tier0(): Promise<string[]> {
  const rows = await place.db.kysely
    .selectFrom('task')
    .select('name')
    .where('tier', '=', Tier.watched)
    .execute()
  return rows.map(({ name }) => nameToText(name as Name)).sort()
}

const set = (names: readonly Name[]) => watch(place.db, frontier, names, HASH_KEY, clock.now())

describe('watched names', () => {
  test('are due at once, among decoys of their zone', async () => {
    const org = await logged('org.', 60)
    await logged('net.', 5)
    expect(await set(org.slice(0, 20))).toEqual({ watched: 20, decoys: 2 })
    const names = await tier0()
    expect(names).toHaveLength(22)
    expect(names.every((name) => name.endsWith('.org.'))).toBe(true)
    const leased = await frontier.lease(clock.now(), 100)
    expect(leased).toHaveLength(22)
  })

  test('keep their decoys', async () => {
    const org = await logged('org.', 60)
    await set(org.slice(0, 20))
    const before = await tier0()
    await set(org.slice(0, 20))
    await refreshDecoys(place.db, frontier, HASH_KEY, clock.now())
    expect(await tier0()).toEqual(before)
  })

  test('are replaced by the next list', async () => {
    const org = await logged('org.', 60)
    await set(org.slice(0, 30))
    expect(await set(org.slice(10, 20))).toEqual({ watched: 10, decoys: 1 })
    expect(await set([])).toEqual({ watched: 0, decoys: 0 })
    expect(await tier0()).toEqual([])
    const tiers = await place.db.kysely.selectFrom('task').select('tier').distinct().execute()
    expect(tiers).toEqual([{ tier: Tier.signed }])
  })

  test('that nobody else wants are forgotten with the list', async () => {
    const name = nameFromText('unknown.example.')
    expect(await set([name])).toEqual({ watched: 1, decoys: 0 })
    expect(await set([])).toEqual({ watched: 0, decoys: 0 })
    expect(await frontier.nextDue()).toBeUndefined()
  })

  test('get a decoy as soon as the log knows their zone', async () => {
    const name = nameFromText('n3.org.')
    await set([name])
    await logged('org.', 10)
    const counts = await refreshDecoys(place.db, frontier, HASH_KEY, clock.now())
    expect(counts).toEqual({ watched: 1, decoys: 1 })
    expect(await tier0()).toHaveLength(2)
  })

  test('are not made decoys, and a zone without others has none', async () => {
    const org = await logged('org.', 3)
    expect(await set(org)).toEqual({ watched: 3, decoys: 0 })
  })
})
