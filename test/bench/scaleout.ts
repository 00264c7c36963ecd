/**
 * An hour of changes, in minutes, against everything that a large installation is made of (deployment.ts): whether each
 * change is logged once, when its owner is told, what readers notice of a replica that dies, and what it all costs.
 *
 * Registries publish one zone after the other, as master file and on NSD. Crawlers find in the file what has changed, and
 * ask for it: that answer is what they submit. A crawler is killed after a third of the time, the replica after half.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bundlePath, TILE_WIDTH, tilePath } from '@dslog/tlog/tile'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { nameToText } from '@dslog/dnssec/name'
import type { Changes, CheckpointInfo, MonitorStatus } from '@dslog/schema/api'
import { HOUR, MINUTE, SECOND } from '@dslog/schema/time'
import { anchorOf } from '@dslog/testbed/key'
import { type RealServer, startNsd, type ZoneFile } from '@dslog/testbed/realserver'
import { SmtpSink } from '@dslog/testbed/smtpsink'
import { randomIntFrom } from '@dslog/testbed/random'
import { Deployment } from './deployment.ts'
import { type Bench, type Benchmark, medianOf, quantile } from './harness.ts'
import { Registries } from './registries.ts'
import { cpuOf, roomOf } from './usage.ts'

/** Names of a registry, at most. */
const ZONE = 10_000
/** An hour of 100,000 changes a day. */
const CHANGES = 4_167
/** Names whose owners want to be told. */
const WATCHED = 400
const CRAWLERS = 3
/** So much faster is the clock of crawlers and monitor: an hour is over in four minutes. */
const SPEED = 15
/** A registry publishes so often, ms. */
const PUBLISH_MS = 5_000
const ROUNDS = HOUR / SPEED / PUBLISH_MS
/** Before an alert: 15 minutes, of that clock. */
const HOLD_MS = (15 * MINUTE) / SPEED
/** How often it is looked where the log and the monitor are, ms. */
const LOOK_MS = 250
/** A reader comes so often, ms. */
const READ_MS = 25
/** What is missing is waited for so long, ms. */
const PATIENCE_MS = 180_000

/** A change of a DS: of which name, and when it was served. */
interface Change {
  readonly owner: string
  readonly served: number
  /** When mail about it came. */
  told?: number
}

