/** Walks by referrals: who is asked what, what is kept, and where strangers could lead us. */
import { nameFromText, nameToText, ROOT } from '@dslog/dnssec/name'
import { typeToText } from '@dslog/dnssec/rdata'
import type { RR } from '@dslog/dnssec/records'
import { DAY, HOUR, SECOND } from '@dslog/schema/time'
import { ROOT_SERVERS } from '@dslog/resolver/hints'
import { MAX_QUESTIONS, ReferralWalker } from '@dslog/resolver/walk'
import { Internet, record } from '@dslog/testbed/internet'
import { specialRange } from '@dslog/service/specialaddress'
import { afterEach, describe, expect, it } from 'vitest'
import { expectFailure, OWNER, SILENT, type World, worldOf } from './world.ts'

const worlds: World[] = []

async function start(build: (net: Internet) => void): Promise<World> {
  const net = new Internet({ servers: 2 })
  build(net)
  const world = await worldOf(net)
  worlds.push(world)
  return world
}

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.stop()))
})

function asked({ exchange }: World): string[] {
  const all = exchange.asked.map(
    ({ question }) => `${nameToText(question.name)} ${typeToText(question.type)}`,
  )
  exchange.asked.length = 0
  return all
}

const name = nameFromText

describe('a walk', () => {
  it('goes down by referrals, and never names the name', async () => {
    const world = await start((net) => {
      net.addZone('uk.')
      net.addZone('co.uk.')
    })
    const found = await world.walker.parentOf(name('secret.co.uk.'))
    expect(nameToText(found.zone)).toBe('co.uk.')
    expect(found.servers.map(({ address }) => address).sort()).toEqual(['127.16.2.1', '127.16.2.2'])
    expect(found.servers.map((server) => nameToText(server.name!)).sort()).toEqual([
      'ns.co.uk.',
      'ns2.co.uk.',
    ])
    expect(nameToText(found.parent!)).toBe('uk.')
    expect(asked(world)).toEqual(['. NS', 'co.uk. NS', 'co.uk. NS'])
    // Names of one zone share it.
    await world.walker.parentOf(name('other.co.uk.'))
    expect(asked(world)).toEqual([])
    expect((await world.walker.parentOf(name('co.uk.'))).zone).toEqual(name('uk.'))
    expect(asked(world)).toEqual([])
    const root = await world.walker.parentOf(name('uk.'))
    expect([root.zone, root.parent, root.servers.length]).toEqual([ROOT, undefined, 2])
    expect(asked(world)).toEqual([])
  })

  it('sees that a name is no zone, and keeps that, too', async () => {
    const world = await start((net) => {
      const jp = net.addZone('jp.')
      jp.add(record('co.jp.', 'TXT', '"not delegated"'), record('alias.jp.', 'CNAME', 'co.jp.'))
      jp.add(record('moved.jp.', 'DNAME', 'co.jp.'))
    })
    const places = ['co.jp.', 'alias.jp.', 'a.moved.jp.', 'absent.jp.', 'deep.down.absent.jp.']
    for (const place of places) {
      const found = await world.walker.zoneOf(name(place))
      expect(nameToText(found.zone), place).toBe('jp.')
      asked(world)
      await world.walker.parentOf(nameFromText('x', name(place)))
      expect(asked(world), place).toEqual([])
    }
  })

  it('finds zones that one server has all of', async () => {
    const everywhere = { servers: [['127.0.0.1']] }
    const net = new Internet({ root: everywhere })
    for (const zone of ['uk.', 'co.uk.', 'example.co.uk.']) net.addZone(zone, everywhere)
    const world = await worldOf(net)
    worlds.push(world)
    for (const zone of ['uk.', 'co.uk.', 'example.co.uk.']) {
      const below = nameFromText('a.b', name(zone))
      expect(nameToText((await world.walker.zoneOf(below)).zone)).toBe(zone)
      expect(nameToText((await world.walker.parentOf(nameFromText('c', name(zone)))).zone)).toBe(
        zone,
      )
    }
    expect((await world.walker.parentOf(name('example.co.uk.'))).zone).toEqual(name('co.uk.'))
  })

  it('looks up servers whose addresses do not come along', async () => {
    const world = await start((net) => {
      const com = net.addZone('com.')
      const host = net.addZone('host.net.', {})
      const net2 = host.parent!
      expect(net2.name).toEqual(ROOT)
      host.add(record('dns1.host.net.', 'A', '127.16.2.1'), record('dns2.host.net.', 'AAAA', '::1'))
      const servers = [
        { name: name('dns1.host.net.'), addresses: [] },
        { name: name('dns2.host.net.'), addresses: [] },
        { name: name('absent.host.net.'), addresses: [] },
      ]
      com.delegate(name('shop.com.'), [], servers)
    })
    const found = await world.walker.zoneOf(name('www.shop.com.')).catch(() => undefined)
    // Nobody has the zone, but the referral was followed.
    expect(found).toBeUndefined()
    const shop = await world.walker.zoneOf(name('shop.com.'))
    expect(shop.servers.map(({ address }) => address)).toEqual(['127.16.2.1', '::1'])
  })

  it('is kept for its TTL, and asked anew on demand', async () => {
    const world = await start((net) => net.addZone('fi.'))
    const { walker, net } = world
    const first = await walker.parentOf(OWNER)
    expect(first.expires).toBe(net.clock.now() + HOUR)
    asked(world)
    expect(await walker.parentOf(OWNER)).toBe(first)
    net.clock.advance(HOUR)
    await walker.parentOf(OWNER)
    expect(asked(world)).toEqual(['. NS', 'fi. NS'])
    await walker.parentOf(OWNER, { fresh: true })
    expect(asked(world)).toEqual(['fi. NS'])
  })

  it('is kept for a day at most, and addresses as long, whatever their TTL', async () => {
    const world = await start((net) => {
      const com = net.addZone('com.')
      net.addZone('host.net.').add(record('dns.host.net.', 'A', '127.16.2.1'))
      com.delegate(name('shop.com.'), [], [{ name: name('dns.host.net.'), addresses: [] }])
    })
    const { net, servers, walker } = world
    const ttl = (4 * 7 * DAY) / SECOND
    for (const each of net.zones) {
      const { zone } = each.snapshot()
      const patient = Object.create(zone) as typeof zone
      const longer = (records: readonly RR[]): RR[] => records.map((rr) => ({ ...rr, ttl }))
      patient.answer = (...question) => {
        const { answer, authority, additional, ...rest } = zone.answer(...question)
        return {
          ...rest,
          answer: longer(answer),
          authority: longer(authority),
          additional: longer(additional),
        }
      }
      for (const server of servers.of(each)) server.serve({ name: each.name, zone: patient })
    }
    const first = await walker.zoneOf(name('shop.com.'))
    expect(first.expires).toBe(net.clock.now() + DAY)
    const questions = asked(world)
    expect(questions).toContain('dns.host.net. A')
    net.clock.advance(DAY - 1)
    expect(await walker.zoneOf(name('shop.com.'))).toBe(first)
    net.clock.advance(1)
    await walker.zoneOf(name('shop.com.'))
    expect(asked(world)).toEqual(questions)
  })

  it('is shared by those who walk at once', async () => {
    const world = await start((net) => net.addZone('fi.'))
    const { signal } = new AbortController()
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        world.walker.parentOf(name(`n${i}.fi.`), i % 2 === 0 ? {} : { signal }),
      ),
    )
    expect(new Set(all).size).toBe(1)
    expect(asked(world)).toEqual(['. NS', 'fi. NS'])
  })

  it('can be given up, by one of many', async () => {
    const world = await start((net) => net.addZone('fi.'))
    const controller = new AbortController()
    const one = world.walker.parentOf(OWNER, { signal: controller.signal })
    const other = world.walker.parentOf(OWNER)
    controller.abort()
    await expectFailure(one, 'aborted')
    expect((await other).zone).toEqual(name('fi.'))
    await expectFailure(
      world.walker.parentOf(name('a.se.'), { signal: controller.signal }),
      'aborted',
    )
  })
})

