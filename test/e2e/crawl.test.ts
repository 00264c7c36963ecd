/** From a registry's name servers to the log: what happens to delegations, asked for by query. */
import { describe, expect, test } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { HOUR } from '@dslog/schema/time'
import { Internet, type ZoneOptions } from '@dslog/testbed/internet'
import { Source, TaskKind, Tier } from '@dslog/crawler/schedule'
import type { CrawlWorld } from '../crawl.ts'
import { crawls, ds, text } from './crawled.ts'
import { expectSound } from './sound.ts'

const open = crawls()

const DENIALS: readonly [string, ZoneOptions][] = [
  ['NSEC', { denial: 'nsec' }],
  ['NSEC3', { denial: { nsec3: {} } }],
  ['NSEC3 with opt-out', { denial: { nsec3: { optOut: true } } }],
]

describe.each(DENIALS)('a registry that denies by %s', (_what, options) => {
  test('each change of a delegation is one entry, and the right one', async () => {
    const net = new Internet({ servers: 2 })
    const tld = net.addZone('test.', options)
    const names = ['stays', 'swapped', 'insecure', 'gone', 'two'].map((label) => `${label}.test.`)
    for (const name of names) tld.delegate(nameFromText(name), [ds(name, 1)])
    tld.delegate(nameFromText('never.test.'))
    const own = await open({ net })
    await own.ask(...names, 'never.test.', 'absent.test.')
    for (const name of names) {
      expect(await own.story(name), (await own.reason(name)) ?? '').toEqual([text(name, 1)])
    }

    tld.delegate(nameFromText('swapped.test.'), [ds('swapped.test.', 2)])
    tld.delegate(nameFromText('insecure.test.'))
    tld.undelegate(nameFromText('gone.test.'))
    const both = [ds('two.test.', 1), ds('two.test.', 2)]
    tld.delegate(nameFromText('two.test.'), both)
    await own.again()
    await own.again()

    expect(await own.story('stays.test.')).toEqual([text('stays.test.', 1)])
    expect(await own.story('swapped.test.')).toEqual([
      text('swapped.test.', 1),
      text('swapped.test.', 2),
    ])
    expect(await own.story('insecure.test.')).toEqual([text('insecure.test.', 1), '-'])
    expect(await own.story('gone.test.')).toEqual([text('gone.test.', 1), '-'])
    const [before, after] = await own.story('two.test.')
    expect(before).toBe(text('two.test.', 1))
    expect(after!.split(',').sort()).toEqual(both.map(dsToText).sort())
    expect(await own.story('never.test.')).toEqual([])
    expect(await own.story('absent.test.')).toEqual([])
    await expectSound(own)
  })
})

test('keys of the parent that roll, and another algorithm, change no delegation', async () => {
  const net = new Internet({ servers: 2 })
  const tld = net.addZone('test.')
  tld.delegate(nameFromText('a.test.'), [ds('a.test.', 1)])
  tld.delegate(nameFromText('b.test.'), [ds('b.test.', 1)])
  const own = await open({ net })
  await own.ask('a.test.', 'b.test.')

  net.rekey(tld, 2, ALGORITHM.ECDSAP256SHA256)
  await own.again()
  tld.delegate(nameFromText('a.test.'), [ds('a.test.', 2)])
  await own.again(2 * HOUR)
  net.rekey(tld, 3, ALGORITHM.ED25519)
  await own.again(2 * HOUR)
  tld.delegate(nameFromText('b.test.'))
  await own.again(2 * HOUR)

  expect(await own.story('a.test.')).toEqual([text('a.test.', 1), text('a.test.', 2)])
  expect(await own.story('b.test.')).toEqual([text('b.test.', 1), '-'])
  await expectSound(own)
})

test('the keys of the root and of parents are watched, every hour', async () => {
  const net = new Internet({ servers: 1 })
  const tld = net.addZone('test.')
  tld.delegate(nameFromText('a.test.'), [ds('a.test.', 1)])
  const own = await open({ net })
  await own.ask('a.test.')
  const keys = () => own.log.reader.tree.size
  const before = keys()
  net.rekey(tld, 2, ALGORITHM.ECDSAP256SHA256)
  // Nobody asks for a name: the keys alone are due.
  net.clock.advance(HOUR)
  await own.settle()
  await expect.poll(keys).toBeGreaterThan(before)
  await expectSound(own)
})

test('a name below another that is delegated meanwhile has another parent', async () => {
  const net = new Internet({ servers: 1 })
  const tld = net.addZone('test.')
  tld.delegate(nameFromText('a.test.'), [ds('a.test.', 1)])
  const own = await open({ net })
  await own.ask('www.a.test.', 'a.test.')
  expect(await own.story('www.a.test.')).toEqual([])
  expect(await own.story('a.test.')).toEqual([text('a.test.', 1)])
})

describe('a zone whose signatures the log does not take', () => {
  const HOST = 'www.host.test.'

  /** A registry, and a signed zone below that delegates a name of its own. */
  function hosted(): Internet {
    const net = new Internet({ servers: 1 })
    net.addZone('test.')
    net.addZone('host.test.').delegate(nameFromText(HOST), [ds(HOST)])
    return net
  }
  const tasks = async ({ crawler }: CrawlWorld, kind: number): Promise<string[]> => {
    const rows = await crawler.db.kysely
      .selectFrom('task')
      .select(['name', 'tier'])
      .where('kind', '=', kind)
      .execute()
    return rows.map(({ name, tier }) => `${nameToText(name as Name)} ${tier}`).sort()
  }

  test('is asked when a file names a host in it, and its keys are not watched', async () => {
    const net = hosted()
    const own = await open({ net })
    await own.ask(HOST, 'host.test.')
    const refused = { status: 'refused: zone-not-admitted' }
    expect(await own.count('dslog_crawler_submitted_total', refused)).toBe(1)
    expect(await own.story(HOST)).toEqual([])
    expect(await own.story('host.test.')).toHaveLength(1)
    // Of the root and of what is directly below it, and no others.
    expect(await tasks(own, TaskKind.keys)).toEqual([`. ${Tier.keys}`, `test. ${Tier.keys}`])
    // Once a week, as a name that is not signed: the log records nothing of it.
    expect(await tasks(own, TaskKind.poll)).toEqual([
      `host.test. ${Tier.signed}`,
      `${HOST} ${Tier.other}`,
    ])
    // For the same signature nobody asks the log again.
    await own.again(HOUR)
    expect(await own.count('dslog_crawler_submitted_total', refused)).toBe(1)
  })

  test('whose keys were watched is watched no more once the log has said so', async () => {
    const net = hosted()
    const own = await open({ net })
    const due = net.clock.now()
    const task = { kind: TaskKind.keys, tier: Tier.keys, due, source: Source.zone }
    await own.crawler.frontier.add([{ name: nameFromText('host.test.'), ...task }])
    await own.ask('host.test.')
    expect(await tasks(own, TaskKind.keys)).toEqual([`. ${Tier.keys}`, `test. ${Tier.keys}`])
  })

  test('whose operator has it admitted is watched, up to the root', async () => {
    const net = hosted()
    const own = await open({ net, logEnv: { DSLOG_LOG_ZONES: 'host.test' } })
    await own.ask(HOST)
    expect(await own.story(HOST)).toEqual([text(HOST)])
    await own.settle()
    const all = ['.', 'host.test.', 'test.'].map((zone) => `${zone} ${Tier.keys}`)
    expect(await tasks(own, TaskKind.keys)).toEqual(all)
  })
})
