/**
 * A log and three witnesses, which are monitors of ours, over HTTP: two of three must cosign. One of
 * them also audits, one signs with ML-DSA-44, one is a process that is killed between remembering a
 * tree and answering.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { utf8 } from '@dslog/tlog/bytes'
import { formatCheckpoint } from '@dslog/tlog/checkpoint'
import { LogClient } from '@dslog/tlog/client'
import { signerOf } from '@dslog/tlog/cosignature'
import { sha256 } from '@dslog/tlog/hash'
import { HttpClient } from '@dslog/tlog/http'
import { formatSkey, formatVkey, KEY_TYPE, signerKey, type SignerKey } from '@dslog/tlog/key'
import { signNote } from '@dslog/tlog/note'
import { parsePolicy, type TrustedCheckpoint } from '@dslog/tlog/policy'
import { formatAddCheckpoint, witnessedPath } from '@dslog/tlog/witness'
import { nameFromText } from '@dslog/dnssec/name'
import type { LogInfo, MonitorStatus } from '@dslog/schema/api'
import { policyText } from '@dslog/log/policy'
import { MONITOR_CONFIG } from '@dslog/monitor/config'
import { monitorService } from '@dslog/monitor/main'
import { readConfig } from '@dslog/service/config'
import { Lifecycle } from '@dslog/service/run'
import { TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { testKey } from '@dslog/testbed/notekey'
import { ownerDs } from '@dslog/testbed/stories'
import { freePort } from '@dslog/testbed/program'
import { startLogService } from '../logservice.ts'
import { keyOf, ORIGIN, type Place, Places } from '../place.ts'
import { FROM_SOURCE } from '../repository.ts'
import { silent } from '../silent.ts'
import { observe } from '../testlog.ts'

const MONITOR = fileURLToPath(new URL('../fault/monitor.ts', import.meta.url))
const places = await Places.open(['embedded'])
afterAll(() => places.close())

const net = new Internet({ clock: new TestClock(Date.now()) })
const fi = net.addZone('fi.')

/** A key made from its name, so that each test and process knows it. */
function keyFor(name: string, type: (typeof KEY_TYPE)[keyof typeof KEY_TYPE]): SignerKey {
  return signerKey(name, type, new Uint8Array(sha256(utf8(name))))
}
const LOG_PQ = testKey(ORIGIN, KEY_TYPE.mldsa44, 5)
const W0 = keyFor('w0.example', KEY_TYPE.cosignature)
const AUDITOR = keyFor('auditor.example', KEY_TYPE.cosignature)
const W1 = keyFor('w1.example', KEY_TYPE.mldsa44)
const W2 = keyFor('w2.example', KEY_TYPE.cosignature)

const running: { stop(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.stop().catch(() => {})
})

let ports: { log: number; w: [number, number, number] }
let monitors: [Place, Place, Place]
let logPlace: Place
let policy: string

beforeEach(async () => {
  ports = { log: await freePort(), w: [await freePort(), await freePort(), await freePort()] }
  logPlace = await places.make('embedded', net.anchors)
  const make = (): Promise<Place> => places.make('embedded', net.anchors, 'monitor')
  monitors = [await make(), await make(), await make()]
  const url = (at: number) => `http://127.0.0.1:${ports.w[at]}`
  const witnesses =
    `witness w0 ${formatVkey(W0)} ${url(0)}\nwitness audit ${formatVkey(AUDITOR)} ${url(0)}\n` +
    `witness w1 ${formatVkey(W1)} ${url(1)}\nwitness w2 ${formatVkey(W2)} ${url(2)}\n` +
    `group g 2 w0 w1 w2\nquorum g\n`
  await writeFile(join(logPlace.data, 'witnesses'), witnesses)
  const vkeys = [keyOf(), LOG_PQ].map(formatVkey)
  policy = policyText(vkeys, `http://127.0.0.1:${ports.log}`, parsePolicy(witnesses))
  for (const { data } of monitors) await writeFile(join(data, 'policy'), policy)
})

function monitorEnv(at: 0 | 1 | 2): Record<string, string> {
  const keys = [
    { DSLOG_MONITOR_WITNESS_KEY: formatSkey(W0), DSLOG_MONITOR_AUDITOR_KEY: formatSkey(AUDITOR) },
    { DSLOG_MONITOR_WITNESS_KEY: formatSkey(W1) },
    { DSLOG_MONITOR_WITNESS_KEY: formatSkey(W2) },
  ] as const
  const { env } = monitors[at]
  const port = String(ports.w[at])
  return { ...env, ...keys[at], DSLOG_MONITOR_PORT: port, DSLOG_MONITOR_INTERVAL: '200ms' }
}

