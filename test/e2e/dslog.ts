/**
 * The built command line as other people call it: child processes, their output, their exit codes.
 * Folders of a test are gone after it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import { SHARED, sharedPath } from '@dslog/testbed/shareddata'
import type { ServiceFile } from '@dslog/cli/session'
import { dnsEnv } from '../dnsenv.ts'
import { DSLOG } from '../repository.ts'

/** Longest wait for a service to be ready, ms: three databases are made, on a busy machine. */
const READY_LIMIT = 180_000

/** No test asks other people's servers: there is nobody at this address. */
const OFFLINE: CallOptions['env'] = {
  DSLOG_CRAWLER_TRANSFERS: 'none',
  ...dnsEnv(['127.0.0.1'], 1),
}

/** One object of `--json`. */
export type Event = Record<string, unknown>

/** What a call left behind. */
export interface Called {
  readonly code: number | null
  readonly stdout: string
  readonly bytes: Uint8Array
  readonly stderr: string
  /** Of `--json`. */
  readonly events: Event[]
}

export interface CallOptions {
  readonly input?: Uint8Array | string
  readonly env?: Readonly<Record<string, string>>
}

/** Calls `dslog` and waits for its end. */
export async function dslog(
  args: readonly string[],
  { env, input }: CallOptions = {},
): Promise<Called> {
  const child = start(args, env)
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A child that needs no input may have ended before it is written.
  child.stdin!.on('error', () => {})
  child.stdin!.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  const bytes = new Uint8Array(Buffer.concat(stdout))
  const text = Buffer.concat(stdout).toString()
  const events = args.includes('--json') ? eventsOf(text) : []
  return { code, stdout: text, bytes, stderr: Buffer.concat(stderr).toString(), events }
}

/** Starts `dslog`, in an environment without settings of ours. */
export function start(args: readonly string[], env: CallOptions['env'] = {}): ChildProcess {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(DSLOG_|DATABASE_URL)/.test(name),
  )
  return spawn(process.execPath, [DSLOG, ...args], {
    env: { ...Object.fromEntries(inherited), ...OFFLINE, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

function eventsOf(text: string): Event[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Event)
}

/** How a service ended. */
export interface Ended {
  readonly code: number | null
  readonly stderr: string
}

/** A running `dslog up`. */
export class Up {
  /** Everything it said until it was ready. */
  readonly events: readonly Event[]
  readonly service: ServiceFile
  readonly #child: ChildProcess
  readonly #ended: Promise<Ended>

  private constructor(
    child: ChildProcess,
    ended: Promise<Ended>,
    events: readonly Event[],
    data: string,
  ) {
    this.#child = child
    this.#ended = ended
    this.events = events
    this.service = JSON.parse(readFileSync(join(data, 'service.json'), 'utf8')) as ServiceFile
  }

  /** Starts it on free ports, and waits until it is ready. */
  static async start(
    data: string,
    args: readonly string[] = [],
    env?: CallOptions['env'],
  ): Promise<Up> {
    const child = start(['up', '--json', '--data', data, '--port', '0', ...args], env)
    const stderr: Buffer[] = []
    child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk))
    const said = () => Buffer.concat(stderr).toString()
    const ended = once(child, 'close').then(([code]): Ended => ({
      code: code as number | null,
      stderr: said(),
    }))
    const timer = setTimeout(() => child.kill('SIGKILL'), READY_LIMIT)
    const events: Event[] = []
    try {
      for await (const line of createInterface(child.stdout!)) {
        const event = JSON.parse(line) as Event
        events.push(event)
        if (event['event'] === 'ready') return new Up(child, ended, events, data)
      }
    } finally {
      clearTimeout(timer)
    }
    throw new Error(`dslog up ended with code ${(await ended).code}: ${said()}`)
  }

  get log(): string {
    return this.service.log
  }

  get monitor(): string {
    return this.service.monitor
  }

  /** An answer of the log or the monitor. */
  async get<T>(url: string): Promise<T> {
    const response = await fetch(url)
    if (!response.ok) throw new Error(`${url} answered ${response.status}`)
    return (await response.json()) as T
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.#child.kill(signal)
    return this.#ended
  }

  /** What it is, whatever the test did before. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }
}

/** That the monitor of a service has verified everything, and found nothing. */
export async function expectFollowed(service: Up, size: number): Promise<void> {
  const status = async () => {
    const { logs } = await service.get<{ logs: object[] }>(`${service.monitor}/v1/status`)
    return logs[0]
  }
  await expect
    .poll(status, { interval: 500 })
    .toMatchObject({ state: 'following', size, published: size, backlog: 0, misbehaviour: 0 })
  const { evidence } = await service.get<{ evidence: unknown[] }>(`${service.monitor}/v1/evidence`)
  expect(evidence).toEqual([])
}

/** Folders that last as long as the tests of a file. */
export class Folders {
  readonly #base = mkdtempSync(join(tmpdir(), 'dslog-e2e-'))
  #made = 0

  /** The path of a folder that is not there yet. */
  make(): string {
    return join(this.#base, String(this.#made++))
  }

  /** The path of a file in a folder of its own name. */
  file(name: string): string {
    return join(this.#base, `${this.#made++}-${name}`)
  }

  remove(): void {
    rmSync(this.#base, { recursive: true, force: true })
  }
}

/** Whether other people's zones are there; tests that need them are skipped otherwise. */
export const HAS_DATA: boolean = sharedPath('data') !== undefined

/** A file of other people's data (shared/data), read in place. */
export function shared(path: string): string {
  return join(SHARED, 'data', path)
}
