/**
 * What every command starts from: the global options, and what they lead to. `dslog up` leaves
 * `service.json` and `policy` in its folder, so commands beside it need no options at all.
 */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fromUtf8 } from '@dslog/tlog/bytes'
import { HttpClient, type HttpOptions } from '@dslog/tlog/http'
import { TlogError } from '@dslog/tlog/error'
import { parsePolicy, type Policy } from '@dslog/tlog/policy'
import type { Anchor } from '@dslog/dnssec/anchors'
import { DnssecError } from '@dslog/dnssec/error'
import { LOG_FILES } from '@dslog/log/files'
import { readInput } from '@dslog/service/input'
import { isRunningProcess } from '@dslog/service/lock'
import { VERSION } from '@dslog/service/version'
import { httpUrl } from './argument.ts'
import { type CliConfig, readCliConfig } from './config.ts'
import { readAnchors } from '@dslog/service/anchors'
import { EXIT, Failure } from './failure.ts'
import type { Io } from './io.ts'
import type { GlobalOptions } from './options.ts'
import { Output } from './output.ts'

/** What `dslog up` writes into its folder, mode 0600. */
export interface ServiceFile {
  readonly pid: number
  /** Tells the process from others that had or will have its pid. */
  readonly process: string
  readonly log: string
  readonly monitor: string
  /** Not with `--no-crawler`. */
  readonly crawler?: string
  readonly operator_token: string
}

/** How commands name themselves to a log. */
const USER_AGENT = `dslog/${VERSION}`

export const SERVICE_FILE = 'service.json'

/** One run of a command. */
export class Session {
  readonly io: Io
  readonly output: Output
  /** Folder of a log on this machine. */
  readonly data: string
  /** What the environment says. */
  readonly config: CliConfig
  readonly #options: GlobalOptions

  /** @throws ConfigError for an environment that cannot be meant */
  constructor(options: GlobalOptions, io: Io) {
    this.io = io
    this.#options = options
    this.output = new Output({ json: options.json === true, quiet: options.quiet === true }, io)
    this.config = readCliConfig(io.env)
    this.data = options.data === undefined ? this.config.data : resolve(options.data)
  }

  /** The environment of a service that this command runs on the data folder. */
  serviceEnv(overrides: Io['env'] = {}): Io['env'] {
    const anchors = this.anchorsPath()
    const own = anchors === undefined ? {} : { DSLOG_ANCHORS: anchors }
    return { ...this.io.env, DSLOG_DATA: this.data, ...own, ...overrides }
  }

  /** Requests to other machines, with this one's clock and chance. */
  http(patience: Pick<HttpOptions, 'timeoutMs' | 'retries'> = {}): HttpClient {
    const edges = { fetch: globalThis.fetch, now: Date.now, random: Math.random }
    return new HttpClient(edges, { headers: { 'user-agent': USER_AGENT }, ...patience })
  }

  /** URL of the log that was named, without a slash at its end. */
  namedLog(): string | undefined {
    const { log } = this.#options
    return log === undefined ? this.config.log : httpUrl(log)
  }

  /** URL of the log that was named, or of the one that runs beside; `undefined` if there is none. */
  async logUrl(): Promise<string | undefined> {
    return this.namedLog() ?? (await this.service())?.log
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

  /** The service that runs on the data folder, unless its process is known to be gone. */
  async service(): Promise<ServiceFile | undefined> {
    const path = join(this.data, SERVICE_FILE)
    const bytes = await bytesIfThere(path)
    if (bytes === undefined) return undefined
    let service: unknown
    try {
      service = JSON.parse(fromUtf8(bytes))
    } catch (cause) {
      throw new Failure(EXIT.usage, `${path} is not JSON: remove it`, { cause })
    }
    if (!isServiceFile(service)) {
      throw new Failure(EXIT.usage, `${path} names no service: remove it`)
    }
    return isRunningProcess(service.process) === false ? undefined : service
  }

  /** The token that lets an operator bring evidence from the past. */
  async operatorToken(): Promise<string | undefined> {
    return this.config.operatorToken?.reveal() ?? (await this.service())?.operator_token
  }

  /** What a log must satisfy. It comes from the verifier, never from the log. */
  async policy(): Promise<Policy> {
    const { policy: named } = this.#options
    const beside = named === undefined && this.namedLog() === undefined
    const path = named ?? (beside ? join(this.data, LOG_FILES.policy) : undefined)
    const text = path === undefined ? undefined : await this.#policyText(path, beside)
    if (text === undefined) {
      const here = beside ? ` (there is none in ${this.data})` : ''
      throw new Failure(EXIT.usage, `no policy to verify against: give --policy FILE${here}`)
    }
    try {
      return parsePolicy(text)
    } catch (cause) {
      if (!(cause instanceof TlogError)) throw cause
      throw new Failure(EXIT.usage, `${path}: not a policy: ${cause.message}`, { cause })
    }
  }

  async #policyText(path: string, mayLack: boolean): Promise<Uint8Array | undefined> {
    if (mayLack) return bytesIfThere(path)
    return readInput(path)
  }

  /** Trust anchors of DNSSEC. */
  async anchors(): Promise<readonly Anchor[]> {
    const path = this.anchorsPath()
    try {
      return await readAnchors(path)
    } catch (cause) {
      if (!(cause instanceof DnssecError)) throw cause
      throw new Failure(EXIT.usage, `${path}: ${cause.message}`, { cause })
    }
  }

  /** The file of trust anchors that was named; `undefined`: the root's own. */
  anchorsPath(): string | undefined {
    const { anchors } = this.#options
    return anchors === undefined ? this.config.anchors : resolve(anchors)
  }
}

async function bytesIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function isServiceFile(value: unknown): value is ServiceFile {
  if (typeof value !== 'object' || value === null) return false
  const file = value as Partial<Record<keyof ServiceFile, unknown>>
  const texts = [file.process, file.log, file.monitor, file.operator_token]
  return typeof file.pid === 'number' && texts.every((text) => typeof text === 'string')
}
