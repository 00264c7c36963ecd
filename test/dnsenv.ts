/** How whoever asks the DNS is set up where all its servers are ours, on the loopback interface. */
import type { PaceLimits } from '@dslog/crawler/pace'

/** As fast as it goes. */
export const UNLIMITED: PaceLimits = { server: 1e6, burst: 1e6, zone: 1e6, all: 1e6 }

/** Settings that say where the DNS is: its root servers, and the port of all. */
export function dnsEnv(roots: readonly string[], port: number): Record<string, string> {
  return {
    DSLOG_CRAWLER_ROOT_SERVERS: roots.join(),
    DSLOG_CRAWLER_DNS_PORT: String(port),
    DSLOG_CRAWLER_ALLOW: '127.0.0.0/8,::1',
  }
}
