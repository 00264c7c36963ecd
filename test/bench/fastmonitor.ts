/** A monitor as a process of its own, on a clock that may go faster: so holds before alerts are shorter. */
import { readConfig } from '@dslog/service/config'
import { installNodeCrypto } from '@dslog/service/crypto'
import { createLogger } from '@dslog/service/log'
import { runProcess } from '@dslog/service/run'
import { MONITOR_CONFIG } from '@dslog/monitor/config'
import { monitorService } from '@dslog/monitor/main'
import { clock } from '../fastclock.ts'

installNodeCrypto()
const { monitor: config } = readConfig({ monitor: MONITOR_CONFIG }, process.env)
const logger = createLogger({ service: 'monitor', level: config.logLevel })
const { components } = monitorService({ config, logger, clock })
await runProcess(components, { logger })
