/** What an operator sets for the monitor; rendered into `.env.example`. */
import {
  COMMON,
  duration,
  int,
  list,
  path,
  secret,
  string,
  url,
  type Values,
} from '@dslog/service/config'

export const MONITOR_CONFIG = {
  ...COMMON,
  host: string('DSLOG_MONITOR_HOST', { doc: 'Address to listen on.', default: '127.0.0.1' }),
  port: int('DSLOG_MONITOR_PORT', { doc: 'Port to listen on.', default: '8081', max: 65_535 }),
  logUrl: url('DSLOG_MONITOR_LOG_URL', {
    doc: 'The log to follow. Without it, the URL in the log line of the policy.',
    optional: true,
  }),
  policy: path('DSLOG_MONITOR_POLICY', {
    doc: 'File with the policy (C2SP tlog-policy) that checkpoints of the log must satisfy. Without it, the file policy in DSLOG_DATA.',
    optional: true,
  }),
  interval: duration('DSLOG_MONITOR_INTERVAL', {
    doc: 'How often the log is asked for a checkpoint.',
    default: '10s',
  }),
  witnessKey: secret('DSLOG_MONITOR_WITNESS_KEY', {
    doc: 'Key that cosigns every checkpoint of the log that follows the one before, made by `dslog keygen --role witness`. With it, or the next, the monitor answers C2SP tlog-witness.',
    optional: true,
  }),
  auditorKey: secret('DSLOG_MONITOR_AUDITOR_KEY', {
    doc: 'Key that cosigns a checkpoint once every entry and map head up to it is verified, made by `dslog keygen --role auditor`.',
    optional: true,
  }),
  anchors: path('DSLOG_ANCHORS', {
    doc: "File of trust anchors; default: the root's.",
    optional: true,
  }),
  trustProxy: list('DSLOG_MONITOR_TRUST_PROXY', {
    doc: 'Addresses or networks of the proxies whose X-Forwarded-For is believed.',
    default: '',
  }),
  poolSize: int('DSLOG_MONITOR_POOL_SIZE', {
    doc: 'Connections to PostgreSQL.',
    default: '10',
    min: 2,
    max: 500,
  }),
}

export type MonitorConfig = Values<typeof MONITOR_CONFIG>
