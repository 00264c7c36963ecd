/** The crawler from several places: a resolver by HTTPS and a proxy show what they see, honest or not. */
import { afterEach, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { startUnbound } from '@dslog/testbed/unbound'
import { type DohHandler, dohFront, startDoh, startSocks } from '@dslog/testbed/vantage'
import type { CrawlWorld } from '../crawl.ts'
import { crawls, ds, text } from './crawled.ts'

const NAME = nameFromText('a.test.')
const TOKEN = 'who may watch'

/** What a test has started, ended in the other order. */
const started: (() => unknown)[] = []
afterEach(async () => {
  for (const end of started.splice(0).reverse()) await end()
})
const openWorld = crawls()

/** A root and a registry, each with a server of its own. */
function internet(): Internet {
  const net = new Internet({ servers: 1 })
  net.addZone('test.').delegate(NAME, [ds(NAME)])
  return net
}

/** All zones at one address, under the keys of `internet`, but with another DS: what a victim is shown. */
function elsewhere({ clock }: Internet): Internet {
  const net = new Internet({ clock })
  net.addZone('test.').delegate(NAME, [ds(NAME, 666)])
  return net
}

async function serve(net: Internet): Promise<NameServers> {
  const servers = await NameServers.start(net)
  started.push(() => servers.stop())
  return servers
}

async function open(net: Internet, handle: DohHandler, proxyPort: number) {
  const doh = await startDoh(handle)
  started.push(() => doh.close())
  const env = {
    DSLOG_CRAWLER_RESOLVERS: doh.url,
    DSLOG_CRAWLER_PROXIES: `127.0.0.1:${proxyPort}`,
    DSLOG_CRAWLER_TOKEN: TOKEN,
  }
  const world = await openWorld({ net, env })
  return { doh, world }
}

/** Has a name watched: each first sighting is followed by looks from all places. */
async function watch({ crawlerUrl }: CrawlWorld): Promise<void> {
  const answer = await fetch(`${crawlerUrl}/v1/watch`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ names: ['a.test'] }),
  })
  expect(answer.status).toBe(200)
}

interface Seen {
  readonly name: string
  readonly vantage: string
  readonly transport: string
  readonly state_id: string
}

async function views({ crawlerUrl }: CrawlWorld): Promise<Seen[]> {
  const answer = await fetch(`${crawlerUrl}/v1/views`)
  const { views } = (await answer.json()) as { views: Seen[] }
  return views.filter(({ name }) => name === 'a.test.')
}

test('each place shows the same, and how it came by it', async () => {
  const net = internet()
  const servers = await serve(net)
  const unbound = await startUnbound(net, { upstream: servers.port })
  if (unbound === undefined) return
  started.push(() => unbound.stop())
  const proxy = await startSocks()
  started.push(() => proxy.close())
  const { doh, world } = await open(net, dohFront(unbound), proxy.port)
  await watch(world)
  await world.settle()
  net.clock.advance(HOUR)
  await world.settle()
  const seen = await views(world)
  const ways = Object.fromEntries(seen.map(({ transport, vantage }) => [vantage, transport]))
  expect(ways).toMatchObject({
    direct: expect.stringMatching(/^(udp|tcp)$/),
    [`resolver ${new URL(doh.url).host}`]: 'https',
    [`proxy 127.0.0.1:${proxy.port}`]: 'socks5',
  })
  expect(new Set(seen.map(({ state_id }) => state_id)).size).toBe(1)
  // A circuit of its own for each question.
  expect(new Set(proxy.users).size).toBe(proxy.users.length)
  expect(await world.story(NAME)).toEqual([text(NAME)])
  expect(await world.count('dslog_crawler_disagreements_total')).toBe(0)
  for (const transport of ['udp', 'https', 'socks5']) {
    const answered = { transport, outcome: 'answered' }
    const questions = await world.count('dslog_crawler_questions_total', answered)
    expect(questions, transport).toBeGreaterThan(0)
  }
})

test('what one resolver alone is shown is logged, if it is signed, and marked', async () => {
  const net = internet()
  await serve(net)
  const victim = await serve(elsewhere(net))
  const [address] = victim.all.map((server) => server.address)
  const proxy = await startSocks()
  started.push(() => proxy.close())
  const { world } = await open(net, dohFront({ address: address!, port: victim.port }), proxy.port)
  await watch(world)
  await world.settle()
  net.clock.advance(HOUR)
  await world.settle()
  expect((await world.story(NAME)).toSorted()).toEqual([text(NAME), text(NAME, 666)].toSorted())
  expect(await world.count('dslog_crawler_disagreements_total')).toBeGreaterThan(0)
  const states = new Map((await views(world)).map((seen) => [seen.vantage, seen.state_id]))
  expect(new Set(states.values()).size).toBe(2)
})

test('places that lie or fail hide nothing, and add nothing', async () => {
  const net = internet()
  const liar = await serve(elsewhere(net))
  for (const server of liar.all) server.inject('forged-signatures')
  const [address] = liar.all.map((server) => server.address)
  const proxy = await startSocks('refuse')
  started.push(() => proxy.close())
  const { doh, world } = await open(
    net,
    dohFront({ address: address!, port: liar.port }),
    proxy.port,
  )
  await watch(world)
  await world.settle()
  net.clock.advance(HOUR)
  await world.settle()
  expect(doh.asked).toBeGreaterThan(0)
  expect(await world.story(NAME)).toEqual([text(NAME)])
  expect((await views(world)).map(({ vantage }) => vantage)).toEqual(['direct'])
  expect(
    await world.count('dslog_crawler_questions_total', { outcome: 'network' }),
  ).toBeGreaterThan(0)
})
