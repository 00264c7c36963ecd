/**
 * Whether a service lives (restart it otherwise) and whether it is ready (send it no traffic otherwise), from named checks.
 * A check says in a word what is wrong; what it throws stays in the log, since the answer is public.
 */
import type { Logger } from './log.ts'

/** What a check finds: nothing, or a short public text on what is wrong. */
export type Check = () => string | undefined | Promise<string | undefined>

/** Every check and what it found. */
export interface HealthReport {
  ok: boolean
  checks: Record<string, string>
}

/** A check that has not answered by then has failed, ms: probes usually give up after some seconds. */
const CHECK_TIMEOUT = 2_000

/** The checks of one service. */
export class Health {
  readonly #live = new Map<string, Check>()
  readonly #ready = new Map<string, Check>()
  readonly #logger: Logger | undefined
  #stopping = false

  constructor(logger?: Logger) {
    this.#logger = logger
  }

  /** A condition without which the service cannot serve, for now: the database answers, the log was followed. */
  ready(name: string, check: Check): void {
    this.#ready.set(name, check)
  }

  /** A condition without which only a restart helps: a loop has stopped. It also counts for readiness. */
  live(name: string, check: Check): void {
    this.#live.set(name, check)
  }

  /** From now on not ready: a load balancer turns away before the sockets close. */
  stopping(): void {
    this.#stopping = true
  }

  /** Runs the checks of /healthz. */
  async checkLive(): Promise<HealthReport> {
    return this.#run(this.#live)
  }

  /** Runs the checks of /readyz: all of them. */
  async checkReady(): Promise<HealthReport> {
    if (this.#stopping) return { ok: false, checks: { process: 'stopping' } }
    return this.#run(new Map([...this.#live, ...this.#ready]))
  }

  async #run(checks: ReadonlyMap<string, Check>): Promise<HealthReport> {
    const found = await Promise.all(
      [...checks].map(async ([name, check]): Promise<[string, string | undefined]> => {
        return [name, await this.#one(name, check)]
      }),
    )
    return {
      ok: found.every(([, wrong]) => wrong === undefined),
      checks: Object.fromEntries(found.map(([name, wrong]) => [name, wrong ?? 'ok'])),
    }
  }

  async #one(name: string, check: Check): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve('no answer'), CHECK_TIMEOUT)
    })
    try {
      return await Promise.race([Promise.resolve().then(check), late])
    } catch (error) {
      this.#logger?.warn({ err: error, check: name }, 'health check failed')
      return 'failed'
    } finally {
      clearTimeout(timer)
    }
  }
}
