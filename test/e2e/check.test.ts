/** `dslog check` and `dslog submit`, over the name servers of a small internet; no resolver answers. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { nameFromText, nameToText } from '@dslog/dnssec/name'
import { rdataToText, typeToText } from '@dslog/dnssec/rdata'
import { TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { startUnbound } from '@dslog/testbed/unbound'
import { CrawlWorld } from '../crawl.ts'
import { dnsEnv } from '../dnsenv.ts'
import { Places } from '../place.ts'
import { ds, text } from './crawled.ts'
import { dslog } from './dslog.ts'

const NAME = nameFromText('a.test.')
const OTHER = nameFromText('b.test.')
/** Nobody is there. */
const RESOLVER = '127.0.0.1#1'

let places: Places
let world: CrawlWorld
const net = new Internet({ clock: new TestClock(Date.now()), servers: 2 })
const tld = net.addZone('test.')
tld.delegate(NAME, [ds(NAME)])
tld.delegate(OTHER, [ds(OTHER)])

beforeAll(async () => {
  places = await Places.open(['postgres'])
  const place = await places.make(places.kinds[1] ?? 'embedded', net.anchors)
  world = await CrawlWorld.open({ net, place })
})
afterAll(async () => {
  await world.close()
  await places.close()
})

async function call(...args: string[]) {
  const roots = net.root.servers.flatMap(({ addresses }) => addresses)
  const env = {
    ...dnsEnv(roots, world.servers!.port),
    DSLOG_ANCHORS: join(world.place.data, 'anchors'),
  }
  return dslog([...args, '--log', world.url], { env })
}

describe('dslog check', () => {
  test('shows what each place has, and hands the log what it lacks', async () => {
    const first = await call('check', '--resolver', RESOLVER, 'a.test')
    expect(first, first.stdout + first.stderr).toMatchObject({ code: 0 })
    expect(first.stdout).toContain(text(NAME))
    expect(first.stdout).toMatch(/the log: nothing.*--submit/)
    expect(first.stdout).toMatch(/ECDSA P-256, SHA-256/)
    expect(first.stdout).toMatch(/resolver 127\.0\.0\.1: (network|timeout)/)
    expect(await world.story(NAME)).toEqual([])

    const sent = await call('check', '--resolver', RESOLVER, '--submit', 'a.test')
    expect(sent).toMatchObject({ code: 0 })
    expect(await world.story(NAME)).toEqual([text(NAME)])
    const again = await call('check', '--json', '--resolver', RESOLVER, '--submit', 'a.test')
    expect(again.events).toContainEqual(expect.objectContaining({ event: 'log', same: true }))
    expect(again.events.filter(({ event }) => event === 'submitted')).toEqual([])
  })

  test('shows what a resolver has, and what one hides that answers for itself', async () => {
    const upstream = world.servers!.port
    // As it comes from the system, Unbound denies that there is such a zone (RFC 6761).
    for (const settings of [[], ['local-zone: "test." static']]) {
      const unbound = await startUnbound(net, { upstream, settings })
      if (unbound === undefined) return
      try {
        const { address, port } = unbound
        const called = await call('check', '--json', '--resolver', `${address}#${port}`, 'a.test')
        const view = called.events.find(({ place }) => place === `resolver ${address}`)
        if (settings.length === 0) {
          expect(called, called.stdout + called.stderr).toMatchObject({ code: 0 })
          expect(view).toMatchObject({ zone: 'test.', ds: [text(NAME)] })
        } else {
          expect(called.code).toBe(1)
          expect(view).toMatchObject({ error: 'unverifiable' })
        }
      } finally {
        await unbound.stop()
      }
    }
  })

  test('fails where servers show different things', async () => {
    const fork = tld.fork()
    fork.delegate(NAME, [ds(NAME, 666)])
    const [address] = tld.servers.flatMap(({ addresses }) => addresses)
    const server = world.servers!.at(address!)
    server.serve(fork)
    try {
      const called = await call('check', '--resolver', RESOLVER, 'a.test')
      expect(called.code).toBe(1)
      expect(called.stderr).toMatch(/not all places show the same/)
      expect(called.stdout).toContain(text(NAME, 666))
    } finally {
      server.heal()
    }
  })

  test.each([
    [['check', '.'], /the root is not delegated/],
    [['check', 'a..b'], /not a domain name/],
    [['check', '--resolver', 'nowhere', 'a.test'], /not an address of a resolver/],
  ])('refuses %j', async (args, words) => {
    const called = await call(...args)
    expect(called).toMatchObject({ code: 2, stdout: '' })
    expect(called.stderr).toMatch(words)
  })
})

test('dslog submit takes what dig prints, sends what is new, and refuses forgeries', async () => {
  const lines = net.evidence(OTHER).map(({ owner, rdata, ttl, type }) => {
    return `${nameToText(owner)} ${ttl} IN ${typeToText(type)} ${rdataToText(type, rdata)}\n`
  })
  const file = join(world.place.data, 'dig.txt')
  await writeFile(file, `; <<>> DiG <<>> DS b.test\n${lines.join('')}`)
  const sent = await call('submit', file)
  expect(sent).toMatchObject({ code: 0, stderr: '' })
  expect(await world.story(OTHER)).toEqual([text(OTHER)])
  const again = await call('submit', '--json', file)
  expect(again.events.filter(({ event }) => event === 'submitted')).toEqual([])

  const forged = lines.join('').replaceAll(text(OTHER), text(OTHER, 666))
  await writeFile(file, forged)
  const refused = await call('submit', file)
  expect(refused.code).toBe(1)
  expect(refused.stdout).toMatch(/b\.test\.: refused, bogus/)
  expect(await world.story(OTHER)).toHaveLength(1)
  await writeFile(file, 'no records\n')
  expect((await call('submit', file)).code).toBe(2)
})