async function startMonitor(at: 0 | 1 | 2): Promise<Lifecycle> {
  const { monitor: config } = readConfig({ monitor: MONITOR_CONFIG }, monitorEnv(at))
  return started(monitorService({ config, logger: silent }).components)
}

/** One in a process of its own, which may be told where to die. */
async function startProcess(at: 0 | 1 | 2, crash?: string): Promise<ChildProcess> {
  const env = { ...process.env, ...monitorEnv(at) }
  const child = spawn(process.execPath, [...FROM_SOURCE, MONITOR], {
    env: crash === undefined ? env : { ...env, DSLOG_TEST_CRASH: crash },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.push({
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  })
  for await (const line of createInterface({ input: child.stdout })) {
    if ((JSON.parse(line) as { msg?: string }).msg === 'ready') break
  }
  child.stdout.resume()
  return child
}

async function startLog() {
  const env = {
    ...logPlace.env,
    DSLOG_LOG_KEY: `${formatSkey(keyOf())}\n${formatSkey(LOG_PQ)}`,
    DSLOG_LOG_PORT: String(ports.log),
    DSLOG_LOG_PUBLISH_INTERVAL: '50ms',
    DSLOG_LOG_WITNESS_POLICY: join(logPlace.data, 'witnesses'),
  }
  const log = await startLogService(env)
  running.push(log.life)
  return log
}

async function started(components: ConstructorParameters<typeof Lifecycle>[0]): Promise<Lifecycle> {
  const lifecycle = new Lifecycle(components, silent)
  running.push(lifecycle)
  await lifecycle.start()
  return lifecycle
}

function reader(url: string, text = policy): LogClient {
  const edges = { fetch, now: Date.now, random: Math.random }
  return new LogClient(url, parsePolicy(text), new HttpClient(edges, { retries: 0 }))
}

/** The newest checkpoint, once it satisfies the policy and has so many entries. */
async function published(url: string, size = 1): Promise<TrustedCheckpoint> {
  const found: TrustedCheckpoint[] = []
  await expect
    .poll(
      async () => {
        const newest = await reader(url)
          .checkpoint()
          .catch(() => undefined)
        if (newest !== undefined) found[0] = newest
        return newest?.checkpoint.size
      },
      { interval: 50 },
    )
    .toBeGreaterThanOrEqual(size)
  return found[0]!
}

const signers = ({ witnesses }: TrustedCheckpoint) => witnesses.map(({ name }) => name)

let made = 0
async function grow({ opened }: Awaited<ReturnType<typeof startLog>>): Promise<number> {
  const owner = nameFromText(`witnessed${++made}.fi.`)
  fi.delegate(owner, [ownerDs(owner)])
  const [result] = await opened.admitter.submit([observe(net, owner)])
  expect(result?.status).toBe('logged')
  return opened.log.published.size
}

describe('two of three', () => {
  test('cosign, whoever of them is away; the auditor cosigns what it has replayed', async () => {
    const [first] = [await startMonitor(0), await startMonitor(1)]
    const log = await startLog()
    await published(log.url)
    const size = await grow(log)
    // One has never been there. The policy that asks for the auditor is satisfied too, soon after.
    await expect
      .poll(async () => signers(await published(log.url, size)))
      .toEqual(['w0', 'audit', 'w1'])
    const info = (await (await fetch(`${log.url}/v1/log`)).json()) as LogInfo
    expect(info.policy).toBe(policyText(info.vkeys, undefined, parsePolicy(policy)))
    expect(info.vkeys).toEqual([keyOf(), LOG_PQ].map(formatVkey))

    // Now the third comes, far behind, and the first goes.
    await first.stop()
    await startMonitor(2)
    const larger = await grow(log)
    await expect.poll(async () => signers(await published(log.url, larger))).toEqual(['w1', 'w2'])
    const shown = await fetch(`http://127.0.0.1:${ports.w[2]}/${witnessedPath(ORIGIN)}`)
    expect(await shown.text()).toContain(`${ORIGIN}\n${larger}\n`)
    await expect
      .poll(async () => {
        const answer = await fetch(`http://127.0.0.1:${ports.w[2]}/v1/status`)
        return ((await answer.json()) as MonitorStatus).logs[0]
      })
      .toMatchObject({ state: 'following', size: larger, misbehaviour: 0 })
  })

  test('publish nothing without a third; readers see the tree before', async () => {
    const [, second] = [await startMonitor(0), await startMonitor(1)]
    const log = await startLog()
    const before = await published(log.url)
    await second.stop()
    const growing = grow(log)
    await expect.poll(() => log.opened.log.shown.waiting).toBeGreaterThan(300)
    expect((await reader(log.url).checkpoint()).checkpoint.size).toBe(before.checkpoint.size)
    await startMonitor(2)
    expect(await growing).toBeGreaterThan(before.checkpoint.size)
    expect(signers(await published(log.url, before.checkpoint.size + 1))).toContain('w2')
  })

  test('a witness killed between remembering and answering is asked again, and has not lost count', async () => {
    await startMonitor(0)
    const before = await startProcess(2)
    const log = await startLog()
    const { checkpoint } = await published(log.url)
    // All that was asked of it has been answered: what it remembers next is the next tree.
    before.kill('SIGKILL')
    await once(before, 'exit')
    const child = await startProcess(2, 'witness.remembered')
    const died = once(child, 'exit')
    const growing = grow(log)
    expect(await died).toEqual([null, 'SIGKILL'])
    expect((await reader(log.url).checkpoint()).checkpoint.size).toBe(checkpoint.size)

    await startProcess(2)
    const shown = await fetch(`http://127.0.0.1:${ports.w[2]}/${witnessedPath(ORIGIN)}`)
    expect(await shown.text()).toContain(`${ORIGIN}\n${log.opened.log.size}\n`)
    const size = await growing
    expect(size).toBe(log.opened.log.size)
    expect(signers(await published(log.url, size))).toEqual(expect.arrayContaining(['w0', 'w2']))
  })

  test('a fork is refused by each of them, and its evidence is kept', async () => {
    await startMonitor(0)
    await startMonitor(1)
    const log = await startLog()
    const size = await grow(log)
    const text = formatCheckpoint({
      origin: ORIGIN,
      size,
      root: sha256(utf8('another history')),
      extensions: [],
    })
    const forked = signNote(text, [signerOf(keyOf(), Date.now)])
    for (const at of [0, 1] as const) {
      const answer = await fetch(`http://127.0.0.1:${ports.w[at]}/add-checkpoint`, {
        method: 'POST',
        body: formatAddCheckpoint({ old: size, proof: [], note: forked }),
      })
      expect(answer.status).toBe(422)
    }
    await expect
      .poll(async () => {
        const answer = await fetch(`http://127.0.0.1:${ports.w[0]}/v1/status`)
        return ((await answer.json()) as MonitorStatus).logs[0]?.state
      })
      .toBe('misbehaving')
  })
})

describe('keys that change', () => {
  const NEW = testKey(ORIGIN, KEY_TYPE.ed25519, 6)
  const without = (...keys: SignerKey[]) => policyText(keys.map(formatVkey), undefined)

  test('are followed by the old policy and the new, as long as both sign', async () => {
    const run = async (...keys: SignerKey[]) => {
      const env = {
        ...logPlace.env,
        DSLOG_LOG_KEY: keys.map(formatSkey).join('\n'),
        DSLOG_LOG_ANNOUNCEMENT: 'the old key signs until 2027-03-01',
      }
      const { life, url } = await startLogService(env)
      running.push(life)
      const accepts = (text: string) =>
        reader(url, text)
          .checkpoint()
          .then(
            () => true,
            () => false,
          )
      const info = (await (await fetch(`${url}/v1/log`)).json()) as LogInfo
      const found = [await accepts(without(keyOf())), await accepts(without(NEW))]
      const both = await accepts(info.policy)
      await life.stop()
      return { found, both, vkeys: info.vkeys, announcement: info.announcement }
    }
    expect(await run(keyOf())).toMatchObject({ found: [true, false], both: true })
    const both = await run(keyOf(), NEW, LOG_PQ)
    expect(both).toMatchObject({ found: [true, true], both: true })
    expect(both.vkeys).toEqual([keyOf(), NEW, LOG_PQ].map(formatVkey))
    expect(both.announcement).toContain('2027-03-01')
    expect(await run(NEW)).toMatchObject({ found: [false, true], both: true })
  })
})
