/** Two services on one database or folder: the second refuses to start, says why, and does no harm. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { Internet } from '@dslog/testbed/internet'
import { type Place, Places } from '../place.ts'
import { FROM_SOURCE } from '../repository.ts'

const places = await Places.open()
afterAll(() => places.close())

const PROGRAM = fileURLToPath(new URL('service.ts', import.meta.url))

/** A service that runs, or has ended. */
interface Service {
  readonly child: ChildProcess
  /** What it has logged. */
  readonly lines: readonly Record<string, unknown>[]
  /** Resolves with its port, or `undefined` when it ends without one. */
  readonly ready: Promise<number | undefined>
  /** Resolves with its exit code. */
  readonly ended: Promise<number | null>
}

const running = new Set<Service>()
afterEach(async () => {
  for (const { child, ended } of running) {
    child.kill('SIGKILL')
    await ended
  }
})

function start(place: Place): Service {
  const env = { ...process.env, ...place.env, DSLOG_LOG_PORT: '0' }
  const child = spawn(process.execPath, [...FROM_SOURCE, PROGRAM], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: Record<string, unknown>[] = []
  const ended = (once(child, 'exit') as Promise<[number | null]>).then(([code]) => {
    running.delete(service)
    return code
  })
  const ready = (async () => {
    for await (const text of createInterface({ input: child.stdout })) {
      const line = JSON.parse(text) as Record<string, unknown>
      lines.push(line)
      if (line['msg'] === 'ready') return line['port'] as number
    }
    return undefined
  })()
  const service = { child, lines, ready, ended }
  running.add(service)
  return service
}

/** The checkpoint that a service shows. */
async function checkpointAt(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/checkpoint`)
  expect(response.status).toBe(200)
  return response.text()
}

async function expectRunning({ ready }: Service): Promise<number> {
  const port = await ready
  expect(port).toBeGreaterThan(0)
  return port!
}

describe.each(places.kinds)('two services on one place, %s', (kind) => {
  test('the second refuses to start, with a clear message', async () => {
    const place = await places.make(kind, new Internet().anchors)
    const first = start(place)
    const port = await expectRunning(first)
    const shown = await checkpointAt(port)

    const second = start(place)
    expect(await second.ready).toBeUndefined()
    expect(await second.ended).toBe(1)
    const last = second.lines.at(-1)!
    expect(last['level']).toMatch(/error|fatal/)
    expect(last['msg']).toMatch(
      kind === 'embedded'
        ? new RegExp(`${place.data}.* is in use by process ${first.child.pid}`)
        : /lock \S+ is held by server process \d+ \(dslog-log lock log, 127\.0\.0\.1\)/,
    )
    expect(await checkpointAt(port)).toBe(shown)

    // One that was killed holds nothing.
    first.child.kill('SIGKILL')
    await first.ended
    const third = start(place)
    expect(await checkpointAt(await expectRunning(third))).toBe(shown)
    third.child.kill('SIGTERM')
    expect(await third.ended).toBe(0)
  })

  test('both at once: one of them has it', async () => {
    const place = await places.make(kind, new Internet().anchors)
    const both = [start(place), start(place)]
    const ports = (await Promise.all(both.map(({ ready }) => ready))).filter((p) => p !== undefined)
    expect(ports).toHaveLength(1)
    await checkpointAt(ports[0]!)
  })
})

describe.skipIf(places.postgres?.owned !== true)('a server that goes away', () => {
  test('takes the service along, and a new one goes on', async () => {
    const place = await places.make('postgres', new Internet().anchors)
    const first = start(place)
    const shown = await checkpointAt(await expectRunning(first))
    await places.postgres!.crash()
    expect(await first.ended).toBe(1)
    const second = start(place)
    expect(await checkpointAt(await expectRunning(second))).toBe(shown)
  })
})
