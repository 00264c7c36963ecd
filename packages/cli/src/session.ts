/**
 * What every command starts from: the global options, and what they lead to. `dslog up` leaves
 * `service.json` and `policy` in its folder, so commands beside it need no options at all.
 */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { LogClient } from '@dslog/tlog/client'
import { TlogError } from '@dslog/tlog/error'
import { HttpClient } from '@dslog/tlog/http'
import { parsePolicy, type Policy } from '@dslog/tlog/policy'
import { type Anchor, parseAnchors, ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { EXIT, Failure } from './failure.ts'
import { Output } from './output.ts'

/** Options that every command takes. */
export interface GlobalOptions {
  readonly json?: boolean
  readonly quiet?: boolean
  readonly log?: string
  readonly policy?: string
  readonly anchors?: string
  readonly data?: string
}

/** What `dslog up` writes into its folder, mode 0600. */
export interface ServiceFile {
  readonly pid: number
  readonly log: string
  readonly monitor: string
  readonly operator_token: string
}

export const SERVICE_FILE = 'service.json'
export const POLICY_FILE = 'policy'

/** One run of a command. */
export class Session {
  readonly output: Output
  /** Folder of a log on this machine. */
  readonly data: string
  readonly #options: GlobalOptions
  readonly #env: NodeJS.ProcessEnv

  constructor(options: GlobalOptions, env: NodeJS.ProcessEnv = process.env) {
    this.#options = options
    this.#env = env
    this.data = resolve(options.data ?? env['DSLOG_DATA'] ?? './data')
    this.output = new Output({ json: options.json === true, quiet: options.quiet === true })
  }

  /** Requests to other machines, with this one's clock and chance. */
  http(): HttpClient {
    return new HttpClient({ fetch: globalThis.fetch, now: Date.now, random: Math.random })
  }

  /** URL of the log that was named, or of the one that runs beside; `undefined` if there is none. */
  async logUrl(): Promise<string | undefined> {
    const named = this.#options.log ?? this.#env['DSLOG_LOG']
    return named ?? (await this.service())?.log
  }

  /** URL of a log, which this command cannot do without. */
  async requireLogUrl(): Promise<string> {
    const url = await this.logUrl()
    if (url !== undefined) return url
    throw new Failure(
      EXIT.usage,
      'which log? Give --log URL, set DSLOG_LOG, or start one with `dslog up`',
    )
  }

  /** The service that runs on the data folder, if its process is alive. */
  async service(): Promise<ServiceFile | undefined> {
    const text = await readIfThere(join(this.data, SERVICE_FILE))
    if (text === undefined) return undefined
    const service = JSON.parse(text) as ServiceFile
    return isAlive(service.pid) ? service : undefined
  }

  /** The token that lets an operator bring evidence from the past. */
  async operatorToken(): Promise<string | undefined> {
    return this.#env['DSLOG_OPERATOR_TOKEN'] ?? (await this.service())?.operator_token
  }

  /** What a log must satisfy. It comes from the verifier, never from the log. */
  async policy(): Promise<Policy> {
    const { policy } = this.#options
    const beside = this.#options.log === undefined && this.#env['DSLOG_LOG'] === undefined
    const text =
      policy === undefined
        ? beside
          ? await readIfThere(join(this.data, POLICY_FILE))
          : undefined
        : await readFile(policy, 'utf8')
    if (text === undefined) {
      throw new Failure(EXIT.usage, 'no policy to verify against: give --policy FILE')
    }
    try {
      return parsePolicy(text)
    } catch (cause) {
      if (!(cause instanceof TlogError)) throw cause
      throw new Failure(EXIT.usage, `the policy is not one: ${cause.message}`, { cause })
    }
  }

  /** Trust anchors of DNSSEC. */
  async anchors(): Promise<readonly Anchor[]> {
    const path = this.#options.anchors ?? this.#env['DSLOG_ANCHORS']
    return path === undefined ? ROOT_ANCHORS : parseAnchors(await readFile(path, 'utf8'))
  }

  /** A client that verifies all it reads. */
  async client(): Promise<LogClient> {
    return new LogClient(await this.requireLogUrl(), await this.policy(), this.http())
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
