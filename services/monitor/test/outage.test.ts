/** A database that is away, or does not answer, for a while: the monitor says so, and goes on when it is back. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { leafHash } from '@dslog/tlog/hash'
import { rootOf } from '@dslog/tlog/tree'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { rdataToText } from '@dslog/dnssec/rdata'
import { TYPE } from '@dslog/dnssec/records'
import type { MonitorStatus } from '@dslog/schema/api'
import { readConfig } from '@dslog/service/config'
import { DatabaseError } from '@dslog/service/database-error'
import { isOutage } from '@dslog/service/outage'
import { Lifecycle } from '@dslog/service/run'
import type { LyingLog, ServedLog } from '@dslog/testbed/lyinglog'
import { startPostgres } from '@dslog/testbed/postgres'
import { Wire } from '@dslog/testbed/wire'
import { silent } from '../../../test/silent.ts'
import { atTestPoint } from '../../../test/testpoint.ts'
import { raiseAlerts } from '../src/alert.ts'
import { MONITOR_CONFIG } from '../src/config.ts'
import { monitorService } from '../src/main.ts'
import { Watchlist } from '../src/watchlist.ts'
import { draft } from './draft.ts'
import { addOwners } from './owners.ts'
import { Post } from './post.ts'
import { follower, grow, history, type History, logOf, place, RUNNING } from './world.ts'

const postgres = await startPostgres()
let past: History
const endings: (() => unknown)[] = []

beforeAll(async () => {
  past = await history(60)
})
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end()
})
afterAll(() => postgres?.stop())

/** The server at the other end of a wire. */
async function wired(): Promise<{ wire: Wire; url: string }> {
  const wire = await Wire.to(Number(new URL(postgres!.url).port))
  endings.push(() => wire.cut())
  const url = Object.assign(new URL(postgres!.url), { port: wire.port, hostname: '127.0.0.1' })
  return { wire, url: url.href }
}

