/** What a crawler asks with, when a part of it dies. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { readConfig } from '@dslog/service/config'
import { Metrics } from '@dslog/service/metrics'
import { Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { bundleOf } from '../../../test/bundle.ts'
import { dnsEnv, UNLIMITED } from '../../../test/dnsenv.ts'
import { silent } from '../../../test/silent.ts'
import { CRAWLER_CONFIG } from '../src/config.ts'
import { openDns } from '../src/dns.ts'
import { countersIn } from '../src/metrics.ts'
import { Pace } from '../src/pace.ts'

const VERIFIER = new URL('../../../packages/resolver/src/threaded-worker.ts', import.meta.url)

// On one core there are no threads beside the one that asks.
test.runIf(availableParallelism() > 1)(
  'a thread that verifies and dies is counted, and what it had is verified all the same',
  async () => {
    // First, since what makes the bundle works in a thread, too, which is not meant.
    bundleOf(fileURLToPath(VERIFIER))
    const net = new Internet()
    net.addZone('fi.')
    const clock = net.clock.now
    const servers = await NameServers.start(net, clock)
    onTestFinished(() => servers.stop())
    const { crawler: config } = readConfig(
      { crawler: CRAWLER_CONFIG },
      dnsEnv(servers.hints()[0]!.addresses, servers.port),
    )
    const metrics = new Metrics('crawler')
    const dns = openDns({
      config,
      anchors: net.anchors,
      pace: new Pace(UNLIMITED, clock),
      counters: countersIn(metrics),
      clock,
      logger: silent,
    })
    onTestFinished(dns.close)
    const deaths = metrics.registry.getSingleMetric('dslog_crawler_verifier_deaths_total')!
    const counted = async () => (await deaths.get()).values.map(({ value }) => value)
    expect(await counted()).toEqual([0])

    let started = 0
    const end = (worker: Worker): void => {
      started++
      void worker.terminate()
    }
    process.on('worker', end)
    onTestFinished(() => void process.off('worker', end))
    const names = Array.from({ length: 50 }, (_, i) => nameFromText(`n${i}.fi.`))
    const parent = await dns.walker.parentOf(names[0]!)
    const [server] = parent.servers
    const { signal } = new AbortController()
    const look = { parent, server: server!, transport: 'udp', ask: 'ds', signal } as const
    // A thread is started for signatures that wait together.
    await expect
      .poll(async () => {
        const seen = await Promise.all(
          names.map((owner) => dns.direct.delegation({ owner, ...look })),
        )
        expect(seen.every(({ signed }) => !signed)).toBe(true)
        return started
      })
      .toBeGreaterThan(0)
    await expect.poll(counted).toEqual([started])
  },
)
