/** `dslog log`: the log service alone, as its environment says (@dslog/log/config). */
import { logService } from '@dslog/log/main'
import { readServiceConfig } from '../config.ts'
import { EXIT, Failure } from '../failure.ts'
import { prepareFolder } from '../folder.ts'
import { runServices, serviceLogger } from '../service.ts'
import type { Session } from '../session.ts'

export interface LogOptions {
  /** Makes the log, and its key and policy, where there is none: an explicit act. */
  readonly create?: boolean
  /** Of a new log. */
  readonly origin?: string
}

export async function runLog(
  session: Session,
  { create = false, origin }: LogOptions,
): Promise<void> {
  if (origin !== undefined && !create) throw new Failure(EXIT.usage, '--origin is for --create')
  const { log: config } = readServiceConfig(session.serviceEnv())
  if (create) {
    const { key, witnessPolicy: witnesses } = config
    await prepareFolder(session.data, { origin, key, witnesses })
  }
  const logger = serviceLogger('log', config, session.io)
  const { components } = logService({ config, logger, create })
  await runServices(components, logger, session.io)
}
