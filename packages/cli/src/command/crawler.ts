/** `dslog crawler`: one process of a crawler, as its environment says (@dslog/crawler/config). */
import { crawlerService } from '@dslog/crawler/main'
import { readServiceConfig } from '../config.ts'
import { runServices, serviceLogger } from '../service.ts'
import type { Session } from '../session.ts'

export async function runCrawler(session: Session): Promise<void> {
  const url = await session.logUrl()
  const env = session.serviceEnv(url === undefined ? {} : { DSLOG_CRAWLER_LOG_URL: url })
  const { crawler: config, log } = readServiceConfig(session.serviceEnv())
  const logger = serviceLogger('crawler', log, session.io)
  // What the environment says of the log comes before what runs beside.
  const own = config.logUrl === undefined ? readServiceConfig(env).crawler : config
  const { components } = crawlerService({ config: own, logger })
  await runServices(components, logger, session.io)
}
