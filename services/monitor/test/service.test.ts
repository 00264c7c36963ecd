/** The service as a process runs it: configuration, start, HTTP, restart. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TSchema } from 'typebox'
import Value from 'typebox/value'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { toBase64 } from '@dslog/tlog/bytes'
import { leafHash } from '@dslog/tlog/hash'
import { rootOf } from '@dslog/tlog/tree'
import { nameToText } from '@dslog/dnssec/name'
import { rdataToText } from '@dslog/dnssec/rdata'
import { TYPE } from '@dslog/dnssec/records'
import { EvidenceList, type MonitorChange, MonitorChanges, MonitorStatus } from '@dslog/schema/api'
import { decodeEntry } from '@dslog/schema/entry'
import { MonitorName } from '@dslog/schema/monitorapi'
import { ConfigError, readConfig } from '@dslog/service/config'
import { Lifecycle } from '@dslog/service/run'
import { LyingLog, type ServedLog } from '@dslog/testbed/lyinglog'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { silent } from '../../../test/silent.ts'
import { MONITOR_CONFIG, type MonitorConfig } from '../src/config.ts'
import { decodeFinding, verifyFinding } from '../src/evidence.ts'
import { monitorService, openMonitor } from '../src/main.ts'
import { grow, history, type History, logOf } from './world.ts'

let past: History
let log: LyingLog
let served: ServedLog
let folder: string
let running: Lifecycle | undefined

beforeAll(async () => {
  past = await history(300)
  log = logOf(past, past.trees.at(-2))
  served = await log.serve()
  folder = await mkdtemp(join(tmpdir(), 'dslog-monitor-'))
  await writeFile(join(folder, 'policy'), log.policy)
  // The anchors file has no time limits, as the test's root has none.
  const [anchor] = past.net.root.dsRecords()
  await writeFile(join(folder, 'anchors'), `. IN DS ${rdataToText(TYPE.DS, anchor!)}\n`)
})
afterEach(async () => {
  await running?.stop()
  running = undefined
})
afterAll(async () => {
  await served.close()
  await rm(folder, { recursive: true, force: true })
})

function config(env: Readonly<Record<string, string>> = {}): MonitorConfig {
  return readConfig(
    { monitor: MONITOR_CONFIG },
    {
      DSLOG_DATA: folder,
      DSLOG_ANCHORS: join(folder, 'anchors'),
      DSLOG_MONITOR_PORT: '0',
      DSLOG_MONITOR_LOG_URL: served.url,
      ...env,
    },
  ).monitor
}

/** A monitor that runs, and a way to ask it. */
async function start(env: Readonly<Record<string, string>> = {}) {
  const monitor = monitorService({ config: config(env), logger: silent, clock: past.net.clock.now })
  running = new Lifecycle(monitor.components, silent)
  await running.start()
  const ask = async (path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${monitor.port()}${path}`)
  const get = async <T>(path: string, schema: TSchema): Promise<T> => {
    const answer = await ask(path)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const body: unknown = await answer.json()
    expect([...Value.Errors(schema, body)]).toEqual([])
    return body as T
  }
  const status = async () => (await get<MonitorStatus>('/v1/status', MonitorStatus)).logs[0]!
  /** Resolves once the log is in a state. */
  const until = async (state: string): Promise<void> => {
    await expect.poll(async () => (await status()).state).toBe(state)
  }
  return { monitor, ask, get, status, until }
}

function delegations(): { index: number; name: string }[] {
  return log.entries.flatMap((bytes, index) => {
    const entry = decodeEntry(bytes)
    return entry.type === 'ds' || entry.type === 'no-ds'
      ? [{ index, name: nameToText(entry.owner) }]
      : []
  })
}

describe('a monitor', () => {
  test('follows, and shows what it has verified', async () => {
    const { ask, get, status, until } = await start()
    await until('following')
    const { clock } = past.net
    expect(await status()).toMatchObject({
      origin: log.origin,
      url: served.url,
      size: log.size,
      root: toBase64(rootOf(log.entries.map(leafHash))),
      published: log.size,
      backlog: 0,
      checkpoint_age_ms: 0,
      last_success: clock.now(),
      misbehaviour: 0,
    })

    const seen: MonitorChange[] = []
    for (let after = ''; ;) {
      const page: MonitorChanges = await get(`/v1/changes?limit=100${after}`, MonitorChanges)
      expect(page.size).toBe(log.size)
      seen.push(...page.changes)
      after = `&after=${page.next}`
      if (page.changes.length < 100) {
        expect(page.next).toBe(String(log.size))
        break
      }
    }
    expect(seen.map(({ index, name }) => ({ index, name }))).toEqual(delegations())
    const name = nameToText(past.names.insecure)
    const view: MonitorName = await get(`/v1/names/${name}`, MonitorName)
    expect(view).toMatchObject({
      name,
      logs: [{ origin: log.origin, size: log.size, checked_at: clock.now() }],
    })
    expect(view.entries).toEqual(seen.filter((change) => change.name === name))
    expect(view.entries.map(({ ds, signed }) => [signed, ds.length])).toEqual([
      [true, 1],
      [false, 0],
      [true, 1],
    ])
    expect(view.entries[0]!.ds[0]).toMatch(/^\d+ 13 2 [0-9A-F]{64}$/)
    expect(view.entries[0]!.zone).toBe('se.')
    const nobody: MonitorName = await get('/v1/names/nobody.example', MonitorName)
    expect(nobody).toMatchObject({ name: 'nobody.example.', entries: [], pins: [] })
    expect(await get('/v1/evidence', EvidenceList)).toEqual({ evidence: [], next: '0' })

    expect((await ask('/healthz')).status).toBe(200)
    expect((await ask('/readyz')).status).toBe(200)
    const metrics = await (await ask('/metrics')).text()
    const of = `log="${log.origin}"`
    for (const line of [
      `dslog_monitor_verified_size{${of},service="monitor"} ${log.size}`,
      `dslog_monitor_backlog_entries{${of},service="monitor"} 0`,
      `dslog_monitor_misbehaviour{${of},service="monitor"} 0`,
      `dslog_monitor_state{${of},state="following",service="monitor"} 1`,
      `dslog_monitor_checkpoint_age_seconds{${of},service="monitor"} 0`,
      `dslog_monitor_verified_age_seconds{${of},service="monitor"} 0`,
    ]) {
      expect(metrics).toContain(`\n${line}\n`)
    }
    const { paths } = (await (await ask('/openapi.json')).json()) as { paths: object }
    expect(Object.keys(paths).sort()).toEqual([
      '/feeds/{feed}',
      '/v1/alerts/{id}/ack',
      '/v1/changes',
      '/v1/evidence',
      '/v1/monitor',
      '/v1/names/{name}',
      '/v1/status',
      '/v1/subscriptions',
      '/v1/subscriptions/{id}',
      '/v1/subscriptions/{id}/alerts',
      '/v1/subscriptions/{id}/channels',
      '/v1/subscriptions/{id}/channels/{channel}',
      '/v1/subscriptions/{id}/channels/{channel}/resend',
      '/v1/subscriptions/{id}/confirm',
      '/v1/subscriptions/{id}/pins',
      '/v1/subscriptions/{id}/pins/confirm',
      '/v1/subscriptions/{id}/test',
      '/v1/subscriptions/{id}/windows',
    ])
    expect((await ask('/docs/')).status).toBe(200)
  })

  test('answers what makes no sense with a problem', async () => {
    const { ask } = await start()
    for (const [path, status, problem] of [
      ['/v1/changes?after=x', 400, 'validation'],
      ['/v1/changes?after=-1', 400, 'validation'],
      ['/v1/changes?after=999999', 404, 'beyond-published-tree'],
      ['/v1/changes?limit=0', 400, 'validation'],
      ['/v1/changes?limit=257', 400, 'validation'],
      ['/v1/evidence?after=1.5', 400, 'validation'],
      ['/v1/evidence?limit=101', 400, 'validation'],
      [`/v1/names/${'a'.repeat(64)}.fi`, 400, 'validation'],
      ['/v1/nothing', 404, 'not-found'],
    ] as const) {
      const answer = await ask(path)
      expect([path, answer.status]).toEqual([path, status])
      expect(answer.headers.get('content-type')).toContain('application/problem+json')
      expect(await answer.json()).toMatchObject({ type: `urn:dslog:problem:${problem}` })
    }
  })

  test('goes on after a restart, and looks again when its interval is over', async () => {
    const { get, until } = await start()
    await until('following')
    grow(log, past.scribe)
    past.net.clock.advance(20_000)
    const size = async () => (await get<MonitorChanges>('/v1/changes', MonitorChanges)).size
    await expect.poll(size).toBe(log.size)
    await running?.stop()
    log.asked.length = 0
    const again = await start()
    await again.until('following')
    expect((await again.status()).size).toBe(log.size)
    expect(log.asked).toEqual(['checkpoint'])
  })

  test('stops while the log keeps it waiting', async () => {
    const waiting = vi.fn<(path: string) => void>()
    const server = createServer((request, response) => {
      const path = request.url ?? ''
      // A bundle is asked for with an end of its own, a tile is not.
      if (/^\/tile\/\d/.test(path)) waiting(path)
      else response.end(log.files.get(path.slice(1)))
    })
    const port = await listenOnLoopback(server)
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const own = await mkdtemp(join(tmpdir(), 'dslog-monitor-'))
    onTestFinished(() => rm(own, { recursive: true, force: true }))
    const env = {
      DSLOG_DATA: own,
      DSLOG_MONITOR_POLICY: join(folder, 'policy'),
      DSLOG_MONITOR_LOG_URL: `http://127.0.0.1:${port}`,
    }
    const { components } = monitorService({ config: config(env), logger: silent })
    running = new Lifecycle(components, silent)
    await running.start()
    await expect.poll(() => waiting.mock.calls).not.toEqual([])
    await running.stop()
  })

  test('shares its folder with no other', async () => {
    await start()
    const second = openMonitor({ config: config(), logger: silent })
    await expect(second).rejects.toMatchObject({ name: 'EmbeddedLocked' })
  })

  test('follows every log of its policy', async () => {
    const second = new LyingLog('second.example/ds')
    grow(second, past.scribe, past.trees.at(-2))
    const other = await second.serve()
    onTestFinished(() => other.close())
    const path = join(folder, 'both')
    const lines = [`log ${log.vkey} ${served.url}`, `log ${second.vkey} ${other.url}`]
    await writeFile(path, [...lines, 'quorum none', ''].join('\n'))
    const { ask, get } = await start({ DSLOG_MONITOR_POLICY: path, DSLOG_MONITOR_LOG_URL: '' })
    const logs = async () => (await get<MonitorStatus>('/v1/status', MonitorStatus)).logs
    await expect
      .poll(async () => (await logs()).map(({ state }) => state))
      .toEqual(['following', 'following'])
    expect((await logs()).map(({ origin, size }) => [origin, size])).toEqual([
      [log.origin, log.size],
      [second.origin, second.size],
    ])
    const ofSecond = `/v1/changes?log=${encodeURIComponent(second.origin)}`
    const page: MonitorChanges = await get(ofSecond, MonitorChanges)
    expect(page.size).toBe(second.size)
    expect(new Set(page.changes.map((change) => change.log))).toEqual(new Set([second.origin]))
    expect((await ask('/v1/changes?log=nobody')).status).toBe(404)
    const name = nameToText(past.names.insecure)
    const view: MonitorName = await get(`/v1/names/${name}`, MonitorName)
    expect(view.logs.map(({ origin }) => origin)).toEqual([log.origin, second.origin])
    expect(view.entries.map((entry) => entry.log)).toEqual(
      expect.arrayContaining([log.origin, second.origin]),
    )
    const metrics = await (await ask('/metrics')).text()
    for (const { origin, size } of [log, second]) {
      const line = `dslog_monitor_verified_size{log="${origin}",service="monitor"} ${size}`
      expect(metrics).toContain(`\n${line}\n`)
    }
  })

  test('shows what the log was caught at, and is ready to', async () => {
    const { clock } = past.net
    const other = log.fork(log.size - 4).append(...log.entries.slice(0, 10))
    other.sign()
    log.files.clear()
    for (const [path, file] of other.files) log.files.set(path, file)
    const { ask, get, status, until } = await start()
    await until('misbehaving')
    expect(await status()).toMatchObject({ size: log.size, published: other.size, misbehaviour: 1 })
    const list: EvidenceList = await get('/v1/evidence', EvidenceList)
    expect(list.evidence).toMatchObject([
      { id: 1, origin: log.origin, kind: 'fork', found_at: clock.now() },
    ])
    const [{ evidence, kind }] = list.evidence as [EvidenceList['evidence'][number]]
    verifyFinding(decodeFinding(kind, JSON.stringify(evidence)), [log.key])
    const next: EvidenceList = await get(`/v1/evidence?after=${list.next}`, EvidenceList)
    expect(next).toEqual({ evidence: [], next: '1' })
    expect((await ask('/readyz')).status).toBe(200)
    const metrics = await (await ask('/metrics')).text()
    expect(metrics).toContain(
      `\ndslog_monitor_misbehaviour{log="${log.origin}",kind="fork",service="monitor"} 1\n`,
    )
    expect(metrics).toContain(
      `\ndslog_monitor_state{log="${log.origin}",state="misbehaving",service="monitor"} 1\n`,
    )
  })
})