export const scaleout: Benchmark = {
  name: 'scaleout',
  about: 'an hour of changes on PostgreSQL with copies, crawlers, readers behind nginx, a monitor',
  async run(bench) {
    const { names } = bench.sizes
    const registries = new Registries(names, ZONE, Date.now() - 2 * HOUR)
    const folder = bench.folder()
    const served = await serve(registries, folder)
    if (served === undefined) return bench.skip('scaleout: no nsd')
    const { nsd, paths } = served
    bench.after(() => nsd.stop())
    const mail = await SmtpSink.start()
    bench.after(() => mail.down())

    const plan = planOf(registries, names)
    const watched = spread(plan.flat(), WATCHED)
    const deployment = await Deployment.start(bench, {
      anchors: formatAnchors([anchorOf(registries.rootKey)]),
      zones: paths,
      dnsPort: nsd.port,
      // The root does not change here.
      triggers: paths.slice(1),
      smtp: mail.url,
      watchlist: watched
        .map((index) => `${registries.owner(index)} mailto:n${index}@example.net\n`)
        .join(''),
      crawlers: CRAWLERS,
      speed: SPEED,
    })
    if (deployment === undefined) return bench.skip('scaleout: no PostgreSQL, psql or nginx')
    const { database, imported } = deployment
    bench.report(`import of ${names} names by zone files, verified`, '/s', [names / imported])
    const loaded = await roomOf(database.primary.replace(/postgres$/, 'dslog'), 'log')
    const start = (await ask<CheckpointInfo>(`${deployment.log}/v1/checkpoint`)).size
    reportRoom(bench, 'after the import', loaded.tables, start)

    const verified = async (size: number): Promise<boolean> => {
      bench.check()
      // One that has just been started does not answer yet.
      return statusOf(deployment).then(
        (status) => status.size >= size,
        () => false,
      )
    }
    const caught = await until(() => verified(start), 10)
    bench.report(`monitor from the beginning, ${start} entries`, '/s', [start / (caught / SECOND)])
    await until(async () => {
      bench.check()
      return deployment.crawlersFollow(start)
    }, 10)

    const timeline = new Timeline(bench, deployment)
    const readers = new Readers(deployment.public, registries, names, start)
    const ending = new AbortController()
    const looking = Promise.all([timeline.look(ending.signal), readers.read(ending.signal)])
    // It is awaited in the end.
    looking.catch(() => {})
    const cpu = cpuOfParts(deployment)
    const before = await roomOf(database.primary.replace(/postgres$/, 'dslog'), 'log')
    const began = performance.now()
    const changes: Change[] = []
    let replica = 0
    for (const [round, indices] of plan.entries()) {
      bench.check()
      const zone = round % registries.zones
      const file = registries.publish(zone, new Map(indices.map((i) => [i, 1])), Date.now())
      await nsd.reload([file])
      put(folder, file)
      const served = Date.now()
      changes.push(...indices.map((index) => ({ owner: registries.owner(index), served })))
      if (round === Math.floor(ROUNDS / 3)) await deployment.killCrawler(0)
      if (round === Math.floor(ROUNDS / 2)) {
        readers.phase = 'after'
        replica = cpuOfParts(deployment)['replica']!
        await database.killReplica()
      }
      await sleep(Math.max(0, began + (round + 1) * PUBLISH_MS - performance.now()))
    }

    // What is under way arrives.
    const wanted = new Set(changes.map(({ owner }) => owner))
    let logged = new Map<string, number[]>()
    await until(async () => {
      logged = await loggedSince(deployment, start)
      return [...wanted].every((owner) => logged.has(owner))
    })
    const { size: end } = await ask<CheckpointInfo>(`${deployment.log}/v1/checkpoint`)
    await until(() => verified(end))
    const spent = { ...cpuOfParts(deployment), replica }
    const seconds = (performance.now() - began) / SECOND
    await until(async () => toldOf(mail).size >= watched.length)
    ending.abort()
    await looking

    const none = { goal: { bound: 'at most', value: 0 } } as const
    const times = [...wanted].map((owner) => logged.get(owner)?.length ?? 0)
    bench.report('changes', '', [changes.length], { note: `load ${loadavg()[0]!.toFixed(1)}` })
    bench.report('changes that the log lacks', '', [times.filter((n) => n === 0).length], none)
    bench.report('changes that were logged twice', '', [times.filter((n) => n > 1).length], none)
    const { state, misbehaviour } = await statusOf(deployment)
    bench.report('what the monitor has against the log', '', [misbehaviour], {
      ...none,
      note: state,
    })

    const after = (reached: (index: number) => number | undefined): number[] =>
      changes.flatMap(({ owner, served }) => {
        const index = logged.get(owner)?.[0]
        const at = index === undefined ? undefined : reached(index)
        return at === undefined ? [] : [(at - served) / SECOND]
      })
    reportTimes(
      bench,
      'served until published',
      after((index) => timeline.published(index)),
    )
    reportTimes(
      bench,
      'served until verified by the monitor',
      after((i) => timeline.verified(i)),
    )
    const told = toldOf(mail)
    const waits = changes.flatMap(({ owner, served }) => {
      const at = told.get(owner)
      return at === undefined ? [] : [(at - served - HOLD_MS) / SECOND]
    })
    bench.report('watched names of which no mail came', '', [watched.length - told.size], none)
    reportTimes(bench, `served until mailed, without the hold of ${HOLD_MS / SECOND} s`, waits)

    for (const phase of ['before', 'after'] as const) {
      const { failed, took } = readers.seen[phase]
      bench.report(`reads ${phase} the replica died, that failed`, '', [failed.length], {
        ...none,
        note: [`of ${took.length}`, ...new Set(failed)].join('; '),
      })
      bench.report(`reads ${phase}, 99 of 100`, 'ms', [quantile(took, 0.99)])
    }

    const added = end - start
    bench.report('entries added', '', [added], { note: `in ${seconds.toFixed(0)} s` })
    for (const [part, used] of Object.entries(differences(cpu, spent))) {
      bench.report(`processor: ${part}`, 's', [used], {
        note: `${((used / changes.length) * SECOND).toFixed(2)} ms a change`,
      })
    }
    const { tables, wal } = await roomOf(database.primary.replace(/postgres$/, 'dslog'), 'log')
    reportRoom(bench, 'in the end', tables, end)
    bench.report('WAL of log and crawlers, for an entry, to each copy', 'B', [
      (wal - before.wal) / added,
    ])
    reportTraffic(bench, readFileSync(deployment.accessLog, 'utf8'))
  },
}

