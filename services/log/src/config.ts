/** What an operator sets for the log; rendered into `.env.example`. */
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

export const LOG_CONFIG = {
  ...COMMON,
  ...serviceConfig('LOG', '8080'),
  url: string('DSLOG_LOG_URL', {
    doc: 'Where the public reaches the log; written into the policy it hands out.',
    optional: true,
  }),
  monitor: url('DSLOG_LOG_MONITOR_URL', {
    doc: 'A monitor that visitors of the explorer may compare with and subscribe at.',
    optional: true,
  }),
  key: secret('DSLOG_LOG_KEY', {
    doc: 'Signer key of the log (C2SP, `PRIVATE+KEY+…`), made by `dslog keygen`; several, one a line, while keys change or for ML-DSA-44 beside Ed25519. Without it, the file log.key in DSLOG_DATA.',
    optional: true,
  }),
  signerFile: path('DSLOG_LOG_SIGNER_PATH', {
    doc: 'File that remembers what was signed. On PostgreSQL it defaults to a table of the same database; put it where a restore of the database does not reach it.',
    optional: true,
  }),
  zones: list('DSLOG_LOG_ZONES', {
    doc: 'Signing zones admitted besides the root, top-level domains and ICANN public suffixes.',
    default: '',
  }),
  publishInterval: duration('DSLOG_LOG_PUBLISH_INTERVAL', {
    doc: 'Shortest time between two trees.',
    default: '1s',
  }),
  publishFolder: path('DSLOG_LOG_PUBLISH_DIR', {
    doc: 'Folder that is kept at the newest tree, as static files for any web server.',
    optional: true,
  }),
  publishBucket: url('DSLOG_LOG_PUBLISH_S3_URL', {
    doc: 'Bucket of an S3-compatible store that is kept likewise: https://host/bucket, or the URL of its own host.',
    optional: true,
  }),
  publishPrefix: string('DSLOG_LOG_PUBLISH_S3_PREFIX', {
    doc: 'Folder within that bucket.',
    optional: true,
    pattern: /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/,
  }),
  publishRegion: string('DSLOG_LOG_PUBLISH_S3_REGION', {
    doc: 'Region that requests to it are signed for.',
    default: 'auto',
  }),
  publishAccessKey: secret('DSLOG_LOG_PUBLISH_S3_ACCESS_KEY', {
    doc: 'Access key of somebody who may read, write, list and delete in it.',
    optional: true,
  }),
  publishSecretKey: secret('DSLOG_LOG_PUBLISH_S3_SECRET_KEY', {
    doc: 'The secret that belongs to the access key.',
    optional: true,
  }),
  announcement: string('DSLOG_LOG_ANNOUNCEMENT', {
    doc: 'What /v1/log tells its users in words, such as when an old key stops signing.',
    optional: true,
  }),
  policy: path('DSLOG_LOG_POLICY', {
    doc: 'With `dslog log --read-only`: tlog-policy with the public keys of the log and its witnesses, which is handed out; default: the file policy in DSLOG_DATA.',
    optional: true,
  }),
  witnessPolicy: path('DSLOG_LOG_WITNESS_POLICY', {
    doc: 'File with the witnesses to ask (C2SP tlog-policy: witness lines with their submission URLs, groups, quorum). Only trees that a quorum has cosigned are published.',
    optional: true,
  }),
  witnessEmbedded: bool('DSLOG_LOG_WITNESS_EMBEDDED', {
    doc: 'Lets a log on the embedded database ask witnesses of other machines. A power cut may set it back behind what they have cosigned; then it is over.',
    default: 'false',
  }),
  operatorToken: secret('DSLOG_OPERATOR_TOKEN', {
    doc: 'Whoever presents it may submit evidence from the past.',
    optional: true,
  }),
  rateLimit: int('DSLOG_LOG_RATE_LIMIT', {
    doc: 'Requests a minute that one source may make; checkpoint, tiles, and what was answered before in the newest tree are not counted.',
    default: '600',
    min: 1,
  }),
  judges: int('DSLOG_LOG_JUDGES', {
    doc: 'Threads that judge submitted evidence beside the one that answers readers; they start with the first submission, some 40 MiB each. 0 judges on that one.',
    default: '2',
    max: 64,
  }),
  diskReserve: int('DSLOG_LOG_DISK_RESERVE_MIB', {
    doc: 'Free space, MiB, below which nothing is sequenced, in the data folder, the published one and those of DSLOG_LOG_DISK_PATHS; 0 for never.',
    default: '512',
  }),
  diskPaths: list('DSLOG_LOG_DISK_PATHS', {
    doc: 'More folders to watch: that of the PostgreSQL server, where it is on this machine.',
    default: '',
  }),
  synchronous: bool('DSLOG_LOG_SYNCHRONOUS', {
    doc: 'Signs nothing that a synchronous standby of the PostgreSQL server has not on its disk.',
    default: 'false',
  }),
}

export type LogConfig = Values<typeof LOG_CONFIG>
