/** What commands read from the environment; rendered into `.env.example`. */
import { CRAWLER_CONFIG, type CrawlerConfig } from '@dslog/crawler/config'
import { LOG_CONFIG, type LogConfig } from '@dslog/log/config'
import { MONITOR_CONFIG, type MonitorConfig } from '@dslog/monitor/config'
import { type Key, readConfig, secret, type Secret, url, type Values } from '@dslog/service/config'
import type { Io } from './io.ts'

export const CLI_CONFIG: {
  readonly log: Key<string | undefined>
  readonly data: Key<string>
  readonly anchors: Key<string | undefined>
  readonly databaseUrl: Key<Secret | undefined>
  readonly operatorToken: Key<Secret | undefined>
  readonly subscriptionToken: Key<Secret | undefined>
} = {
  log: url('DSLOG_LOG', { doc: 'The log that commands talk to, as --log.', optional: true }),
  data: LOG_CONFIG.data,
  anchors: LOG_CONFIG.anchors,
  databaseUrl: LOG_CONFIG.databaseUrl,
  operatorToken: LOG_CONFIG.operatorToken,
  subscriptionToken: secret('DSLOG_SUBSCRIPTION_TOKEN', {
    doc: 'Token of a subscription at a monitor, for `dslog pins publish`.',
    optional: true,
  }),
}

export type CliConfig = Values<typeof CLI_CONFIG>

/**
 * Reads the environment of a command. Names of services that do not run here are not unknown.
 *
 * @throws ConfigError
 */
export function readCliConfig(env: Io['env']): CliConfig {
  return readConfig({ cli: CLI_CONFIG }, env, [LOG_CONFIG, MONITOR_CONFIG, CRAWLER_CONFIG]).cli
}

/**
 * Reads the environment of services that run in this process.
 *
 * @throws ConfigError
 */
export function readServiceConfig(env: Io['env']): {
  log: LogConfig
  monitor: MonitorConfig
  crawler: CrawlerConfig
} {
  const tables = { log: LOG_CONFIG, monitor: MONITOR_CONFIG, crawler: CRAWLER_CONFIG }
  return readConfig(tables, env, [CLI_CONFIG])
}