describe('a monitor does not start', () => {
  const expectRefused = async (env: Readonly<Record<string, string>>, error: object) =>
    expect(openMonitor({ config: config(env), logger: silent })).rejects.toMatchObject(error)

  test('without a policy, or with one that is none', async () => {
    const missing = join(folder, 'missing')
    await expectRefused(
      { DSLOG_MONITOR_POLICY: missing },
      {
        code: 'policy',
        message: expect.stringContaining(missing),
      },
    )
    const broken = join(folder, 'broken')
    await writeFile(broken, 'log nobody\n')
    await expectRefused({ DSLOG_MONITOR_POLICY: broken }, { code: 'policy' })
  })

  test('with a policy of two logs of which one has no URL, or with one URL for both', async () => {
    const path = join(folder, 'two')
    const [one, other] = [log.vkey, new LyingLog('other.example').vkey]
    await writeFile(path, `log ${one} ${served.url}\nlog ${other}\nquorum none\n`)
    const message = expect.stringContaining('other.example')
    const env = { DSLOG_MONITOR_POLICY: path, DSLOG_MONITOR_LOG_URL: '' }
    await expectRefused(env, { code: 'policy', message })
    await expectRefused({ DSLOG_MONITOR_POLICY: path }, { code: 'policy' })
  })

  test('without a URL; the policy may have one', async () => {
    await expectRefused(
      { DSLOG_MONITOR_LOG_URL: '' },
      {
        code: 'policy',
        message: expect.stringContaining('DSLOG_MONITOR_LOG_URL'),
      },
    )
    const path = join(folder, 'with-url')
    await writeFile(path, `log ${log.vkey} ${served.url}\nquorum none\n`)
    const env = { DSLOG_MONITOR_POLICY: path, DSLOG_MONITOR_LOG_URL: '' }
    const opened = await openMonitor({ config: config(env), logger: silent })
    onTestFinished(() => opened.close())
    expect(opened.logs[0]!.url).toBe(served.url)
  })

  test('with anchors that are none', async () => {
    const path = join(folder, 'no-anchors')
    await writeFile(path, 'nothing\n')
    await expectRefused({ DSLOG_ANCHORS: path }, { name: 'DnssecError' })
  })

  test('with what is no configuration', () => {
    expect(() => config({ DSLOG_MONITOR_INTERVAL: 'soon' })).toThrow(ConfigError)
    expect(() => config({ DSLOG_MONITOR_LOG_URL: 'ftp://log.example' })).toThrow(ConfigError)
    expect(() => config({ DSLOG_MONITOR_POLICE: 'x' })).toThrow('DSLOG_MONITOR_POLICY')
    const { interval, port } = readConfig({ monitor: MONITOR_CONFIG }, {}).monitor
    expect([interval, port]).toEqual([10_000, 8081])
  })
})
