/** What the tests of the monitor stand on: a small signed internet, a log of it, and a monitor's database. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { onTestFinished } from 'vitest'
import { LogClient } from '@dslog/tlog/client'
import { HttpClient } from '@dslog/tlog/http'
import { parsePolicy } from '@dslog/tlog/policy'
import type { Anchor } from '@dslog/dnssec/anchors'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { MonitorTables } from '@dslog/schema/db'
import { MONITOR_GRANTS } from '@dslog/schema/grants'
import { MONITOR_MIGRATIONS } from '@dslog/schema/migrate'
import { installNodeCrypto } from '@dslog/service/crypto'
import type { Database } from '@dslog/service/db'
import { Internet } from '@dslog/testbed/internet'
import { dsNumber } from '@dslog/testbed/key'
import { LyingLog, Scribe, type ServedLog } from '@dslog/testbed/lyinglog'
import { startPostgres, type TestPostgres } from '@dslog/testbed/postgres'
import { STORIES, type StoryName } from '@dslog/testbed/stories'
import { silent } from '../../../test/silent.ts'
import { Follower, type FollowerOptions } from '../src/follow.ts'
import { UNIT_LIMITS } from '@dslog/service/replay'
import { closeOwned, openOwned } from '../../../test/role.ts'
import { LOG_SUFFIXES } from '@dslog/schema/lognumber'
import { MonitorStore } from '../src/store.ts'

installNodeCrypto()

/** Never aborted. */
export const RUNNING: AbortSignal = new AbortController().signal

/** How far from one tree of the history to the next. */
const INTERVAL = 10_000

/** An honest history: what happened, and the entries it left. */
export interface History {
  readonly net: Internet
  readonly scribe: Scribe
  readonly names: Readonly<Record<StoryName, Name>>
  /** Tree sizes that an honest log would have signed. */
  readonly trees: number[]
}

const STORIES_TOLD = ['replaced', 'insecure', 'backdated', 'parentRoll', 'gone'] as const

/**
 * What happens to five names of two registries over some weeks, each step a tree, after a first tree
 * with `bulk` names that stay as they are.
 */
export async function history(bulk = 10): Promise<History> {
  const net = new Internet()
  const fi = net.addZone('fi.')
  net.addZone('se.', { algorithm: ALGORITHM.ED25519, denial: { nsec3: {} } })
  const scribe = new Scribe({ anchors: net.anchors, now: net.clock.now })
  const trees: number[] = []
  const tree = async (): Promise<void> => {
    await scribe.mapHead()
    trees.push(scribe.size)
    net.clock.advance(INTERVAL)
  }
  await tree()
  const names = bulkNames(bulk)
  for (const [i, name] of names.entries()) fi.delegate(name, [dsNumber(i)])
  for (const name of names) await scribe.observe(name, net.evidence(name))
  await tree()
  const told = {} as Record<StoryName, Name>
  for (const [i, story] of STORIES_TOLD.entries()) {
    const owner = nameFromText(`${story.toLowerCase()}.${i % 2 === 0 ? 'fi' : 'se'}.`)
    told[story] = owner
    for (const { finding } of STORIES[story](net, owner)) {
      if (finding.verdict === 'unverifiable') continue
      await scribe.observe(owner, net.evidence(owner))
      if (scribe.size > trees.at(-1)!) await tree()
    }
  }
  return { net, scribe, names: told, trees }
}

/** Names that do nothing. */
export function bulkNames(count: number): Name[] {
  return Array.from({ length: count }, (_, i) => nameFromText(`name-${i}.fi.`))
}

/** A log of an honest history, signed tree by tree up to `size`. */
export function logOf({ scribe, trees }: History, size: number = scribe.size): LyingLog {
  const log = new LyingLog()
  for (const tree of trees.filter((tree) => tree <= size)) grow(log, scribe, tree)
  return log
}

/** Lets a log grow, by the next entries of a scribe, to a size, and signs that. */
export function grow(log: LyingLog, scribe: Scribe, size: number = scribe.size): string {
  log.append(...scribe.entries.slice(log.size, size))
  return log.sign()
}

/** A monitor's database, empty again at will. */
export interface Place {
  readonly db: Database<MonitorTables>
  /** The same for who owns the tables. */
  readonly owner: Database<MonitorTables>
  empty(): Promise<void>
  close(): Promise<void>
}

const FOLD_TABLES = ['map_bucket', 'zone_keys', 'name', 'zone']

const TABLES = [
  'followed',
  'misbehaviour',
  'change',
  'subscription',
  'channel',
  'pin_set',
  'change_window',
  'alert',
  'outbox',
  'opt_in',
  'witnessed',
  'judged',
  'open_case',
  'look',
  'probe',
  'unlogged',
  'crawler',
  'view',
]

/**
 * Creates a database, embedded (which takes a second, so tests share one) or on a server.
 *
 * @param server a PostgreSQL server: there the monitor has no more rights than in earnest
 */
export async function place(server?: TestPostgres): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'dslog-monitor-'))
  const owned = await openOwned<MonitorTables>(server, {
    folder,
    schema: 'monitor_test',
    migrations: MONITOR_MIGRATIONS,
    grants: MONITOR_GRANTS,
  })
  return {
    ...owned,
    async empty() {
      const { kysely } = owned.owner
      const logs = await kysely.selectFrom('followed').select('log').execute()
      const suffixes = LOG_SUFFIXES.slice(0, Math.max(1, ...logs.map(({ log }) => log)))
      const folds = FOLD_TABLES.flatMap((table) => suffixes.map((suffix) => `${table}${suffix}`))
      await sql`truncate ${sql.raw([...folds, ...TABLES].join(', '))} restart identity`.execute(
        kysely,
      )
    },
    async close() {
      await closeOwned(owned)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What a follower of a log is made of. */
export interface Setting {
  readonly log: LyingLog
  readonly served: Pick<ServedLog, 'url'>
  readonly db: Database<MonitorTables>
  readonly anchors: readonly Anchor[]
  readonly clock: () => number
  readonly policy?: string
}

/** What a follower of a log is made of, in a database of a monitor. The log is served until the test has run. */
export async function settingOf(
  log: LyingLog,
  { net }: History,
  { db }: Pick<Place, 'db'>,
): Promise<Setting & { readonly served: ServedLog }> {
  const served = await log.serve()
  onTestFinished(() => served.close())
  return { log, served, db, anchors: net.anchors, clock: net.clock.now }
}

/** A follower as the service makes it, but that it looks only when it is told. */
export async function follower(
  setting: Setting,
  options: Partial<FollowerOptions> = {},
): Promise<Follower> {
  const { anchors, clock, db, log, served } = setting
  const policy = parsePolicy(setting.policy ?? log.policy)
  const http = new HttpClient({ fetch, now: clock, random: () => 0 }, { retries: 0 })
  return Follower.open({
    client: new LogClient(served.url, policy, http),
    policy,
    store: await MonitorStore.enter(db, log.origin),
    verifier: { anchors, backend: nodeBackend() },
    clock,
    logger: silent,
    interval: INTERVAL,
    limits: UNIT_LIMITS,
    ...options,
  })
}

/** The database that is there sooner: on a server, where one is installed, else embedded. */
export async function quickPlace(): Promise<Place> {
  const postgres = await startPostgres()
  const home = await place(postgres)
  return {
    ...home,
    async close() {
      await home.close()
      await postgres?.stop()
    },
  }
}
