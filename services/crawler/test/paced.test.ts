/**
 * How often a server is asked, counted by the server: a name server of ours on the loopback interface,
 * real datagrams, and a clock that goes on when everybody waits for it, so that an hour takes a second.
 */
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { MINUTE, SECOND } from '@dslog/schema/time'
import { DnsClient } from '@dslog/resolver/client'
import type { Exchange, Server } from '@dslog/resolver/exchange'
import { ResolverError } from '@dslog/resolver/error'
import { TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import type { NameServer } from '@dslog/testbed/nameserver/server'
import { DEFAULT_LIMITS, Pace, type PaceLimits } from '../src/pace.ts'
import { PacedExchange } from '../src/paced.ts'

/** For a server that drops all, some or none, in ms of the wall: the machine may be busy. */
const IMPATIENT = 50
const CALM = 150
const PATIENT = 2_000
const QUESTION = { name: nameFromText('nothing.test.'), type: TYPE.DS }

const clock = new TestClock()
let servers: NameServers
let all: NameServer[]

beforeAll(async () => {
  const net = new Internet({ servers: 3 })
  const test = net.addZone('test.')
  servers = await NameServers.start(net, clock.now)
  all = servers.of(test)
})
afterEach(() => {
  for (const server of all) {
    server.heal()
    server.forget()
  }
})
afterAll(() => servers.stop())

/** Some who ask as fast as they may, until a time, in one test; the clock goes on when all of them wait. */
class Crowd {
  readonly pace: Pace
  readonly counted = new Map<string, number>()
  readonly #exchange: Exchange
  readonly #sleepers: { readonly at: number; readonly wake: () => void }[] = []
  #awake = 0

  constructor(limits: Partial<PaceLimits> = {}) {
    this.pace = new Pace({ ...DEFAULT_LIMITS, ...limits }, clock.now)
    const client = new DnsClient({ port: servers.port, permits: () => true })
    const count = (outcome: string): void => {
      this.counted.set(outcome, (this.counted.get(outcome) ?? 0) + 1)
    }
    const asked = (_transport: string, outcome: string): void => count(outcome)
    this.#exchange = new PacedExchange(client, this.pace, { asked }, (ms) => this.#sleep(ms))
    onTestFinished(() => this.#exchange.close())
  }

  /** Asks servers in turn for so long, `lanes` at once. */
  async ask(
    ms: number,
    of: readonly Server[],
    { lanes = 4, timeout = PATIENT } = {},
  ): Promise<void> {
    const end = clock.now() + ms
    const lane = async (first: number): Promise<void> => {
      for (let i = first; clock.now() < end; i += lanes) {
        try {
          await this.#exchange.ask(of[i % of.length]!, QUESTION, { timeout })
        } catch (error) {
          if (!(error instanceof ResolverError)) throw error
          // Too long to wait for: another time.
          if (error.code === 'busy') await this.#sleep(SECOND)
        }
      }
      this.#rest()
    }
    this.#awake = lanes
    await Promise.all(Array.from({ length: lanes }, (_, i) => lane(i)))
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((wake) => {
      this.#sleepers.push({ at: clock.now() + ms, wake })
      this.#rest()
    })
  }

  /** One more waits. When all do, it is time for the first to go on. */
  #rest(): void {
    this.#awake--
    if (this.#awake > 0 || this.#sleepers.length === 0) return
    this.#sleepers.sort((a, b) => a.at - b.at)
    const { at, wake } = this.#sleepers.shift()!
    clock.set(Math.max(at, clock.now()))
    this.#awake++
    wake()
  }
}

const at = ({ address }: NameServer): Server => ({ address })
const times = (server: NameServer): number[] => server.questions.map((question) => question.at)

/** Most questions in any second. */
function most(asked: readonly number[]): number {
  return Math.max(
    ...asked.map((from) => asked.filter((time) => time >= from && time < from + SECOND).length),
  )
}

describe('a server', () => {
  test('gets a burst of twenty, and ten a second, by its own count', async () => {
    const crowd = new Crowd()
    const [server] = all
    const from = clock.now()
    await crowd.ask(30 * SECOND, [at(server!)])
    const asked = times(server!)
    expect(most(asked)).toBeLessThanOrEqual(31)
    const later = asked.filter((time) => time >= from + 2 * SECOND)
    expect(most(later)).toBe(10)
    expect(asked.length).toBeGreaterThanOrEqual(20 + 29 * 10)
    expect(asked.length).toBeLessThanOrEqual(20 + 31 * 10)
  })

  test('has a rate of its own, and all have one together', async () => {
    const crowd = new Crowd({ all: 20 })
    await crowd.ask(20 * SECOND, all.map(at), { lanes: 12 })
    const each = all.map(times)
    for (const asked of each) {
      expect(asked.length).toBeGreaterThan(20 * 5)
      expect(asked.length).toBeLessThan(20 * 9)
    }
    const together = each.flat().sort((a, b) => a - b)
    expect(most(together)).toBeLessThanOrEqual(21 + 2)
  })

  test('whose answers do not fit is asked half as often, and one a second more each clean minute', async () => {
    const crowd = new Crowd()
    const [server] = all
    await crowd.ask(10 * SECOND, [at(server!)])
    expect(crowd.pace.serverRate(server!.address)).toBe(10)
    // Three of a hundred and twenty are above two in a hundred.
    server!.inject('truncated', { times: 3, transport: 'udp' })
    await crowd.ask(2 * SECOND, [at(server!)])
    const rates: number[] = []
    for (let minute = 0; minute < 8; minute++) {
      server!.forget()
      await crowd.ask(MINUTE, [at(server!)])
      rates.push(Math.round(times(server!).length / 60))
    }
    expect(rates).toEqual([5, 6, 7, 8, 9, 10, 10, 10])
  })

  test('that never answers gets a trickle', async () => {
    const crowd = new Crowd()
    const [server, other] = all
    server!.inject('drop')
    await crowd.ask(MINUTE, [at(server!)], { timeout: IMPATIENT })
    server!.forget()
    await crowd.ask(3 * MINUTE, [at(server!)], { timeout: IMPATIENT })
    expect(times(server!).length).toBeLessThanOrEqual(3 * 60 * 0.2 + 1)
    expect(times(server!).length).toBeGreaterThan(0)
    // Another does not suffer for it.
    await crowd.ask(10 * SECOND, [at(other!)])
    expect(times(other!).length).toBeGreaterThanOrEqual(100)
  })

  test('that answers four a second is not asked ten', async () => {
    const crowd = new Crowd()
    const [server] = all
    server!.inject({ perSecond: 4 })
    await crowd.ask(2 * MINUTE, [at(server!)], { timeout: CALM })
    server!.forget()
    crowd.counted.clear()
    await crowd.ask(10 * MINUTE, [at(server!)], { timeout: CALM })
    const asked = times(server!)
    expect(asked.length / 600).toBeLessThan(5)
    expect(asked.length / 600).toBeGreaterThan(1)
    const lost = crowd.counted.get('timeout') ?? 0
    expect(lost / asked.length).toBeLessThan(0.1)
  })

  test('is not asked more slowly for what a proxy loses', async () => {
    const { address } = all[0]!
    const lossy: Exchange = {
      ask: () => Promise.reject(new ResolverError('timeout', 'lost')),
      close: () => Promise.resolve(),
    }
    const rates = await Promise.all(
      (['own', 'proxy'] as const).map(async (way) => {
        const pace = new Pace(DEFAULT_LIMITS, clock.now)
        const asked = (): void => {}
        const exchange = new PacedExchange(lossy, pace, { asked }, async () => {}, way)
        for (let i = 0; i < 20; i++) {
          await expect(exchange.ask({ address }, QUESTION)).rejects.toThrow('lost')
        }
        return pace.serverRate(address)
      }),
    )
    expect(rates[0]).toBeLessThan(DEFAULT_LIMITS.server)
    expect(rates[1]).toBe(DEFAULT_LIMITS.server)
  })
})
