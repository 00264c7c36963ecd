/** The monitor service as a process of its own, configured by its environment: what a supervisor starts. */
import { installNodeCrypto } from '@dslog/service/crypto'
import { readConfig } from '@dslog/service/config'
import { createLogger } from '@dslog/service/log'
import { runProcess } from '@dslog/service/run'
import { MONITOR_CONFIG } from '@dslog/monitor/config'
import { monitorService } from '@dslog/monitor/main'

installNodeCrypto()
const { monitor: config } = readConfig({ monitor: MONITOR_CONFIG }, process.env)
const logger = createLogger({ service: 'monitor', level: config.logLevel })
const { components, port } = monitorService({ config, logger })
await runProcess(components, { logger })
logger.info({ port: port() }, 'ready')
