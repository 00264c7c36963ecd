/** The service of a log in this process, on the loopback interface. */
import { type Clock, systemClock } from '@dslog/service/clock'
import { readConfig } from '@dslog/service/config'
import { Lifecycle } from '@dslog/service/run'
import { LOG_CONFIG } from '@dslog/log/config'
import { logService, type OpenedLog } from '@dslog/log/main'
import { silent } from './silent.ts'

export interface RunningLogService {
  readonly life: Lifecycle
  readonly opened: OpenedLog
  readonly url: string
}

/** Starts it where its environment says; at a port that is free, and for as many requests as come, unless that says how. */
export async function startLogService(
  env: Readonly<Record<string, string>>,
  clock: Clock = systemClock,
): Promise<RunningLogService> {
  const { log: config } = readConfig(
    { log: LOG_CONFIG },
    { DSLOG_LOG_PORT: '0', DSLOG_LOG_RATE_LIMIT: '1000000', ...env },
  )
  const service = logService({ config, logger: silent, clock, create: true })
  const life = new Lifecycle(service.components, silent)
  await life.start()
  return { life, opened: service.opened(), url: `http://127.0.0.1:${service.port()}` }
}
