/** What an operator sets for the crawler; rendered into `.env.example`. */
import {
  bool,
  COMMON,
  duration,
  int,
  list,
  path,
  secret,
  url,
  type Values,
} from '@dslog/service/config'
import { serviceConfig } from '@dslog/service/serviceconfig'
import { CEILINGS, DEFAULT_LIMITS } from './pace.ts'

export const CRAWLER_CONFIG = {
  ...COMMON,
  ...serviceConfig('CRAWLER', '8082'),
  logUrl: url('DSLOG_CRAWLER_LOG_URL', {
    doc: 'The log that evidence is submitted to.',
    optional: true,
  }),
  operatorToken: secret('DSLOG_OPERATOR_TOKEN', {
    doc: "The log's, if crawler and log have one operator: whoever presents it has no budget there.",
    optional: true,
  }),
  names: path('DSLOG_CRAWLER_NAMES', {
    doc: 'File of names to ask for, one a line. It is read again when it changes.',
    optional: true,
  }),
  zoneFiles: list('DSLOG_CRAWLER_ZONE_FILES', {
    doc: 'Zone files, by path or http(s) URL, plain or gzip. Signed ones are evidence; with `trigger:` in front (CZDS) a file is only a reason to ask.',
    default: '',
  }),
  transfers: list('DSLOG_CRAWLER_TRANSFERS', {
    doc: 'Zones to transfer (AXFR), as ZONE@SERVER, with #KEY at its end for TSIG: `se.@zonedata.iis.se`. Several for one zone are tried in turn; `none` for none.',
    default: '.@192.0.32.132,.@192.0.47.132,.@192.33.4.12,.@192.5.5.241',
  }),
  tsig: secret('DSLOG_CRAWLER_TSIG', {
    doc: 'Keys for transfers, between commas: NAME:ALGORITHM:BASE64, as `key.:hmac-sha256:c2VjcmV0`.',
    optional: true,
  }),
  delegations: bool('DSLOG_CRAWLER_DELEGATIONS', {
    doc: 'Whether delegations without DS records in a transferred zone are asked for too, once a week. What is signed always is.',
    default: 'false',
  }),
  transferInterval: duration('DSLOG_CRAWLER_TRANSFER_INTERVAL', {
    doc: 'How often a zone is transferred, or a zone file read, if it has changed.',
    default: '1h',
  }),
  rootServers: list('DSLOG_CRAWLER_ROOT_SERVERS', {
    doc: 'Addresses to begin at, instead of the root servers.',
    default: '',
  }),
  dnsPort: int('DSLOG_CRAWLER_DNS_PORT', {
    doc: 'Port of all name servers.',
    default: '53',
    min: 1,
    max: 65_535,
  }),
  allow: list('DSLOG_CRAWLER_ALLOW', {
    doc: 'Networks with special-purpose addresses that may be asked nevertheless: `127.0.0.0/8`.',
    default: '',
  }),
  resolvers: list('DSLOG_CRAWLER_RESOLVERS', {
    doc: 'Further vantages: https URLs of resolvers (DNS over HTTPS, POST). What they say is validated here.',
    default: '',
  }),
  proxies: list('DSLOG_CRAWLER_PROXIES', {
    doc: 'Further vantages: SOCKS5 proxies, such as Tor, as HOST:PORT.',
    default: '',
  }),
  optOut: list('DSLOG_CRAWLER_OPT_OUT', {
    doc: 'Zones whose servers are not asked, because their operators wish so.',
    default: '',
  }),
  token: secret('DSLOG_CRAWLER_TOKEN', {
    doc: 'Whoever presents it may say which names are watched.',
    optional: true,
  }),
  serverRate: int('DSLOG_CRAWLER_SERVER_RATE', {
    doc: 'Questions a second to one server address, of all processes on one queue.',
    default: String(DEFAULT_LIMITS.server),
    min: 1,
    max: CEILINGS.server,
  }),
  zoneRate: int('DSLOG_CRAWLER_ZONE_RATE', {
    doc: 'Questions a second to all servers of one zone; never more than that of a server for each.',
    default: String(DEFAULT_LIMITS.zone),
    min: 1,
    max: CEILINGS.zone,
  }),
  rate: int('DSLOG_CRAWLER_RATE', {
    doc: 'Questions a second in all.',
    default: String(DEFAULT_LIMITS.all),
    min: 1,
    max: CEILINGS.all,
  }),
}

export type CrawlerConfig = Values<typeof CRAWLER_CONFIG>
