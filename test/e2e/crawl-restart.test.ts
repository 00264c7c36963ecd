/** A crawler that stops as it should, and another that goes on: nothing is lost, and nothing asked for nothing. */
import { expect, test } from 'vitest'
import { type Name, nameFromText, nameKey, parentOf } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { Internet } from '@dslog/testbed/internet'
import type { NameServer } from '@dslog/testbed/nameserver/server'
import { TaskKind } from '@dslog/crawler/schedule'
import type { CrawlWorld } from '../crawl.ts'
import { crawls, ds, text } from './crawled.ts'

/** Names that are asked for before, and those that are under way when the crawler stops. */
const BEFORE = 200
const NAMES = 800
/** Of both, those that have a DS. */
const SIGNED = names(40).concat(names(BEFORE + 40, BEFORE))

const openWorld = crawls()

function names(to: number, from = 0): Name[] {
  return Array.from({ length: to - from }, (_, i) => nameFromText(`n${from + i}.test.`))
}

/** A registry of one server, and whom it serves. */
async function open(): Promise<{ own: CrawlWorld; server: NameServer }> {
  const net = new Internet({ servers: 1 })
  const tld = net.addZone('test.')
  for (const name of SIGNED) tld.delegate(name, [ds(name)])
  const own = await openWorld({ net })
  return { own, server: own.servers!.of(tld)[0]! }
}

const isAsked = new Set(names(NAMES).map(nameKey))

/** How often each name was asked for, by its key: its DS, or an address below it. */
function asked({ questions }: NameServer): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { name, type } of questions) {
    if (type !== TYPE.DS && type !== TYPE.A) continue
    const key = nameKey(type === TYPE.DS ? name : parentOf(name))
    if (!isAsked.has(key)) continue
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

/** Names that were seen, by what the queue says. */
async function seen({ crawler }: CrawlWorld): Promise<Set<string>> {
  const rows = await crawler.db.kysely
    .selectFrom('task')
    .select('name')
    .where('kind', '=', TaskKind.poll)
    .where('seen_at', 'is not', null)
    .execute()
  return new Set(rows.map(({ name }) => nameKey(name as Name)))
}

test('what was under way is asked again, what was answered is not', async () => {
  const { own, server } = await open()
  await own.ask(...names(BEFORE))
  // Long enough for many to be under way when the crawler is told to stop.
  const heal = server.inject({ delay: 1_500 })
  server.forget()
  const asking = own.ask(...names(NAMES, BEFORE)).catch(() => {})
  await expect.poll(() => server.asked, { interval: 5 }).toBeGreaterThan(100)
  await own.restart()
  await asking
  const answered = await seen(own)
  expect(answered.size).toBeGreaterThanOrEqual(BEFORE)
  expect(answered.size).toBeLessThan(NAMES)
  heal()
  server.forget()
  await own.settle()
  const counts = asked(server)
  for (const key of answered) expect(counts.has(key)).toBe(false)
  // Each of the others once, but for what was lost on the way.
  const again = [...counts.values()].reduce((sum, count) => sum + count - 1, 0)
  const lost = await own.count('dslog_crawler_questions_total', { outcome: 'timeout' })
  expect(again).toBeLessThanOrEqual(lost)
  expect((await seen(own)).size).toBe(NAMES)
  for (const name of SIGNED) expect(await own.story(name)).toEqual([text(name)])
})

test('nobody is asked anything by a start alone', async () => {
  const { own, server } = await open()
  await own.ask(...names(BEFORE))
  const { size } = own.log.reader.tree
  server.forget()
  await own.restart()
  await own.settle()
  expect(server.asked).toBe(0)
  expect(own.log.reader.tree.size).toBe(size)
})
