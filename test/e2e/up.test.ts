/** Life of `dslog up`: what it leaves in its folder, who may not share it, how it ends. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { formatAnchors } from '@dslog/dnssec/anchors'
import { nameFromText } from '@dslog/dnssec/name'
import { TestClock } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { NameServers } from '@dslog/testbed/nameserver'
import { ownerDs } from '@dslog/testbed/stories'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { dnsEnv } from '../dnsenv.ts'
import { dslog, type Event, Folders, Up } from './dslog.ts'
import { Registry } from './registry.ts'

const folders = new Folders()
const running: Up[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((up) => up.kill()))
})
afterAll(() => folders.remove())

async function up(data: string, args: readonly string[] = [], env?: Record<string, string>) {
  const started = await Up.start(data, args, env)
  running.push(started)
  return started
}

const modeOf = async (path: string) => (await stat(path)).mode % 0o1000

describe('without a network', () => {
  it('says so plainly, is healthy, and takes the root when it comes', async () => {
    const net = new Internet({ clock: new TestClock(Date.now()), servers: 1 })
    const owner = nameFromText('fi.')
    net.root.delegate(owner, [ownerDs(owner)])
    const servers = await NameServers.start(net)
    const root = servers.of(net.root)
    for (const server of root) server.inject('drop')
    try {
      const data = folders.make()
      const anchors = join(folders.make(), 'anchors')
      await mkdir(dirname(anchors))
      await writeFile(anchors, formatAnchors(net.anchors))
      const [address] = root.map((server) => server.address)
      const service = await up(data, [], {
        DSLOG_ANCHORS: anchors,
        ...dnsEnv([address!], servers.port),
        DSLOG_CRAWLER_TRANSFERS: `.@${address}`,
        DSLOG_CRAWLER_TRANSFER_INTERVAL: '1s',
      })
      const { crawler } = service.service
      const reason = async (): Promise<unknown> => {
        const { sources } = await service.get<{ sources: Event[] }>(`${crawler}/v1/sources`)
        return sources.find(({ id }) => id === 'axfr:.')?.['reason']
      }
      await expect.poll(reason).toMatch(/no answer/)
      for (const url of [service.log, service.monitor, crawler]) {
        expect((await fetch(`${url}/healthz`)).status).toBe(200)
        expect((await fetch(`${url}/readyz`)).status).toBe(200)
      }
      for (const server of root) server.heal()
      const name = (): Promise<number> => fetch(`${service.log}/v1/names/fi`).then((r) => r.status)
      await expect.poll(name).toBe(200)
      await expect.poll(reason).toBeNull()
      const { code, stderr } = await service.stop()
      expect(code).toBe(0)
      // Once each, however often it was tried.
      expect(stderr.trim().split('\n')).toEqual([
        expect.stringMatching(
          /^crawler: the root zone: not fetched: .*; trying again every minute$/,
        ),
        'crawler: the root zone: works again',
      ])
    } finally {
      await servers.stop()
    }
  })
})

describe('a fresh folder', () => {
  it('becomes a log with a monitor; commands beside it need no options but the folder', async () => {
    const data = folders.make()
    const service = await up(data, ['--origin', 'log.example/fresh'])
    expect(service.events).toEqual([
      {
        event: 'ready',
        origin: 'log.example/fresh',
        size: 1,
        log: service.log,
        monitor: service.monitor,
        crawler: service.service.crawler,
        data,
        policy: join(data, 'policy'),
        vkey: expect.stringMatching(/^log\.example\/fresh\+[0-9a-f]{8}\+[\w+/=]+$/),
      },
    ])
    expect((await readdir(data)).sort()).toEqual([
      'crawler',
      'log',
      'log.key',
      'monitor',
      'monitor-secret',
      'policy',
      'service.json',
      'signer.json',
    ])
    for (const secret of ['log.key', 'service.json']) {
      expect(await modeOf(join(data, secret))).toBe(0o600)
    }
    const { log, monitor, operator_token: token, pid } = service.service
    expect(pid).toBeGreaterThan(1)
    expect(token).toMatch(/^[\w-]{43}$/)
    // What it is, over HTTP.
    const info = await service.get<Event>(`${log}/v1/log`)
    expect(info).toMatchObject({ origin: 'log.example/fresh' })
    expect(info['policy']).toBe(await readFile(join(data, 'policy'), 'utf8'))
    for (const url of [log, monitor]) {
      expect((await fetch(`${url}/readyz`)).status).toBe(200)
      expect((await fetch(`${url}/openapi.json`)).status).toBe(200)
    }
    // A token opens what needs one, and another does not.
    const submit = (authorization: string) =>
      fetch(`${log}/v1/observations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: JSON.stringify({ observations: [{ owner: 'fi.', historical: true }] }),
      })
    expect((await submit(`Bearer ${token}`)).status).toBe(200)
    expect((await submit('Bearer guess')).status).toBe(403)

    const beside = await dslog(['audit', '--json', '--data', data])
    expect(beside).toMatchObject({ code: 0, events: [{ size: 1, names: 0 }] })
    const env = { DSLOG_DATA: data }
    expect(await dslog(['history', 'fi.'], { env })).toMatchObject({ code: 0 })

    // Another one may not have the folder meanwhile, whatever it wants of it.
    const second = await dslog(['up', '--data', data, '--port', '0'])
    expect(second).toMatchObject({ code: 3, stdout: '' })
    expect(second.stderr).toBe(
      `dslog: ${data} is in use: dslog runs there as process ${pid}, at ${log}\n`,
    )
    const check = await dslog(['fsck', '--data', data])
    expect(check).toMatchObject({ code: 3, stdout: '' })
    expect(check.stderr).toMatch(/^dslog: [^\n]+is in use by process \d+[^\n]*\n$/)

    expect(await service.stop('SIGTERM')).toEqual({ code: 0, stderr: '' })
    expect(existsSync(join(data, 'service.json'))).toBe(false)
  })
})

describe('a folder that has a log', () => {
  it('keeps its name, its key and its entries over a kill', async () => {
    const data = folders.make()
    const registry = new Registry(folders.make())
    const first = await up(data, [
      '--zone-file',
      registry.rootFile(),
      '--anchors',
      registry.anchors,
    ])
    const ready = first.events.at(-1)!
    await first.kill()
    // What it left is no service: the process is gone.
    expect(existsSync(join(data, 'service.json'))).toBe(true)
    const again = await up(data, ['--anchors', registry.anchors])
    expect(again.events).toMatchObject([{ origin: ready['origin'], size: ready['size'] }])
    expect(again.service.operator_token).not.toBe(first.service.operator_token)

    const other = await dslog(['up', '--data', data, '--port', '0', '--origin', 'log.example'])
    expect(other.code).toBe(3)
    await again.stop('SIGINT')
    const renamed = await dslog(['up', '--data', data, '--port', '0', '--origin', 'log.example'])
    expect(renamed).toMatchObject({ code: 2, stdout: '' })
    expect(renamed.stderr).toContain(`is ${String(ready['origin'])}, not log.example`)
  })

  it('takes the token of its environment', async () => {
    const service = await up(folders.make(), [], { DSLOG_OPERATOR_TOKEN: 'of the operator' })
    expect(service.service.operator_token).toBe('of the operator')
  })
})

describe('a port that is taken', () => {
  /** A port that somebody has, of whom the next is free or taken too. */
  async function taken(): Promise<{ port: number; server: Server }> {
    const server = createServer()
    return { port: await listenOnLoopback(server), server }
  }

  it.each([0, 1])('is said to be, before anything is done (port + %i)', async (offset) => {
    const { port, server } = await taken()
    try {
      const data = folders.make()
      const called = await dslog(['up', '--data', data, '--port', String(port - offset)])
      expect(called).toMatchObject({ code: 3, stdout: '' })
      expect(called.stderr).toMatch(/^dslog: port \d+ of 127\.0\.0\.1 is in use: [^\n]+\n$/)
      expect(existsSync(data)).toBe(false)
    } finally {
      server.close()
    }
  })
})

describe('what cannot be done', () => {
  it('is refused: a file of names that are none', async () => {
    const names = folders.file('names')
    await writeFile(names, 'example.org\na..b\n')
    const data = folders.make()
    const called = await dslog(['up', '--data', data, '--names', names])
    expect(called).toMatchObject({ code: 2, stdout: '' })
    expect(called.stderr).toMatch(/^dslog: [^\n]*names, line 2: empty label[^\n]*\n$/)
    expect(existsSync(data)).toBe(false)
  })

  it('is refused: a zone file that is not there', async () => {
    const data = folders.make()
    const called = await dslog(['up', '--data', data, '--zone-file', '/nonexistent'])
    expect(called).toMatchObject({
      code: 2,
      stderr: 'dslog: /nonexistent: no such file or directory\n',
    })
    expect(existsSync(data)).toBe(false)
  })

  it('is refused: a setting that is none', async () => {
    const env = { DSLOG_LOG_PORTS: '1' }
    const called = await dslog(['up', '--data', folders.make()], { env })
    expect(called).toMatchObject({ code: 2, stdout: '' })
    expect(called.stderr).toContain('did you mean DSLOG_LOG_PORT?')
  })
})
