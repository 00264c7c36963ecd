/** What an operator sets for the monitor; rendered into `.env.example`. */
import {
  bool,
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
import { serviceConfig } from '@dslog/service/serviceconfig'

export const MONITOR_CONFIG = {
  ...COMMON,
  ...serviceConfig('MONITOR', '8081'),
  logUrl: url('DSLOG_MONITOR_LOG_URL', {
    doc: 'The log to follow, if the policy lists one. Without it, and for several logs, the URL in the log line of the policy.',
    optional: true,
  }),
  policy: path('DSLOG_MONITOR_POLICY', {
    doc: 'File with the policy (C2SP tlog-policy) that lists the logs to follow, and that checkpoints of each must satisfy. Without it, the file policy in DSLOG_DATA.',
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
  publicUrl: url('DSLOG_MONITOR_URL', {
    doc: 'Where owners reach the monitor: in links of mails and, without https://, its name in statements of owners. Default: where it listens.',
    optional: true,
  }),
  subscribe: bool('DSLOG_MONITOR_SUBSCRIBE', {
    doc: 'Whether anybody may subscribe. The watch list works without.',
    default: 'true',
  }),
  watchlist: path('DSLOG_MONITOR_WATCHLIST', {
    doc: 'File with what to watch: a name and a channel a line (mailto:, https://, ntfy:, hook:, stdout:), optionally a level, "alone" and "secret=whsec_…". Read again when it changes.',
    optional: true,
  }),
  operator: list('DSLOG_MONITOR_OPERATOR', {
    doc: 'Channels, as in the watch list, that are told when the monitor cannot see or cannot tell.',
    default: '',
  }),
  smtp: secret('DSLOG_MONITOR_SMTP', {
    doc: 'Mail server, smtp:// or smtps:// URL with user and password if it wants them, and its port, unless that is 587 or, for smtps, 465; it should sign with DKIM. Without it, nothing is sent by mail.',
    optional: true,
    check: checkMailServer,
  }),
  mailFrom: string('DSLOG_MONITOR_MAIL_FROM', {
    doc: 'Sender of mails: dslog monitor <alerts@example.net>. Default: dslog@ the host of DSLOG_MONITOR_URL.',
    optional: true,
    pattern: /^[^\r\n]+$/,
  }),
  mailsPerDay: int('DSLOG_MONITOR_MAILS_PER_DAY', {
    doc: 'Alerts that are mailed over one channel a day; the rest comes in one summary. A quarter is kept for what is CRITICAL.',
    default: '20',
    min: 4,
    max: 10_000,
  }),
  canary: string('DSLOG_MONITOR_CANARY', {
    doc: 'Name whose delegation somebody changes every day, to see that changes come through.',
    optional: true,
  }),
  pingUrl: url('DSLOG_MONITOR_PING_URL', {
    doc: 'URL that is fetched every half minute as long as the monitor sees and tells (dead-man switch).',
    optional: true,
  }),
  probe: bool('DSLOG_MONITOR_PROBE', {
    doc: 'Whether the DNS is asked about watched names, hourly: without it, changes are judged by what the log has alone.',
    default: 'true',
  }),
  crawlers: list('DSLOG_MONITOR_CRAWLERS', {
    doc: 'URLs of crawlers whose views of watched names are compared.',
    default: '',
  }),
  dnsRoots: list('DSLOG_MONITOR_DNS_ROOTS', {
    doc: 'Addresses to begin at, instead of the root servers.',
    default: '',
  }),
  dnsPort: int('DSLOG_MONITOR_DNS_PORT', {
    doc: 'Port of all name servers.',
    default: '53',
    min: 1,
    max: 65_535,
  }),
  dnsAllow: list('DSLOG_MONITOR_DNS_ALLOW', {
    doc: 'Networks with special-purpose addresses that may be asked nevertheless: `127.0.0.0/8`.',
    default: '',
  }),
}

function checkMailServer(text: string): void {
  const scheme = URL.canParse(text) ? new URL(text).protocol : ''
  if (scheme !== 'smtp:' && scheme !== 'smtps:') {
    throw new Error('must be an smtp:// or smtps:// URL')
  }
}

export type MonitorConfig = Values<typeof MONITOR_CONFIG>
