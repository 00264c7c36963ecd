/** `dslog monitor`: the monitor service alone, as its environment says (@dslog/monitor/config). */
import { monitorService } from '@dslog/monitor/main'
import { readServiceConfig } from '../config.ts'
import { runServices, serviceLogger } from '../service.ts'
import type { Session } from '../session.ts'

export async function runMonitor(session: Session): Promise<void> {
  const { log, monitor: config } = readServiceConfig(session.serviceEnv())
  const logger = serviceLogger('monitor', log, session.io)
  const { components } = monitorService({ config, logger })
  await runServices(components, logger, session.io)
}