/** A monitor of a log as a process runs it, and what its probes say. */
async function running(log: LyingLog, served: ServedLog, url: string) {
  const folder = await mkdtemp(join(tmpdir(), 'dslog-monitor-'))
  endings.push(() => rm(folder, { recursive: true, force: true }))
  const [anchor] = past.net.root.dsRecords()
  const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text)
  await write('policy', log.policy)
  await write('anchors', `. IN DS ${rdataToText(TYPE.DS, anchor!)}\n`)
  const { monitor: config } = readConfig(
    { monitor: MONITOR_CONFIG },
    {
      DATABASE_URL: url,
      DSLOG_ANCHORS: join(folder, 'anchors'),
      DSLOG_DATA: folder,
      DSLOG_MONITOR_INTERVAL: '100ms',
      DSLOG_MONITOR_LOG_URL: served.url,
      DSLOG_MONITOR_PORT: '0',
      DSLOG_MONITOR_PROBE: 'false',
    },
  )
  const monitor = monitorService({ config, logger: silent })
  const life = new Lifecycle(monitor.components, silent)
  await life.start()
  endings.push(() => life.stop())
  let failure: unknown
  void life.failed.then((error) => (failure = error))
  const ask = (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${monitor.port()}${path}`)
  return {
    failure: () => failure,
    ask,
    ready: async () => (await ask('/readyz')).status,
    async size() {
      const { logs } = (await (await ask('/v1/status')).json()) as MonitorStatus
      return logs[0]!.size
    },
  }
}

const PATIENT = { timeout: 30_000, interval: 50 }

describe.skipIf(postgres === undefined)('a monitor whose database is away', () => {
  test('says so, answers what it can, and goes on with all of it', async () => {
    const log = logOf(past, past.trees.at(-3))
    const served = await log.serve()
    endings.push(() => served.close())
    const { url, wire } = await wired()
    const monitor = await running(log, served, url)
    const { ask, failure, ready, size } = monitor
    await expect.poll(size, PATIENT).toBe(log.size)
    expect(await ready()).toBe(200)
    const before = log.size

    await wire.cut()
    grow(log, past.scribe, past.trees.at(-2))
    await expect.poll(ready, PATIENT).toBe(503)
    expect((await ask('/healthz')).status).toBe(200)
    expect(await size()).toBe(before)
    const answer = await ask('/v1/names/example.fi.')
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
    const metrics = await (await ask('/metrics')).text()
    const [, seconds] = /^dslog_database_away_seconds\{.*\} (.*)$/m.exec(metrics)!
    expect(Number(seconds)).toBeGreaterThan(0)
    expect(metrics).toContain(`service="monitor"} ${before}`)
    expect(metrics).not.toMatch(/^dslog_monitor_outbox_waiting/m)

    await wire.mend()
    await expect.poll(size, PATIENT).toBe(log.size)
    await expect.poll(ready, PATIENT).toBe(200)
    const after = await (await ask('/metrics')).text()
    expect(after).toMatch(/^dslog_database_away_seconds\{.*\} 0$/m)
    expect(after).toMatch(/^dslog_monitor_outbox_waiting\{.*\} 0$/m)
    expect(failure()).toBeUndefined()
  })

  test('goes on from what is stored where a commit was not heard of any more', async () => {
    const log = logOf(past)
    const [here, served] = [await place(postgres), await log.serve()]
    endings.push(
      () => served.close(),
      () => here.close(),
      () => here.empty(),
    )
    const { anchors, clock } = past.net
    const world = { log, served, db: here.db, anchors, clock: clock.now }
    const limits = { entries: 20, waiting: 20, bytes: 1e9 }
    const monitor = await follower(world, { limits })
    let commits = 0
    atTestPoint((name) => {
      if (name === 'monitor.committed' && ++commits % 2 === 1) {
        throw new DatabaseError('away', 'the answer to the commit was lost')
      }
    })
    const outages: unknown[] = []
    while (monitor.status.state !== 'following' && outages.length < 100) {
      await monitor.round(RUNNING).catch((error: unknown) => outages.push(error))
    }
    expect(outages.length).toBeGreaterThan(2)
    expect(outages.every(isOutage)).toBe(true)
    expect(monitor.status).toMatchObject({ size: log.size, backlog: 0 })
    expect(monitor.status.root).toEqual(rootOf(log.entries.map(leafHash)))
  })

  test('sends nothing twice that was sent while it went away', async () => {
    const { url, wire } = await wired()
    const here = await place({ ...postgres!, url })
    const post = await Post.open(here.db)
    endings.push(
      () => here.close(),
      () => here.empty(),
      () => post.close(),
    )
    const target = post.web.url
    await addOwners(here.db, [{ id: 'one', name: 'example.fi.', target }], post.clock.now())
    await here.db.transaction((trx) => raiseAlerts(trx, [draft()], post.clock.now()))
    post.web.answer = (_, response) => {
      void wire.cut()
      response.end()
    }
    const delivered = post.deliver()
    await expect.poll(() => here.db.awaySince, PATIENT).toBeDefined()
    await wire.mend()
    expect(await delivered).toBe(1)
    expect(post.web.hooks).toHaveLength(1)
    const [row] = await here.db.kysely.selectFrom('outbox').selectAll().execute()
    expect(row).toMatchObject({ state: 'sent', attempts: 1 })
  })

  test('takes up a watch list that changed meanwhile', async () => {
    const { url, wire } = await wired()
    const here = await place({ ...postgres!, url })
    const folder = await mkdtemp(join(tmpdir(), 'dslog-watchlist-'))
    endings.push(
      () => here.close(),
      () => here.empty(),
      () => rm(folder, { recursive: true, force: true }),
    )
    const path = join(folder, 'watchlist')
    await writeFile(path, 'one.fi. mailto:a@example.net\n')
    const list = new Watchlist({
      path,
      db: here.db,
      clock: Date.now,
      logger: silent,
      poke: () => {},
    })
    await list.round()
    const watched = async (): Promise<string[]> => {
      const rows = await here.db.kysely.selectFrom('subscription').select('name').execute()
      return rows.map((row) => nameToText(row.name as Name)).toSorted()
    }
    expect(await watched()).toEqual(['one.fi.'])
    await wire.cut()
    await writeFile(path, 'one.fi. mailto:a@example.net\ntwo.fi. mailto:a@example.net\n')
    await expect(list.round()).rejects.toMatchObject({ code: 'away' })
    await wire.mend()
    await list.round()
    expect(await watched()).toEqual(['one.fi.', 'two.fi.'])
  })
})
