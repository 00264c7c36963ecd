/** Whom a look asks: who fails is passed over, and what one server does tells only of that server. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Name, nameFromText, nameKey } from '@dslog/dnssec/name'
import { MINUTE } from '@dslog/schema/time'
import type { Collector, Observation } from '@dslog/resolver/collect'
import { ResolverError, type ResolverErrorCode } from '@dslog/resolver/error'
import type { Server, Transport } from '@dslog/resolver/exchange'
import type { ZoneServers } from '@dslog/resolver/walk'
import { TestClock } from '@dslog/testbed/clock'
import { LaterError, Looker } from '../src/looker.ts'
import { DEFAULT_LIMITS, Pace } from '../src/pace.ts'
import { TaskKind, Tier } from '../src/schedule.ts'
import { Standing } from '../src/standing.ts'
import { ServerVantage } from '../src/vantage.ts'
import { Views } from '../src/views.ts'
import { openPlace, type Place, RUNNING } from './place.ts'

const ZONE = nameFromText('test.')
const OTHER = nameFromText('example.')
const NAME = nameFromText('a.test.')
const V4 = '192.0.2.1'
const V6 = '2001:db8::1'
const V6_TOO = '2001:db8::2'

let place: Place
beforeAll(async () => {
  place = await openPlace()
})
afterAll(() => place.close())

/** How each address fails; those that are missing answer. */
let failing: Map<string, ResolverErrorCode>
let asked: { address: string; transport: Transport }[]
let clock: TestClock
let pace: Pace
let looker: Looker

beforeEach(() => {
  failing = new Map()
  asked = []
  clock = new TestClock()
  pace = new Pace(DEFAULT_LIMITS, clock.now)
  // The last of those that can be asked comes last, and nothing is asked over TCP by chance.
  const random = (): number => 0.5
  looker = new Looker({
    direct: new ServerVantage('direct', collector()),
    others: [],
    pace,
    standing: new Standing(place.db, clock.now, random),
    views: new Views(place.db),
    clock: clock.now,
    random,
    sleep: async () => {},
  })
})

/** Servers that say there is no DS, or fail. */
function collector(): Collector {
  return {
    async delegation(owner, { zone }, { server, transport = 'udp' } = {}) {
      asked.push({ address: server!.address, transport })
      const code = failing.get(server!.address)
      if (code !== undefined) throw new ResolverError(code, 'as told', { server: server! })
      return observation(owner, zone, server!, transport)
    },
    zoneKeys: () => Promise.reject(new Error('not asked here')),
  }
}

function observation(owner: Name, zone: Name, server: Server, transport: Transport): Observation {
  const question = { name: owner, type: 43 }
  const reply = { bytes: new Uint8Array(), question, server, transport, rtt: 1 }
  return {
    owner,
    zone,
    reply: reply as unknown as Observation['reply'],
    verdict: {
      verdict: 'absent',
      kind: 1,
      records: [],
      inception: 1,
      insecure: false,
      weak: false,
    },
    observedAt: clock.now(),
    messages: [],
  }
}

function at(zone: Name, ...addresses: string[]): ZoneServers {
  const servers = addresses.map((address) => ({ address }))
  return { zone, parent: undefined, servers, expires: Infinity }
}

const task = {
  name: NAME,
  kind: TaskKind.poll,
  tier: Tier.other,
  due: 0,
  failures: 0,
  answered: undefined,
}
const look = (parent: ZoneServers) => looker.look(task, parent, RUNNING)
const places = (): string[] => asked.map(({ address }) => address)

describe('a look', () => {
  test('goes on to another server, and leaves alone who is at fault', async () => {
    failing.set(V4, 'refused')
    await look(at(ZONE, V4, V6))
    await look(at(ZONE, V4, V6))
    await look(at(ZONE, V4, V6))
    expect(places().filter((address) => address === V4).length).toBeLessThanOrEqual(1)
    expect(places().filter((address) => address === V6)).toHaveLength(3)
  })

  test('asks over TCP where datagrams are lost, once', async () => {
    failing.set(V4, 'timeout')
    await expect(look(at(ZONE, V4))).rejects.toMatchObject({ code: 'timeout' })
    expect(asked).toEqual([
      { address: V4, transport: 'udp' },
      { address: V4, transport: 'tcp' },
    ])
  })

  test('is put off while nobody may be asked, and takes no turn then', async () => {
    failing.set(V4, 'refused')
    await expect(look(at(ZONE, V4))).rejects.toMatchObject({ code: 'refused' })
    for (let i = 0; i < 1_000; i++) {
      const later: unknown = await look(at(ZONE, V4)).catch((error: unknown) => error)
      expect(later).toBeInstanceOf(LaterError)
      expect(later).toMatchObject({ reason: 'servers-blocked' })
    }
    expect(asked).toHaveLength(1)
    expect(pace.zoneWait(nameKey(ZONE), [V4])).toBe(0)
  })
})

describe('a zone whose servers bear little', () => {
  test('has its names put off one after the other, not all to the same time', async () => {
    for (let i = 0; i < 200; i++) {
      clock.advance(1000)
      for (let j = 0; j < 10; j++) pace.report(V4, true)
    }
    expect(pace.serverRate(V4)).toBe(0.2)
    const waits: number[] = []
    for (let i = 0; i < 50; i++) {
      try {
        await look(at(ZONE, V4))
      } catch (error) {
        if (!(error instanceof LaterError)) throw error
        expect(error.reason).toBe('zone-pace')
        waits.push(error.ms)
      }
    }
    expect(asked.length).toBeLessThan(5)
    expect(waits.length).toBeGreaterThan(45)
    const gaps = waits.slice(1).map((wait, i) => wait - waits[i]!)
    expect(new Set(gaps)).toEqual(new Set([5_000]))
  })
})

describe('IPv6', () => {
  test('is not used for ten minutes where nobody is reached over it', async () => {
    failing.set(V6, 'network')
    await expect(look(at(ZONE, V6))).rejects.toMatchObject({ code: 'network' })
    await expect(look(at(OTHER, V6_TOO))).rejects.toBeInstanceOf(LaterError)
    expect(places()).not.toContain(V6_TOO)
    clock.advance(10 * MINUTE)
    await looker.look({ ...task, name: nameFromText('a.example.') }, at(OTHER, V6_TOO), RUNNING)
    expect(places()).toContain(V6_TOO)
  })

  test('is not given up for all because one server cannot be reached', async () => {
    await look(at(ZONE, V6_TOO))
    failing.set(V6, 'network')
    for (let i = 0; i < 5; i++) {
      await expect(look(at(ZONE, V6))).rejects.toMatchObject({ code: 'network' })
    }
    // That one is left alone, as is each that does not answer.
    await expect(look(at(ZONE, V6))).rejects.toBeInstanceOf(LaterError)
    await look(at(ZONE, V6_TOO))
    expect(places().filter((address) => address === V6_TOO)).toHaveLength(2)
  })
})