describe('a walk past servers that', () => {
  it.each(['lame', 'refused', 'servfail', 'upward-referral', 'drop', 'garbage', 'half'] as const)(
    'are %s asks another, and that one first from then on',
    async (fault) => {
      const world = await start((net) => {
        net.addZone('fi.')
        net.addZone('a.fi.')
        net.addZone('b.fi.')
      })
      const [sick, well] = world.servers.of(world.net.zoneOf(name('fi.')))
      if (fault === 'lame') sick!.serve(world.net.zoneOf(name('a.fi.')))
      if (SILENT.has(fault)) world.exchange.with.add(sick!.address)
      const what = fault === 'lame' ? 'not-authoritative' : fault
      sick!.inject(what, { when: ({ client }) => fault !== 'drop' || client.transport === 'udp' })
      if (fault === 'lame') sick!.inject('upward-referral')
      for (const zone of ['a.fi.', 'b.fi.', 'absent.fi.', 'c.fi.']) {
        await world.walker.zoneOf(name(zone))
      }
      expect(sick!.asked).toBeLessThanOrEqual(2)
      expect(well!.asked).toBeGreaterThanOrEqual(3)
    },
  )

  it('are all unwell fails, and says whose', async () => {
    const world = await start((net) => net.addZone('fi.'))
    for (const server of world.servers.of(world.net.zoneOf(name('fi.')))) server.inject('refused')
    const error = await expectFailure(world.walker.zoneOf(name('a.fi.')), 'unreachable')
    expect(error.message).toContain('no server of fi. answers')
    expect(error.cause).toMatchObject({ code: 'refused' })
  })

  it('do not tell who serves the root begins with the hints', async () => {
    const world = await start((net) => net.addZone('fi.'))
    for (const server of world.servers.of(world.net.root)) {
      server.inject('servfail', { when: ({ name: asked }) => asked.length === 1 })
    }
    expect((await world.walker.parentOf(OWNER)).zone).toEqual(name('fi.'))
  })
})