/** All zones, on NSD and as files: apart, so that nothing holds on to the texts of a million names. */
async function serve(
  registries: Registries,
  folder: string,
): Promise<{ nsd: RealServer; paths: string[] } | undefined> {
  const files = [...registries.files()]
  const nsd = await startNsd(files)
  return nsd && { nsd, paths: files.map((file) => put(folder, file)) }
}

/** Which names change in each round: of one zone a round, no name twice. */
function planOf(registries: Registries, names: number): number[][] {
  const random = randomIntFrom(7)
  const taken = new Set<number>()
  return Array.from({ length: ROUNDS }, (_, round) => {
    const zone = round % registries.zones
    const size = Math.min(ZONE, names - zone * ZONE)
    // At most half of a zone in all its rounds.
    const most = Math.floor((size * registries.zones) / (2 * ROUNDS))
    const count = Math.min(Math.round(CHANGES / ROUNDS), most)
    const indices: number[] = []
    while (indices.length < count) {
      const index = zone * ZONE + random(size)
      if (taken.has(index)) continue
      taken.add(index)
      indices.push(index)
    }
    return indices
  })
}

/** So many of a list, from all of it. */
function spread(all: readonly number[], count: number): number[] {
  const step = Math.max(1, Math.floor(all.length / count))
  return all.filter((_, i) => i % step === 0).slice(0, count)
}

function differences(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([part, value]) => [part, value - (before[part] ?? 0)]),
  )
}

/** Writes a zone file where crawlers look; never half of one. */
function put(folder: string, { name, text }: ZoneFile): string {
  const path = join(folder, `${nameToText(name)}zone`)
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
  return path
}

async function ask<T>(url: string): Promise<T> {
  const answer = await fetch(url)
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as T
}

async function statusOf({ monitor }: Deployment): Promise<MonitorStatus['logs'][number]> {
  const { logs } = await ask<MonitorStatus>(`${monitor}/v1/status`)
  return logs[0]!
}

/** Asks again and again until the answer is yes, at most so often. @returns ms that it took */
async function until(isSo: () => Promise<boolean>, patience = 1): Promise<number> {
  const from = performance.now()
  for (;;) {
    if (await isSo()) break
    if (performance.now() - from > patience * PATIENCE_MS) break
    await sleep(LOOK_MS)
  }
  return performance.now() - from
}

/** Indices of changes behind a tree, by name. */
async function loggedSince({ log }: Deployment, start: number): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>()
  for (let after = String(start); ;) {
    const { changes, next } = await ask<Changes>(`${log}/v1/changes?after=${after}&limit=256`)
    for (const entry of changes) {
      if (entry.type !== 'ds' && entry.type !== 'no-ds') continue
      found.set(entry.name, [...(found.get(entry.name) ?? []), entry.index])
    }
    if (changes.length === 0) return found
    after = next
  }
}

/** When the first mail about each watched name came. */
function toldOf(mail: SmtpSink): Map<string, number> {
  const told = new Map<string, number>()
  for (const { at, headers } of mail.mails) {
    const name = /n\d{8}\.zone\d+/.exec(headers.get('subject') ?? '')?.[0]
    if (name !== undefined && !told.has(`${name}.`)) told.set(`${name}.`, at)
  }
  return told
}

/** Where the log and the monitor were, and when. */
class Timeline {
  readonly #bench: Bench
  readonly #deployment: Deployment
  readonly #published: { readonly at: number; readonly size: number }[] = []
  readonly #verified: { readonly at: number; readonly size: number }[] = []

  constructor(bench: Bench, deployment: Deployment) {
    this.#bench = bench
    this.#deployment = deployment
  }

