/** The crawler and other people's name servers: NSD and Knot, by query and by transfer. */
import { afterEach, describe, expect, test } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import { HOUR } from '@dslog/schema/time'
import { Internet } from '@dslog/testbed/internet'
import { type RealServers, startAll, startKnot, startNsd } from '@dslog/testbed/realserver'
import { crawls, ds, text } from './crawled.ts'
import { expectSound } from './sound.ts'

let servers: RealServers | undefined
afterEach(async () => {
  await servers?.stop()
  servers = undefined
})
const open = crawls()

const all = (labels: readonly string[]) => labels.map((label) => nameFromText(`${label}.test.`))

describe.each([
  ['NSD', startNsd],
  ['Knot', startKnot],
])('on %s', (_server, start) => {
  test.each([
    ['udp', 'nsec'],
    ['tcp', 'nsec'],
    ['udp', { nsec3: { optOut: true } }],
    ['tcp', { nsec3: { optOut: true } }],
  ] as const)(
    'each change of a delegation is one entry, by query over %s (denied by %j)',
    async (transport, denial) => {
      const net = new Internet({ servers: 1 })
      const tld = net.addZone('test.', { denial })
      const names = all(['stays', 'swapped', 'insecure', 'gone'])
      const [stays, swapped, insecure, gone] = names as [Name, Name, Name, Name]
      for (const name of names) tld.delegate(name, [ds(name, 1)])
      servers = await startAll(start, net)
      if (servers === undefined) return
      // What is left to chance, whether a datagram is sent among it, comes out as is wanted here.
      const random = (): number => (transport === 'tcp' ? 0 : 0.5)
      const world = await open({ net, dns: servers, random })
      await world.ask(...names)
      for (const name of names) expect(await world.story(name)).toEqual([text(name, 1)])

      net.clock.advance(HOUR)
      tld.delegate(swapped, [ds(swapped, 2)])
      tld.delegate(insecure)
      tld.undelegate(gone)
      await servers.reload()
      await world.again(0)
      await world.again()
      expect(await world.story(stays)).toEqual([text(stays, 1)])
      expect(await world.story(swapped)).toEqual([text(swapped, 1), text(swapped, 2)])
      expect(await world.story(insecure)).toEqual([text(insecure, 1), '-'])
      expect(await world.story(gone)).toEqual([text(gone, 1), '-'])
      const byTcp = await world.count('dslog_crawler_questions_total', { transport: 'tcp' })
      // Each name was asked for three times.
      if (transport === 'tcp') expect(byTcp).toBeGreaterThanOrEqual(3 * names.length)
      else expect(byTcp).toBe(0)
      await expectSound(world)
    },
  )

  test('keys roll, the algorithm changes, and what fits no datagram comes by TCP', async () => {
    const net = new Internet({ servers: 1 })
    const algorithm = ALGORITHM.RSASHA256
    const tld = net.addZone('test.', { algorithm, denial: { nsec3: {} } })
    const names = all(['stays', 'swapped', 'insecure', 'gone'])
    const [stays, swapped, insecure, gone] = names as [Name, Name, Name, Name]
    for (const name of names) tld.delegate(name, [ds(name, 1)])
    // Some 1,500 bytes.
    const large = nameFromText('large.test.')
    const many = Array.from({ length: 30 }, (_, i) => ds(large, i + 1))
    tld.delegate(large, many)
    servers = await startAll(start, net)
    if (servers === undefined) return
    const { reload } = servers
    const own = await open({ net, dns: servers })
    await own.ask(...names, large)
    const byTcp = { transport: 'tcp', outcome: 'answered' }
    expect(await own.count('dslog_crawler_questions_total', byTcp)).toBeGreaterThan(0)
    const later = async (change: () => void): Promise<void> => {
      net.clock.advance(2 * HOUR)
      change()
      await reload()
      await own.again(0)
      await own.again()
    }
    await later(() => tld.undelegate(gone))
    await later(() => net.rekey(tld, 2, algorithm))
    await later(() => tld.delegate(swapped, [ds(swapped, 2)]))
    await later(() => net.rekey(tld, 3, ALGORITHM.ED25519))
    await later(() => tld.delegate(insecure))
    expect(await own.story(stays)).toEqual([text(stays, 1)])
    const [whole, ...more] = await own.story(large)
    expect(more).toEqual([])
    expect(whole!.split(',').sort()).toEqual(many.map(dsToText).sort())
    expect(await own.story(swapped)).toEqual([text(swapped, 1), text(swapped, 2)])
    for (const name of [insecure, gone]) {
      expect(await own.story(name)).toEqual([text(name, 1), '-'])
    }
    await expectSound(own)
  })

  test('a zone by transfer: nothing is asked for its names', async () => {
    const net = new Internet({ servers: 1 })
    const names = Array.from({ length: 40 }, (_, i) => nameFromText(`n${i}.`))
    for (const name of names) net.root.delegate(name, [ds(name, 1)])
    servers = await startAll(start, net)
    if (servers === undefined) return
    const [address] = net.root.servers.flatMap(({ addresses }) => addresses)
    const env = {
      DSLOG_CRAWLER_TRANSFERS: `.@${address}:${servers.port}`,
      DSLOG_CRAWLER_TRANSFER_INTERVAL: '1s',
    }
    const own = await open({ net, dns: servers, env })
    const stories = async () => (await Promise.all(names.map((name) => own.story(name)))).flat()
    await expect.poll(stories).toHaveLength(40)
    expect(await own.count('dslog_crawler_seen_total')).toBe(0)

    net.clock.advance(HOUR)
    net.root.delegate(names[0]!, [ds(names[0]!, 2)])
    net.root.undelegate(names[1]!)
    await servers.reload()
    // Whoever looked before the servers had it looks again.
    net.clock.advance(1_000)
    await expect.poll(stories).toHaveLength(42)
    expect(await own.story(names[0]!)).toEqual([text(names[0]!, 1), text(names[0]!, 2)])
    expect(await own.story(names[1]!)).toEqual([text(names[1]!, 1), '-'])
    await expectSound(own)
    const status = await fetch(`${own.crawlerUrl}/v1/zones/@`)
    expect(await status.json()).toMatchObject({
      zone: '.',
      reason: null,
      serial: expect.any(Number),
    })
  })
})
