/** Settings that services have alike: those of one that listens and keeps a database. */
import { type COMMON, int, list, path, string, type Values } from './config.ts'

/** Settings of a service, under names that begin with its own. */
export function serviceConfig(service: 'LOG' | 'MONITOR' | 'CRAWLER', port: string) {
  return {
    host: string(`DSLOG_${service}_HOST`, { doc: 'Address to listen on.', default: '127.0.0.1' }),
    port: int(`DSLOG_${service}_PORT`, { doc: 'Port to listen on.', default: port, max: 65_535 }),
    trustProxy: list(`DSLOG_${service}_TRUST_PROXY`, {
      doc: 'Addresses or networks of the proxies whose X-Forwarded-For is believed.',
      default: '',
    }),
    poolSize: int(`DSLOG_${service}_POOL_SIZE`, {
      doc: 'Connections to PostgreSQL.',
      default: '10',
      min: 2,
      max: 500,
    }),
    anchors: path('DSLOG_ANCHORS', {
      doc: "File of trust anchors; default: the root's.",
      optional: true,
    }),
  }
}

/** The values of these. */
export type ServiceConfig = Values<typeof COMMON & ReturnType<typeof serviceConfig>>
