/** `dslog log`: the log service alone, as its environment says (@dslog/log/config). */
import { logService } from '@dslog/log/main'
import { readService } from '@dslog/log/readonly'
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
  /** Serves what another process writes. */
  readonly readOnly?: boolean
}

export async function runLog(
  session: Session,
  { create = false, origin, readOnly = false }: LogOptions,
): Promise<void> {
  if (create && readOnly) throw new Failure(EXIT.usage, '--read-only creates nothing')
  if (origin !== undefined && !create) throw new Failure(EXIT.usage, '--origin is for --create')
  const { log: config } = readServiceConfig(session.serviceEnv())
  if (create) {
    const { key, witnessPolicy: witnesses } = config
    await prepareFolder(session.data, { origin, key, witnesses })
  }
  const logger = serviceLogger('log', config, session.io)
  const service = readOnly
    ? readService({ config, logger })
    : logService({ config, logger, create })
  await runServices(service.components, logger, session.io)
}
