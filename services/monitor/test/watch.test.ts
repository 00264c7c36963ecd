/** Which watches a changed name meets, against what the definition says. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { compare } from '@dslog/tlog/bytes'
import { isBelow, type Name, nameFromText, nameKey, ROOT, sameName } from '@dslog/dnssec/name'
import { randomIntFrom } from '@dslog/testbed/random'
import { pathOf, type Watch, watchesBelow, watchesOf, withWatchesBelow } from '../src/watch.ts'
import { addOwners, type Owner } from './owners.ts'
import { type Place, quickPlace } from './world.ts'

let home: Place
beforeAll(async () => {
  home = await quickPlace()
})
afterEach(() => home.empty())
afterAll(() => home.close())

async function of(name: string): Promise<Watch[]> {
  const wire = nameFromText(name)
  const found = await home.db.transaction((trx) => watchesOf(trx, [wire]))
  // Databases give bytes as Buffers.
  const plain = (watch: Watch): Watch => ({
    ...watch,
    watched: Uint8Array.from(watch.watched) as Name,
  })
  return (found.get(nameKey(wire)) ?? []).map(plain)
}

async function below(name: Name): Promise<Watch[]> {
  return home.db.transaction(async (trx) => {
    const all: Watch[] = []
    for await (const page of watchesBelow(trx, name)) all.push(...page)
    return all
  })
}

const ids = (watches: readonly Watch[]): string[] => watches.map((w) => w.subscription).sort()

describe('a path', () => {
  test('has the labels from the root down, each with its length', () => {
    expect(pathOf(ROOT)).toEqual(new Uint8Array(0))
    expect(Buffer.from(pathOf(nameFromText('www.example.fi.'))).toString('latin1')).toBe(
      '\x02fi\x07example\x03www',
    )
  })

  test('of an ancestor is a prefix, and of nobody else', () => {
    const names = ['fi', 'fio', 'a.fi', 'b.a.fi', 'a.fio', '\\002fi.fi', '\\000.fi', 'aa.fi', 'xfi']
    for (const a of names.map((text) => nameFromText(text))) {
      for (const b of names.map((text) => nameFromText(text))) {
        const [short, long] = [pathOf(a), pathOf(b)]
        const isPrefix =
          short.length < long.length && compare(short, long.subarray(0, short.length)) === 0
        expect(isPrefix).toBe(isBelow(b, a))
      }
    }
  })
})

describe('watches', () => {
  const owners: Owner[] = [
    { id: 'exact', name: 'example.fi.' },
    { id: 'tree', name: 'example.fi.', subtree: true },
    { id: 'deep', name: 'a.b.example.fi.', subtree: true },
    { id: 'other', name: 'example.se.', subtree: true },
    { id: 'like', name: 'xexample.fi.', subtree: true },
    { id: 'asleep', name: 'example.fi.', subtree: true, active: false },
    { id: 'all', name: '.', subtree: true },
  ]

  test('of the name itself, of its subtree, and asleep', async () => {
    await addOwners(home.db, owners)
    expect(await of('example.fi.')).toEqual([
      { subscription: 'exact', watched: nameFromText('example.fi.'), reach: 'same' },
      { subscription: 'tree', watched: nameFromText('example.fi.'), reach: 'same' },
      { subscription: 'all', watched: ROOT, reach: 'below' },
    ])
    expect(await of('www.example.fi.')).toEqual([
      { subscription: 'tree', watched: nameFromText('example.fi.'), reach: 'below' },
      { subscription: 'all', watched: ROOT, reach: 'below' },
    ])
    expect(ids(await of('EXAMPLE.fi.'))).toEqual(['all', 'exact', 'tree'])
    expect(ids(await of('fi.'))).toEqual(['all'])
    expect(ids(await of('.'))).toEqual(['all'])
  })

  test('below a name that changed', async () => {
    await addOwners(home.db, owners)
    expect(ids(await below(nameFromText('fi.')))).toEqual(['deep', 'exact', 'like', 'tree'])
    expect(ids(await below(nameFromText('example.fi.')))).toEqual(['deep'])
    expect(ids(await below(nameFromText('a.b.example.fi.')))).toEqual([])
    expect(ids(await below(ROOT))).toEqual(['deep', 'exact', 'like', 'other', 'tree'])
    const asked = ['no.', 'fi.', 'b.example.fi.', 'c.example.fi.', 'xexample.fi.'].map((text) =>
      nameFromText(text),
    )
    const some = await home.db.transaction((trx) => withWatchesBelow(trx, asked))
    expect(some).toEqual([asked[1], asked[2]])
  })

  test('nobody watches', async () => {
    expect(await of('example.fi.')).toEqual([])
    expect(await below(ROOT)).toEqual([])
    expect(await home.db.transaction((trx) => watchesOf(trx, []))).toEqual(new Map())
    expect(await home.db.transaction((trx) => withWatchesBelow(trx, []))).toEqual([])
  })

  test('of random names are those of the definition', async () => {
    const random = randomIntFrom(7)
    const labels = ['a', 'b', 'ab', '\\000', '\\255', '\\063']
    const name = (): string =>
      Array.from({ length: random(4) }, () => labels[random(labels.length)]).join('.') + '.'
    const many = Array.from({ length: 300 }, (_, i): Owner => ({
      id: `o${i}`,
      name: name(),
      subtree: random(2) === 0,
      active: random(5) > 0,
    }))
    await addOwners(home.db, many)
    const asked = Array.from({ length: 120 }, () => nameFromText(name()))
    const found = await home.db.transaction((trx) => watchesOf(trx, asked))
    for (const changed of asked) {
      const awake = many.filter(({ active }) => active)
      const expected = awake.filter(({ name: text, subtree }) => {
        const watched = nameFromText(text)
        return sameName(watched, changed) || (subtree === true && isBelow(changed, watched))
      })
      expect(ids(found.get(nameKey(changed)) ?? [])).toEqual(expected.map(({ id }) => id).sort())
      const under = awake.filter(({ name: text }) => isBelow(nameFromText(text), changed))
      expect(ids(await below(changed))).toEqual(under.map(({ id }) => id).sort())
    }
  })
})
