/** The log service as a process of its own, configured by its environment: what a supervisor starts. */
import { readConfig } from '@dslog/service/config'
import { createLogger } from '@dslog/service/log'
import { runProcess } from '@dslog/service/run'
import { LOG_CONFIG } from '@dslog/log/config'
import { logService } from '@dslog/log/main'

const { log: config } = readConfig({ log: LOG_CONFIG }, process.env)
const logger = createLogger({ service: 'log', level: config.logLevel })
const { components, port } = logService({ config, logger, create: true })
await runProcess(components, { logger })
logger.info({ port: port() }, 'ready')
