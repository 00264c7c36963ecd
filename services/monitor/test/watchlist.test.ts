/** The operator's own list: what its lines say, and how it is taken up while the monitor runs. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { silent } from '../../../test/silent.ts'
import { parseWatchlist, Watchlist } from '../src/watchlist.ts'
import { addOwners } from './owners.ts'
import { type Place, quickPlace } from './world.ts'

describe('a watch list', () => {
  test('has a name and a channel a line', () => {
    const secret = Buffer.alloc(32, 1).toString('base64')
    const text = [
      '# comment',
      '',
      'example.com mailto:ops@example.net',
      `  Example.ORG\thttps://hooks.example/x   HIGH secret=whsec_${secret}  # why`,
      'example.net hook:/etc/dslog/alert CRITICAL alone',
      '. stdout: INFO\r',
    ].join('\n')
    expect(
      parseWatchlist(text).map(({ name, ...rest }) => ({ name: nameToText(name), ...rest })),
    ).toEqual([
      {
        name: 'example.com.',
        target: { kind: 'email', target: 'ops@example.net' },
        level: 'NOTICE',
        subtree: true,
        secret: undefined,
      },
      {
        name: 'example.org.',
        target: { kind: 'webhook', target: 'https://hooks.example/x' },
        level: 'HIGH',
        subtree: true,
        secret: new Uint8Array(32).fill(1),
      },
      {
        name: 'example.net.',
        target: { kind: 'hook', target: '/etc/dslog/alert' },
        level: 'CRITICAL',
        subtree: false,
        secret: undefined,
      },
      {
        name: '.',
        target: { kind: 'stdout', target: '' },
        level: 'INFO',
        subtree: true,
        secret: undefined,
      },
    ])
    expect(parseWatchlist('')).toEqual([])
  })

  test.each([
    ['example.com', 'line 1: a name needs a channel'],
    ['\nexample..com stdout:', 'line 2'],
    ['example.com ops@example.net', 'is no mailto:'],
    ['example.com mailto:nobody', 'mail address'],
    ['example.com hook:alert', 'absolute path'],
    ['example.com stdout: LOUD', 'LOUD'],
    ['example.com stdout: secret=whsec_AAAA', '24 bytes'],
  ])('%j is none', (text, reason) => {
    expect(() => parseWatchlist(text)).toThrow(reason)
  })
})

describe('while the monitor runs', () => {
  let home: Place
  let folder: string
  let path: string
  let list: Watchlist
  beforeAll(async () => {
    home = await quickPlace()
    folder = await mkdtemp(join(tmpdir(), 'dslog-watchlist-'))
    path = join(folder, 'list')
  })
  beforeEach(() => {
    list = new Watchlist({
      path,
      db: home.db,
      clock: () => 1_000,
      logger: silent,
      poke: () => {},
    })
  })
  afterEach(async () => {
    await list.stop()
    await home.empty()
  })
  afterAll(async () => {
    await home.close()
    await rm(folder, { recursive: true })
  })

  const names = async (): Promise<string[]> => {
    const rows = await home.db.kysely
      .selectFrom('subscription')
      .select('name')
      .where('source', '=', 'watchlist')
      .orderBy('path')
      .execute()
    return rows.map(({ name }) => nameToText(name as Name))
  }

  test('a change is taken up, a mistake is not, and what was found stays', async () => {
    await addOwners(home.db, [{ id: 'one', name: 'example.fi.' }])
    await writeFile(path, 'a.example stdout:\nb.example stdout: HIGH\n')
    await list.start(() => {})
    expect(await names()).toEqual(['a.example.', 'b.example.'])
    const of = async () =>
      home.db.kysely.selectFrom('alert').select(['rule', 'subscription']).execute()
    const [alert] = await of()
    expect((await of()).map(({ rule }) => rule)).toEqual(['history', 'history'])

    await writeFile(path, 'a.example stdout:\nc.example stdout:\nd.example stdout: CRITICAL\n')
    await list.round()
    expect(await names()).toEqual(['a.example.', 'c.example.', 'd.example.'])
    expect((await of()).map(({ subscription }) => subscription)).toContain(alert!.subscription)

    await writeFile(path, 'a.example stdout:\nc..example stdout:\n')
    await list.round()
    expect(await names()).toEqual(['a.example.', 'c.example.', 'd.example.'])
    await rm(path)
    await list.round()
    expect(await names()).toEqual(['a.example.', 'c.example.', 'd.example.'])
    await writeFile(path, '# nothing any more\n')
    await list.round()
    expect(await names()).toEqual([])
    // Subscriptions of others are theirs.
    expect(await home.db.kysely.selectFrom('subscription').select('id').execute()).toEqual([
      { id: 'one' },
    ])
  })

  test('the monitor does not start with a list that it cannot read', async () => {
    await rm(path, { force: true })
    await expect(list.start(() => {})).rejects.toMatchObject({ code: 'watchlist' })
    await writeFile(path, 'nonsense')
    await expect(list.start(() => {})).rejects.toMatchObject({ code: 'watchlist' })
  })

  test('a thousand names and more are taken up at once, each with its channel', async () => {
    const lines = Array.from({ length: 2_500 }, (_, i) => `n${i}.example stdout: HIGH`)
    await writeFile(path, lines.join('\n'))
    await list.start(() => {})
    expect(await names()).toHaveLength(2_500)
    const [{ channels }] = (await home.db.kysely
      .selectFrom('channel')
      .select((eb) => eb.fn.countAll<number>().as('channels'))
      .execute()) as [{ channels: number }]
    expect(channels).toBe(2_500)
    expect(await home.db.kysely.selectFrom('alert').selectAll().execute()).toEqual([])
  })
})
