/** The log of a data folder as a target of submissions, opened in this process. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { dsToText } from '@dslog/dnssec/records'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { MapKind } from '@dslog/schema/identity'
import { LOG_FILES } from '@dslog/log/files'
import { type OpenedLog, openLogOrLoad } from '@dslog/log/main'
import { createLogger } from '@dslog/service/log'
import { Lifecycle } from '@dslog/service/run'
import { readServiceConfig } from './config.ts'
import { EXIT, Failure } from './failure.ts'
import { prepareFolder, unmakeFolder } from './folder.ts'
import { LoadTarget } from './load-target.ts'
import type { Session } from './session.ts'
import { type SignedDs, signedDsOf, type Target } from './target.ts'

/** Time between two trees of a log that nobody else submits to: one tree per submission. */
const LOCAL_INTERVAL = '5ms'

/** See the head of this file. */
export class LocalTarget implements Target {
  readonly #opened: OpenedLog
  readonly #lifecycle: Lifecycle

  private constructor(opened: OpenedLog, lifecycle: Lifecycle) {
    this.#opened = opened
    this.#lifecycle = lifecycle
  }

  /**
   * Opens the log in the data folder, and makes an empty one first where there is none.
   *
   * @param backend verifies what is submitted
   */
  static async open(session: Session, backend: SignatureBackend): Promise<Target> {
    const env = session.serviceEnv({ DSLOG_LOG_PUBLISH_INTERVAL: LOCAL_INTERVAL })
    const { log: config } = readServiceConfig(env)
    const unmake = unmakeFolder(session.data)
    await prepareFolder(session.data, {
      key: config.key,
      witnesses: config.witnessPolicy,
    })
    const logger = createLogger({ service: 'log', level: 'silent' })
    const isNew =
      config.databaseUrl === undefined && !existsSync(join(session.data, LOG_FILES.database))
    const opened = await openLogOrLoad({ config, logger, backend })
    if ('loader' in opened) return new LoadTarget(opened, isNew ? unmake : undefined)
    const lifecycle = new Lifecycle([opened.sequencer], logger)
    await lifecycle.start()
    return new LocalTarget(opened, lifecycle)
  }

  async size(): Promise<number> {
    return this.#opened.log.published.size
  }

  async states(zone: Name): Promise<Map<string, readonly string[]>> {
    const states = new Map<string, readonly string[]>()
    for (let after: Name | undefined; ;) {
      const page = await this.#opened.reader.zoneNames(zone, after, 1_000)
      for (const { ds, name } of page.names) states.set(nameToText(name), ds.map(dsToText))
      if (page.next === undefined) return states
      after = page.next
    }
  }

  async delegation(name: Name): Promise<SignedDs | undefined> {
    const { history } = await this.#opened.reader.name(MapKind.delegation, name)
    return signedDsOf(history.map(({ bytes }) => bytes))
  }

  submit(observations: readonly Observation[]): Promise<SubmitResult[]> {
    return Promise.race([
      this.#opened.admitter.submit(observations),
      this.#lifecycle.failed.then((cause) => {
        throw new Failure(EXIT.service, 'the log has stopped', { cause })
      }),
    ])
  }

  async close(): Promise<void> {
    await this.#lifecycle.stop()
    await this.#opened.close()
  }
}