describe('strangers cannot', () => {
  it('send us to special-purpose addresses', async () => {
    const world = await start((net) => net.addZone('fi.'))
    const { exchange, servers } = world
    const hints = servers.hints().map((hint) => ({ address: hint.addresses[0]! }))
    const strict = new ReferralWalker({ exchange, hints, now: world.net.clock.now })
    await expectFailure(strict.parentOf(OWNER), 'unreachable')
    expect(exchange.asked).toEqual([])
    // The hints may be asked, but what they lead to may not.
    const permits = (address: string): boolean => address.startsWith('127.16.0.')
    const half = new ReferralWalker({ exchange, hints, permits, now: world.net.clock.now })
    const error = await expectFailure(half.parentOf(OWNER), 'unreachable')
    expect(error.message).toContain('fi.')
    expect(exchange.asked.every(({ server }) => permits(server.address))).toBe(true)
  })

  it('are many names of one address, which is asked once', async () => {
    const { walker } = await start((net) => {
      net.addZone('many.', { servers: [['127.0.0.1'], ['127.0.0.1'], ['127.0.0.1', '127.0.0.2']] })
    })
    const { servers } = await walker.zoneOf(name('many.'))
    expect(servers.map(({ address }) => address).sort()).toEqual(['127.0.0.1', '127.0.0.2'])
  })

  it('send us to a family of addresses that we do not have', async () => {
    const world = await start((net) => net.addZone('fi.', { servers: [['::1', '127.16.1.1']] }))
    const { exchange, servers, net } = world
    const hints = servers.hints().map((hint) => ({ address: hint.addresses[0]! }))
    const walker = new ReferralWalker({
      exchange,
      hints,
      permits: () => true,
      families: [4],
      now: net.clock.now,
    })
    const { servers: found } = await walker.parentOf(OWNER)
    expect(found.map(({ address }) => address)).toEqual(['127.16.1.1'])
  })

  it('make us walk in circles', async () => {
    const world = await start((net) => {
      const com = net.addZone('com.')
      const nameless = (text: string) => [{ name: name(text), addresses: [] }]
      com.delegate(name('a.com.'), [], nameless('ns.b.com.'))
      com.delegate(name('b.com.'), [], nameless('ns.a.com.'))
      com.delegate(name('self.com.'), [], nameless('ns.self.com.'))
    })
    for (const zone of ['a.com.', 'b.com.', 'self.com.', 'x.a.com.']) {
      const error = await expectFailure(world.walker.zoneOf(name(zone)), 'unreachable')
      expect(error.message).toContain('no server of')
    }
    expect(asked(world).length).toBeLessThan(40)
  })

  it('make us ask without end', async () => {
    const world = await start((net) => {
      const com = net.addZone('com.')
      // Each zone is served by names in other zones, which are served by names in others…
      for (let i = 0; i < 400; i++) {
        const servers = Array.from({ length: 13 }, (_, k) => ({
          name: name(`ns.z${(i * 13 + k + 1) % 400}.com.`),
          addresses: [],
        }))
        com.delegate(name(`z${i}.com.`), [], servers)
      }
    })
    await expectFailure(world.walker.zoneOf(name('z0.com.')), 'unreachable')
    expect(asked(world).length).toBeLessThanOrEqual(MAX_QUESTIONS)
  })

  it('slip us addresses for names that are not theirs', async () => {
    const world = await start((net) => {
      const com = net.addZone('com.')
      net.addZone('org.').add(record('ns.org.', 'TXT', '"no address but the glue"'))
      com.delegate(name('evil.com.'), [], [{ name: name('ns.org.'), addresses: [] }])
    })
    const [one, two] = world.servers.of(world.net.zoneOf(name('com.')))
    const glue = record('ns.org.', 'A', '127.66.6.6')
    const com = world.net.zoneOf(name('com.'))
    for (const server of [one!, two!]) {
      const { zone } = com.snapshot()
      const lying = Object.create(zone) as typeof zone
      lying.answer = (...question) => {
        const answer = zone.answer(...question)
        return { ...answer, additional: [...answer.additional, glue] }
      }
      server.serve({ name: com.name, zone: lying })
    }
    const { servers } = await world.walker.zoneOf(name('evil.com.'))
    expect(servers.map(({ address }) => address)).toEqual(['127.16.2.1'])
  })
})

describe('the hints', () => {
  it('are thirteen servers with two public addresses each', () => {
    expect(ROOT_SERVERS).toHaveLength(26)
    expect(new Set(ROOT_SERVERS.map((server) => nameToText(server.name!))).size).toBe(13)
    for (const { address } of ROOT_SERVERS) expect(specialRange(address), address).toBeUndefined()
    expect(new Set(ROOT_SERVERS.map(({ address }) => address)).size).toBe(26)
  })
})
