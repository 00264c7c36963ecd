/** `dslog log` and `dslog monitor`: one service a process, configured by the environment. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, expect, it } from 'vitest'
import { freePort } from '@dslog/testbed/program'
import { dslog, Folders, start } from './dslog.ts'

const folders = new Folders()
const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})
afterAll(() => folders.remove())

/** A port that is free, and so are the next two. */
async function threeFreePorts(): Promise<number> {
  for (;;) {
    const servers = [createServer(), createServer(), createServer()] as const
    try {
      const port = await listen(servers[0], 0)
      await listen(servers[1], port + 1)
      await listen(servers[2], port + 2)
      return port
    } catch {
      // Somebody has one of them.
    } finally {
      for (const server of servers) server.close()
    }
  }
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return (server.address() as { port: number }).port
}

/** A service that runs until it is told to end, and has answered once. */
async function service(args: readonly string[], url: string, env: Record<string, string>) {
  const child = start(args, env)
  children.push(child)
  let said = ''
  child.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ready = async () => {
    if (child.exitCode !== null) throw new Error(`it has ended: ${said}`)
    return fetch(`${url}/readyz`).then(
      ({ status }) => status,
      () => 0,
    )
  }
  await expect.poll(ready, { interval: 200 }).toBe(200)
  const stop = async (): Promise<number | null> => {
    child.kill('SIGTERM')
    const [code] = (await once(child, 'close')) as [number | null]
    return code
  }
  return { stop, said: () => said }
}

it('a log and a monitor, each alone', async () => {
  const data = folders.make()
  const logPort = await freePort()
  const logUrl = `http://127.0.0.1:${logPort}`
  const env = { DSLOG_DATA: data, DSLOG_LOG_PORT: String(logPort) }

  // A log is not made by starting one.
  const none = await dslog(['log'], { env })
  expect(none.code).toBe(4)
  expect(none.stderr).toMatch(/^dslog: cannot read the key file [^\n]+\n$/)

  const made = await service(['log', '--create', '--origin', 'log.example/alone'], logUrl, env)
  const checkpoint = await (await fetch(`${logUrl}/checkpoint`)).text()
  expect(checkpoint).toMatch(/^log\.example\/alone\n1\n/)

  // The second process on the folder, however it comes.
  const second = await dslog(['log'], { env: { ...env, DSLOG_LOG_PORT: '0' } })
  expect(second.code).toBe(3)
  expect(second.stderr).toMatch(/in use by process \d+/)
  expect(await made.stop()).toBe(0)
  for (const line of made.said().trim().split('\n').filter(Boolean)) {
    expect(JSON.parse(line)).toMatchObject({ service: 'log' })
  }

  const log = await service(['log'], logUrl, env)
  expect(await (await fetch(`${logUrl}/checkpoint`)).text()).toBe(checkpoint)

  const port = await freePort()
  const monitorUrl = `http://127.0.0.1:${port}`
  const monitor = await service(['monitor'], monitorUrl, {
    DSLOG_DATA: data,
    DSLOG_MONITOR_LOG_URL: logUrl,
    DSLOG_MONITOR_PORT: String(port),
    DSLOG_MONITOR_INTERVAL: '200ms',
  })
  const status = async () => {
    const body = (await (await fetch(`${monitorUrl}/v1/status`)).json()) as { logs: object[] }
    return body.logs[0]
  }
  await expect
    .poll(status)
    .toMatchObject({ origin: 'log.example/alone', state: 'following', size: 1 })
  expect(await monitor.stop()).toBe(0)
  expect(await log.stop()).toBe(0)
  expect(await readFile(join(data, 'policy'), 'utf8')).toContain('log log.example/alone+')
})

it('both in one process, and it says in words what there is and what is not', async () => {
  const port = await threeFreePorts()
  const data = folders.make()
  const url = `http://127.0.0.1:${port}`
  const args = ['up', '--data', data, '--port', String(port), '--origin', 'log.example/words']
  // It would transfer the root zone, from a server that is not there.
  const { said, stop } = await service(args, url, {
    DSLOG_CRAWLER_TRANSFERS: '.@127.0.0.1:1',
    DSLOG_CRAWLER_TRANSFER_INTERVAL: '1d',
  })
  await expect.poll(said).toContain('Ctrl-C stops it.')
  for (const text of [
    `log.example/words: 1 entry, in ${data}\n`,
    `  log       ${url} `,
    `  monitor   http://127.0.0.1:${port + 1} `,
    '  vkey      log.example/words+',
    `  policy    ${join(data, 'policy')} `,
    `  crawler   http://127.0.0.1:${port + 2} `,
    'The crawler transfers the root zone, every day if changed. What the log knows is asked',
    `  explorer  ${url}/\n`,
    '  npx dslog import FILE',
  ]) {
    expect(said()).toContain(text)
  }
  expect(await stop()).toBe(0)
  // Nothing but that: no log lines of the services.
  expect(said()).not.toContain('{')
})

it('a monitor that is not told what to follow', async () => {
  const data = folders.make()
  const none = await dslog(['monitor'], { env: { DSLOG_DATA: data } })
  expect(none.code).toBe(2)
  expect(none.stderr).toMatch(/^dslog: [^\n]*policy[^\n]*\n$/)
})

it('a setting that cannot be', async () => {
  const env = { DSLOG_LOG_PORT: 'http', DSLOG_MONITOR_INTERVAL: 'often' }
  for (const command of ['log', 'monitor']) {
    const called = await dslog([command, '--data', folders.make()], { env })
    expect(called).toMatchObject({ code: 2, stdout: '' })
    expect(called.stderr).toMatch(/^dslog: configuration: DSLOG_LOG_PORT must be [^\n]+\n$/)
    expect(called.stderr).toContain('DSLOG_MONITOR_INTERVAL')
  }
})
