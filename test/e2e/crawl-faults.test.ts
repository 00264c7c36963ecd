/** Servers and registries that fail or lie: none of it gets into the log, and each shows in its metric. */
import { describe, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { DAY, HOUR, MINUTE } from '@dslog/schema/time'
import { type Authority, Internet } from '@dslog/testbed/internet'
import type { Fault, FaultOptions } from '@dslog/testbed/nameserver/fault'
import { DEFAULT_LIMITS } from '@dslog/crawler/pace'
import type { CrawlWorld } from '../crawl.ts'
import { crawls, ds, text } from './crawled.ts'

const open = crawls()

/** Does something to every server of a zone. */
function atServers(
  { servers }: CrawlWorld,
  { servers: own }: Authority,
  fault: Fault,
  options: FaultOptions = {},
): () => void {
  const healed = own.flatMap(({ addresses }) =>
    addresses.map((address) => servers!.at(address).inject(fault, options)),
  )
  return () => healed.forEach((heal) => heal())
}

/** A fault, and the reason that the metric of failures gives for it. */
const FAULTS: readonly (readonly [string, Fault, RegExp])[] = [
  ['servfail', 'servfail', /^servfail$/],
  ['refused', 'refused', /^refused$/],
  ['not-authoritative', 'not-authoritative', /^lame$/],
  ['upward-referral', 'upward-referral', /^lame$/],
  ['forged-signatures', 'forged-signatures', /^bad-signature$/],
  ['no-signatures', 'no-signatures', /^(no-signature|not-proven)$/],
  ['forged-ds', 'forged-ds', /^bad-signature$/],
  ['wrong-id', 'wrong-id', /^timeout$/],
  ['wrong-question', 'wrong-question', /^mismatch$/],
  ['garbage', 'garbage', /^(mismatch|malformed)$/],
  ['half', 'half', /^(timeout|malformed)$/],
  ['drop', 'drop', /^timeout$/],
  ['delay', { delay: 20_000 }, /^timeout$/],
  ['oversized', 'oversized', /^malformed$/],
]

/** What else is counted where a server answers what it was not asked. */
const UNWANTED: Readonly<Record<string, string>> = {
  'wrong-id': 'stray',
  'wrong-question': 'mismatched',
  garbage: 'mismatched',
  oversized: 'oversized',
}

describe('a fault of the servers of a registry', () => {
  test('gives no entry, is counted, and what was there is logged when it is over', async () => {
    const net = new Internet({ servers: 2 })
    const tld = net.addZone('test.')
    // For its DS each time: a referral has no AA to lack, and so is none of these faults.
    const own = await open({ net, random: () => 0.5 })
    // The registry is known, and so are its keys.
    tld.delegate(nameFromText('first.test.'), [ds(nameFromText('first.test.'), 1)])
    await own.ask('first.test.')
    const unwanted = (what: string): Promise<number> =>
      own.count('dslog_crawler_unwanted_replies_total', { what })
    for (const [label, fault, reason] of FAULTS) {
      const name = nameFromText(`${label}.test.`)
      tld.delegate(name, [ds(name, 1)])
      const failures = await own.counts('dslog_crawler_failures_total', 'reason')
      const what = UNWANTED[label]
      const before = what === undefined ? 0 : await unwanted(what)
      const heal = atServers(own, tld, fault)
      await own.ask(name)
      expect(await own.story(name), label).toEqual([])
      const [why] = (await own.reason(name))!.split(':')
      expect(why, label).toMatch(reason)
      const counted = await own.counts('dslog_crawler_failures_total', 'reason')
      expect(counted.get(why!), label).toBeGreaterThan(failures.get(why!) ?? 0)
      if (what !== undefined) expect(await unwanted(what), label).toBeGreaterThan(before)
      heal()
      // Whoever failed is left alone for a while.
      await own.again(30 * HOUR)
      expect(await own.story(name), label).toEqual([text(name, 1)])
    }
  }, 400_000)

  test('that takes nothing away from a signed answer costs no more than a connection', async () => {
    const net = new Internet({ servers: 1 })
    const tld = net.addZone('test.')
    const own = await open({ net })
    const tcp = (): Promise<number> =>
      own.count('dslog_crawler_questions_total', { transport: 'tcp', outcome: 'answered' })
    const oversized = (): Promise<number> =>
      own.count('dslog_crawler_unwanted_replies_total', { what: 'oversized' })
    for (const fault of [
      'oversized',
      'padded',
      'twice',
      'truncated',
      'wrong-case',
      'wrong-source',
    ] as const) {
      const name = nameFromText(`${fault}.test.`)
      tld.delegate(name, [ds(name, 1)])
      const before = await tcp()
      const isOversized = fault === 'oversized'
      const unwanted = await oversized()
      const heal = atServers(own, tld, fault, isOversized ? { transport: 'udp' } : {})
      await own.ask(name)
      expect(await own.story(name), fault).toEqual([text(name, 1)])
      if (fault !== 'twice') expect(await tcp(), fault).toBeGreaterThan(before)
      if (isOversized) expect(await oversized()).toBeGreaterThan(unwanted)
      heal()
    }
    expect(await own.count('dslog_crawler_failures_total')).toBe(0)
  }, 200_000)

  test.each([
    ['bad NSEC3 signatures', 'bad-denial', 'bad-signature'],
    ['no NSEC3 at all', 'no-denial', 'not-proven'],
  ] as const)(
    'that is %s for hours, across all names, removes nobody',
    async (_what, fault, reason) => {
      const net = new Internet({ servers: 2 })
      const tld = net.addZone('test.', { denial: { nsec3: {} } })
      const names = Array.from({ length: 20 }, (_, i) => nameFromText(`n${i}.test.`))
      for (const name of names) tld.delegate(name, [ds(name, 1)])
      const own = await open({ net })
      await own.ask(...names)
      const size = own.log.reader.tree.size
      for (const name of names) tld.delegate(name)
      const heal = atServers(own, tld, fault)
      await own.again()
      await own.again()
      expect(own.log.reader.tree.size).toBe(size)
      const failed = await own.count('dslog_crawler_failures_total', { reason })
      expect(failed).toBeGreaterThanOrEqual(40)
      expect(await own.reason(names[0]!)).toMatch(new RegExp(`^${reason}: `))
      // The name is asked again in minutes, and then less often.
      const { due, failures } = await own.task(names[0]!)
      expect(failures).toBe(2)
      expect(due - net.clock.now()).toBeGreaterThanOrEqual(10 * MINUTE)
      expect(due - net.clock.now()).toBeLessThan(HOUR)
      heal()
      await own.again(2 * HOUR)
      for (const name of names) expect(await own.story(name)).toEqual([text(name, 1), '-'])
    },
  )

  test('that buries what shows a removal under other records hides nothing', async () => {
    const net = new Internet({ servers: 1 })
    const tld = net.addZone('test.', { denial: { nsec3: {} } })
    const name = nameFromText('buried.test.')
    tld.delegate(name, [ds(name, 1)])
    const own = await open({ net })
    await own.ask(name)
    tld.delegate(name)
    atServers(own, tld, 'padded-denial')
    await own.again()
    expect(await own.story(name)).toEqual([text(name, 1), '-'])
    expect(await own.count('dslog_crawler_failures_total')).toBe(0)
  })
})

describe('a registry', () => {
  test('that dates a signature back is seen: the state is logged, out of order', async () => {
    const net = new Internet({ servers: 1 })
    const tld = net.addZone('test.')
    const name = nameFromText('victim.test.')
    tld.delegate(name, [ds(name, 1)])
    const own = await open({ net })
    await own.ask(name)
    net.clock.advance(HOUR)
    tld.delegate(name, [ds(name, 666)])
    const { expiration, inception } = tld.window()
    const window = { inception: inception - (3 * DAY) / 1000, expiration }
    tld.makeOdd(name, TYPE.DS, { window })
    await own.again()
    expect(await own.story(name)).toEqual([text(name, 1), `${text(name, 666)} late`])
    const late = await own.count('dslog_crawler_submitted_total', { status: 'out-of-order' })
    expect(late).toBe(1)
    // What the log has answered for is not handed in again.
    const before = await own.count('dslog_crawler_submitted_total')
    await own.again(MINUTE)
    expect(await own.count('dslog_crawler_submitted_total')).toBe(before)
    expect(await own.story(name)).toHaveLength(2)
  })

  test('that signs more than the log takes keeps nothing else out of it', async () => {
    const net = new Internet({ servers: 1 })
    const tld = net.addZone('test.')
    const [most, more, other] = ['most', 'more', 'other'].map((label) => `${label}.test.`) as [
      string,
      string,
      string,
    ]
    const sets: readonly (readonly [string, number])[] = [
      [most, 400],
      [more, 600],
      [other, 1],
    ]
    for (const [name, count] of sets) {
      const records = Array.from({ length: count }, (_, i) => ds(name, i + 1))
      tld.delegate(nameFromText(name), records)
    }
    const own = await open({ net })
    await own.ask(most, more, other)
    const [all, ...none] = await own.story(most)
    expect([all!.split(',').length, none]).toEqual([400, []])
    expect(await own.story(more)).toEqual([])
    expect(await own.story(other)).toEqual([text(other)])
    const refused = (): Promise<number> =>
      own.count('dslog_crawler_submitted_total', { status: 'refused: malformed' })
    expect(await refused()).toBe(1)
    // Once for each signature, not at every question.
    await own.again()
    await own.again()
    expect(await refused()).toBe(1)
    tld.sign()
    await own.again()
    expect(await refused()).toBe(2)
    expect(await own.count('dslog_crawler_failures_total')).toBe(0)
  })

  test('one of whose servers is stale shows an old state: it is no entry, and places differ', async () => {
    const net = new Internet({ servers: 2 })
    const tld = net.addZone('test.')
    const name = nameFromText('a.test.')
    tld.delegate(name, [ds(name, 1)])
    const own = await open({ net })
    await own.ask(name)
    const before = tld.snapshot()
    tld.delegate(name, [ds(name, 2)])
    await own.again(HOUR)
    const [first] = tld.servers.flatMap(({ addresses }) => addresses)
    own.servers!.at(first!).serve(before)
    for (let i = 0; i < 8; i++) await own.again(HOUR / 4)
    expect(await own.story(name)).toEqual([text(name, 1), text(name, 2)])
    expect(await own.count('dslog_crawler_submitted_total', { status: 'stale' })).toBe(1)
    expect(await own.count('dslog_crawler_disagreements_total')).toBeGreaterThan(0)
    const { views } = await own.crawler.context.views.after(0, 100)
    const states = views.filter(({ name }) => name === 'a.test.').map(({ state_id }) => state_id)
    expect(new Set(states).size).toBe(2)
  })
})

describe('politeness', () => {
  test('a server is asked ten questions a second after a burst, whatever is due', async () => {
    const net = new Internet({ servers: 1 })
    const tld = net.addZone('test.')
    const names = Array.from({ length: 70 }, (_, i) => nameFromText(`n${i}.test.`))
    for (const name of names) tld.delegate(name, [ds(name, 1)])
    const start = Date.now()
    net.clock.set(start)
    const ticking = setInterval(() => net.clock.set(Date.now()), 5)
    try {
      const own = await open({ net, limits: DEFAULT_LIMITS })
      const [address] = tld.servers.flatMap(({ addresses }) => addresses)
      const server = own.servers!.at(address!)
      await own.ask(...names)
      const times = server.questions.map(({ at }) => at).sort((a, b) => a - b)
      expect(times.length).toBeGreaterThanOrEqual(70)
      const most = Math.max(
        ...times.map((from) => times.filter((at) => at >= from && at < from + 1000).length),
      )
      // A burst of twenty, and what comes in at ten a second meanwhile.
      expect(most).toBeLessThanOrEqual(31)
      const took = times.at(-1)! - times[0]!
      expect(took).toBeGreaterThanOrEqual(((times.length - 20) / 10) * 1000 - 200)
      for (const name of names) expect(await own.story(name)).toHaveLength(1)
    } finally {
      clearInterval(ticking)
    }
  })

  test('a server whose datagrams do not do is asked half as often, and more with each clean minute', async () => {
    const net = new Internet({ servers: 1 })
    const tld = net.addZone('test.')
    const names = Array.from({ length: 40 }, (_, i) => nameFromText(`n${i}.test.`))
    for (const name of names) tld.delegate(name, [ds(name, 1)])
    const own = await open({ net })
    const slowed = async (): Promise<number> => own.count('dslog_crawler_slowed_servers')
    await own.ask(names[0]!)
    expect(await slowed()).toBe(0)
    const heal = atServers(own, tld, 'truncated')
    await own.ask(...names)
    // All came by TCP, and none was lost.
    for (const name of names) expect(await own.story(name)).toEqual([text(name, 1)])
    expect(await slowed()).toBe(1)
    heal()
    await own.again(MINUTE)
    expect(await slowed()).toBe(1)
  })

  test('a server that refuses is left alone, and a zone that opted out is never asked', async () => {
    const net = new Internet({ servers: 1 })
    const tld = net.addZone('test.')
    const out = net.addZone('out.')
    const names = Array.from({ length: 10 }, (_, i) => nameFromText(`n${i}.test.`))
    for (const name of names) tld.delegate(name, [ds(name, 1)])
    out.delegate(nameFromText('a.out.'), [ds(nameFromText('a.out.'), 1)])
    const own = await open({ net, env: { DSLOG_CRAWLER_OPT_OUT: 'out' } })
    const serverOf = (zone: Authority) => own.servers!.at(zone.servers[0]!.addresses[0]!)
    await own.ask(names[0]!)
    serverOf(tld).inject('refused')
    await own.again()
    serverOf(tld).forget()
    await own.ask(...names, 'a.out.')
    expect(serverOf(tld).asked).toBe(0)
    expect(await own.reason(names[5]!)).toBe('servers-blocked')
    expect(serverOf(out).asked).toBe(0)
    expect(await own.reason('a.out.')).toBe('opted-out')
  })
})

test('addresses that are nobody’s business are not asked, whatever the DNS says', async () => {
  const net = new Internet({ servers: 1 })
  const tld = net.addZone('test.', { servers: [['127.0.0.1']] })
  tld.delegate(nameFromText('a.test.'), [ds(nameFromText('a.test.'), 1)])
  const roots = net.root.servers.flatMap(({ addresses }) => addresses)
  const own = await open({ net, env: { DSLOG_CRAWLER_ALLOW: roots.join() } })
  await own.ask('a.test.')
  expect(await own.story('a.test.')).toEqual([])
  expect(await own.reason('a.test.')).toMatch(/^unreachable/)
  expect(own.servers!.at('127.0.0.1').asked).toBe(0)
})