  async look(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#bench.check()
      try {
        const { size } = await ask<CheckpointInfo>(`${this.#deployment.log}/v1/checkpoint`)
        this.#published.push({ at: Date.now(), size })
        this.#verified.push({ size: (await statusOf(this.#deployment)).size, at: Date.now() })
      } catch {
        // Too busy to answer: the next look is not far.
      }
      await sleep(LOOK_MS)
    }
  }

  published(index: number): number | undefined {
    return this.#published.find(({ size }) => size > index)?.at
  }

  verified(index: number): number | undefined {
    return this.#verified.find(({ size }) => size > index)?.at
  }
}

/** Readers of checkpoint, tiles and names, through nginx. */
class Readers {
  readonly seen = {
    before: { took: [] as number[], failed: [] as string[] },
    after: { took: [] as number[], failed: [] as string[] },
  }
  phase: 'before' | 'after' = 'before'
  readonly #url: string
  readonly #paths: readonly (() => string)[]

  constructor(url: string, registries: Registries, names: number, size: number) {
    this.#url = url
    const some = randomIntFrom(11)
    const index = (): number => some(Math.floor(size / TILE_WIDTH))
    this.#paths = [
      () => 'checkpoint',
      () => tilePath({ level: 0, index: index(), width: TILE_WIDTH }),
      () => bundlePath({ index: index(), width: TILE_WIDTH }),
      () => `v1/names/${registries.owner(some(names))}`,
      () => `v1/changes?limit=10&after=${some(size)}`,
    ]
  }

  async read(signal: AbortSignal): Promise<void> {
    for (let turn = 0; !signal.aborted; turn++) {
      const path = this.#paths[turn % this.#paths.length]!()
      const seen = this.seen[this.phase]
      const from = performance.now()
      try {
        const answer = await fetch(`${this.#url}/${path}`, { headers: { 'user-agent': 'reader' } })
        await answer.arrayBuffer()
        if (!answer.ok) seen.failed.push(`${answer.status} of ${path}`)
      } catch (error) {
        seen.failed.push(`${String(error)} of ${path}`)
      }
      seen.took.push(performance.now() - from)
      await sleep(READ_MS)
    }
  }
}

function cpuOfParts({ parts }: Deployment): Record<string, number> {
  return Object.fromEntries(Object.entries(parts).map(([part, command]) => [part, cpuOf(command)]))
}

function reportTimes(bench: Bench, what: string, seconds: readonly number[]): void {
  bench.report(`${what}, half`, 's', [medianOf(seconds)])
  bench.report(`${what}, 99 of 100; all`, 's', [quantile(seconds, 0.99)], {
    note: `all: ${Math.max(...seconds).toFixed(1)} s`,
  })
}

function reportRoom(
  bench: Bench,
  when: string,
  tables: ReadonlyMap<string, number>,
  entries: number,
): void {
  const sum = [...tables.values()].reduce((all, bytes) => all + bytes, 0)
  const largest = [...tables].toSorted(([, a], [, b]) => b - a).slice(0, 8)
  bench.report(`tables of the log ${when}, an entry`, 'B', [sum / entries], {
    note: largest.map(([name, bytes]) => `${name} ${Math.round(bytes / entries)}`).join(', '),
  })
}

/** Of nginx: what was sent to whom, and how much of it nginx had itself. */
function reportTraffic(bench: Bench, log: string): void {
  const by = new Map<string, { requests: number; bytes: number; hits: number; failed: number }>()
  for (const line of log.trimEnd().split('\n')) {
    const [numbers, agent = ''] = line.split('|')
    const [status, received, sent, cache] = numbers!.split(' ')
    const who = by.get(agent) ?? { requests: 0, bytes: 0, hits: 0, failed: 0 }
    who.requests++
    who.bytes += Number(received) + Number(sent)
    if (cache === 'HIT') who.hits++
    if (Number(status) >= 500) who.failed++
    by.set(agent, who)
  }
  for (const [agent, { bytes, failed, hits, requests }] of by) {
    bench.report(`through nginx: ${agent}`, 'MB', [bytes / 1e6], {
      note: `${requests} requests, ${hits} from its cache, ${failed} failed`,
    })
  }
}
