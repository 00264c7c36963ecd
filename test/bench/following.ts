/**
 * A monitor that follows a log of many names from its first entry, as it is after `dslog monitor` was
 * started for the first time: every hash, every signature of the evidence, every rule, every MAP_HEAD, and
 * all of it stored on PostgreSQL. The log is in memory, so that nothing is measured but the monitor.
 */
import { LogClient } from '@dslog/tlog/client'
import { HttpClient } from '@dslog/tlog/http'
import { parsePolicy } from '@dslog/tlog/policy'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { nameFromText } from '@dslog/dnssec/name'
import { CLASS_IN, TYPE } from '@dslog/dnssec/records'
import type { MonitorTables } from '@dslog/schema/db'
import { stateId } from '@dslog/schema/identity'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { openDatabase } from '@dslog/service/db'
import { migrate } from '@dslog/service/migrate'
import { MAX_TREE_CANDIDATES } from '@dslog/log/sequencer'
import { Follower } from '@dslog/monitor/follow'
import { MonitorStore } from '@dslog/monitor/store'
import { type Authority, Internet } from '@dslog/testbed/internet'
import { LyingLog, Scribe } from '@dslog/testbed/lyinglog'
import { MAP_DEPTH } from '@dslog/service/maptables'
import { dsNumber } from '@dslog/testbed/key'
import { signRRset } from '@dslog/testbed/signer'
import { Observer } from '@dslog/verify/observe'
import type { StateCandidate } from '@dslog/verify/candidate'
import { silent } from '../silent.ts'
import { type Benchmark, secondsOf } from './harness.ts'
import { serverUrl } from './server.ts'

const TTL = 86_400
const DAY_S = 86_400
const MIB = 2 ** 20

export const following: Benchmark = {
  name: 'following',
  about: 'a monitor that follows a log from its first entry',
  async run(bench) {
    const url = await serverUrl(bench)
    if (url === undefined) return bench.skip('following: no PostgreSQL')
    const net = new Internet()
    const log = await logOf(net, bench.sizes.names)
    const db = await openDatabase<MonitorTables>({
      folder: bench.folder(),
      url,
      schema: `following_${process.pid}`,
    })
    bench.after(() => db.close())
    await migrate(db, MONITOR_MIGRATIONS)
    const policy = parsePolicy(log.policy)
    const http = new HttpClient({ fetch: log.fetch, now: net.clock.now, random: () => 0 })
    const follower = await Follower.open({
      client: new LogClient('http://log.example', policy, http),
      policy,
      store: await MonitorStore.enter(db, log.origin),
      verifier: { anchors: net.anchors, backend: nodeBackend() },
      clock: Date.now,
      logger: silent,
      interval: Infinity,
    })
    const before = process.memoryUsage().rss
    let peak = before
    const sampler = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }, 100)
    const cpu = process.cpuUsage()
    const seconds = await secondsOf(() => follower.round(new AbortController().signal))
    clearInterval(sampler)
    const { system, user } = process.cpuUsage(cpu)
    const { detail, size, state } = follower.status
    if (state !== 'following' || size !== log.size) throw new Error(`${state}: ${detail}`)
    bench.report(`${size} entries of P-256, from the first on`, '/s', [size / seconds])
    bench.report('processor time of an entry, all threads of the process', 'µs', [
      (user + system) / size,
    ])
    bench.report('memory of the process above what the log takes', 'MiB', [(peak - before) / MIB])
  },
}

/** A log of names of one zone, each with a DS that the zone has signed. */
async function logOf(net: Internet, names: number): Promise<LyingLog> {
  const fi = net.addZone('fi.')
  const scribe = new Scribe({ anchors: net.anchors, mapDepth: MAP_DEPTH, now: net.clock.now })
  await scribe.mapHead()
  const first = await firstState(net, fi, scribe)
  const log = new LyingLog()
  for (let from = 0; from < names; from += MAX_TREE_CANDIDATES) {
    net.clock.advance(1_000)
    const moment = { time: net.clock.now(), historical: false }
    const states = Array.from({ length: Math.min(MAX_TREE_CANDIDATES, names - from) }, (_, i) =>
      stateOf(from + i, fi, first),
    )
    await scribe.admit(states, moment)
    await scribe.mapHead()
  }
  for (const entry of scribe.entries) log.append(entry)
  log.sign()
  return log
}

/** The zone with its keys as an observer sees them: what all other names have in common. */
async function firstState(net: Internet, fi: Authority, scribe: Scribe): Promise<StateCandidate> {
  const owner = nameFromText('first.fi.')
  fi.delegate(owner, [dsNumber(0)])
  const bag = net.evidence(owner)
  await scribe.observe(owner, bag)
  const known = { lookup: async () => [], keysOfZone: async () => [] }
  const moment = { time: net.clock.now(), historical: false }
  const observer = new Observer(known, { anchors: net.anchors, backend: nodeBackend() }, moment)
  const state = (await observer.delegation(owner, bag)).find(({ kind }) => kind === 'state')
  if (state?.kind !== 'state') throw new Error('the first name has no state')
  return state
}

function stateOf(index: number, fi: Authority, first: StateCandidate): StateCandidate {
  const owner = nameFromText(`name-${index}.fi.`)
  const rdatas = [dsNumber(index)]
  const set = { owner, type: TYPE.DS, class: CLASS_IN, rdatas }
  const window = { inception: first.orderKey, expiration: first.orderKey + 30 * DAY_S }
  const rrsig = signRRset(set, TTL, fi.keys.at(-1)!, fi.name, window)
  return {
    ...first,
    owner,
    stateId: stateId(owner, fi.name, rdatas),
    evidence: { ds: rdatas, rrsig },
  }
}
