/**
 * Life of a process: components start in order, stop in reverse order, and the first that fails takes all down with an exit
 * code that is not 0, because a supervisor restarts a dead process and nobody restarts half a one. `dslog up` runs the
 * components of several services in one list.
 */
import closeWithGrace from 'close-with-grace'
import type { Logger } from './log.ts'

/** A part of a process. */
export interface Component {
  readonly name: string
  /** Resolves when the part works. `fail` reports that it has ceased to, later. */
  start(fail: (error: unknown) => void): Promise<void> | void
  /** Ends it; is called only after `start` has resolved. */
  stop?(): Promise<void> | void
}

/** Time for one component to stop, ms: an HTTP server may have a submission open that waits 20 s for publication. */
const COMPONENT_STOP_LIMIT = 22_000

/** Time for all of them, ms: below the 30 s after which supervisors kill. */
const STOP_LIMIT = 28_000

/** Components that start, run and stop together. */
export class Lifecycle {
  /** Resolves with the first failure after the start; stays pending as long as all is well. */
  readonly failed: Promise<unknown>
  readonly #components: readonly Component[]
  readonly #logger: Logger
  readonly #started: Component[] = []
  #fail: (error: unknown) => void = () => {}
  #starting: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | undefined

  constructor(components: readonly Component[], logger: Logger) {
    this.#components = components
    this.#logger = logger
    this.failed = new Promise((resolve) => {
      this.#fail = resolve
    })
  }

  /** Starts all. If one throws, those before it are stopped and its error is thrown. */
  async start(): Promise<void> {
    this.#starting = this.#startAll()
    try {
      await this.#starting
    } catch (error) {
      await this.stop().catch(() => {})
      throw error
    }
  }

  /** Stops all that have started, each even if another fails; throws what the first of them threw. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  async #startAll(): Promise<void> {
    for (const component of this.#components) {
      // A signal during the start: what has not started does not.
      if (this.#stopping !== undefined) return
      await component.start((error) => {
        if (this.#stopping !== undefined) return
        this.#logger.fatal({ err: error, component: component.name }, 'component failed')
        this.#fail(error)
      })
      this.#started.push(component)
      this.#logger.debug({ component: component.name }, 'started')
    }
  }

  async #stopAll(): Promise<void> {
    await this.#starting.catch(() => {})
    const errors: unknown[] = []
    for (const component of this.#started.reverse()) {
      try {
        await withLimit(component, Promise.resolve(component.stop?.()))
        this.#logger.debug({ component: component.name }, 'stopped')
      } catch (error) {
        this.#logger.error({ err: error, component: component.name }, 'did not stop cleanly')
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}

async function withLimit(component: Component, stopped: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${component.name} has not stopped in ${COMPONENT_STOP_LIMIT} ms`)),
      COMPONENT_STOP_LIMIT,
    )
  })
  try {
    await Promise.race([stopped, late])
  } finally {
    clearTimeout(timer)
  }
}

/** How a process is run. */
export interface ProcessOptions {
  logger: Logger
  /** Time for all components to stop, ms. */
  stopLimit?: number
  /** Told, when everything has stopped, which failure of a component was why; gives the exit code. Default: 1. */
  onFailure?: (error: unknown) => number
}

/**
 * Runs components as a process: starts them, and exits when a signal comes (code 0), when one fails or an exception is not
 * caught (1), when stopping takes too long or a second signal comes (1). Resolves when all have started; does not return if
 * they have not.
 */
export async function runProcess(
  components: readonly Component[],
  options: ProcessOptions,
): Promise<void> {
  const { logger, onFailure, stopLimit = STOP_LIMIT } = options
  const lifecycle = new Lifecycle(components, logger)
  let failure: { error: unknown } | undefined

  const { close } = closeWithGrace({ delay: stopLimit, logger }, async ({ err, signal }) => {
    if (err !== undefined) logger.fatal({ err }, 'uncaught error')
    else if (signal !== undefined) logger.info({ signal }, 'stopping')
    await lifecycle.stop()
    if (failure === undefined) return
    // close-with-grace turns a rejection into exit code 1.
    if (onFailure === undefined) throw failure.error
    // It exits with 0 after anything else; what is set while the process exits is what counts.
    const code = onFailure(failure.error)
    process.once('exit', () => {
      process.exitCode = code
    })
  })
  const fail = (error: unknown): void => {
    failure = { error }
    close()
  }
  void lifecycle.failed.then(fail)
  try {
    await lifecycle.start()
  } catch (error) {
    fail(error)
    await new Promise(() => {})
  }
}
