/** What belongs to one log of those that a monitor follows: its tables, and what verifies, compares and hands in. */
import { LogClient } from '@dslog/tlog/client'
import { type HttpClient, withoutSlash } from '@dslog/tlog/http'
import type { Policy } from '@dslog/tlog/policy'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import type { MonitorTables } from '@dslog/schema/db'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { Logger } from '@dslog/service/log'
import type { Verifier } from '@dslog/verify/evidence'
import type { JudgedLog } from './cases.ts'
import { Comparer } from './compare.ts'
import { MonitorError } from './error.ts'
import { Follower } from './follow.ts'
import { offerTo } from './offer.ts'
import { MonitorStore } from './store.ts'
import { Unlogged } from './unlogged.ts'

/** A log, as the policy and the configuration name it. */
export interface LogPlace {
  readonly origin: string
  /** Without a slash at the end. */
  readonly url: string
  /** The policy, of this log alone: a checkpoint of another is none of it. */
  readonly policy: Policy
}

/** One of the logs that are followed. */
export interface FollowedLog extends LogPlace {
  readonly store: MonitorStore
  readonly follower: Follower
  readonly comparer: Comparer
  readonly unlogged: Unlogged
  /** Hands an observation to it. @throws TlogError what a network throws */
  readonly offer: (observation: Observation) => Promise<SubmitResult>
}

export interface FollowOptions {
  readonly db: Database<MonitorTables>
  readonly http: HttpClient
  readonly verifier: Verifier
  readonly clock: Clock
  readonly logger: Logger
  readonly interval: number
  /** Witnesses that are not asked: ourselves. */
  readonly own: ReadonlySet<string>
}

/**
 * The logs of a policy, which may list several keys of each. The URL of a log is in its lines; that of the
 * only one may be configured.
 *
 * @throws MonitorError `policy`
 */
export function logsOf(policy: Policy, configured: string | undefined): LogPlace[] {
  const origins = [...new Set(policy.logs.map(({ key }) => key.name))]
  if (origins.length === 0) throw new MonitorError('policy', 'the policy lists no log')
  if (origins.length > 1 && configured !== undefined) {
    const reason = 'the policy lists several logs: give the URL of each there'
    throw new MonitorError('policy', `${reason}, and not DSLOG_MONITOR_LOG_URL`)
  }
  return origins.map((origin) => {
    const logs = policy.logs.filter(({ key }) => key.name === origin)
    const url = configured ?? logs.find((log) => log.url !== undefined)?.url
    if (url === undefined) {
      const where =
        origins.length > 1 ? 'add it to its line in the policy' : 'set DSLOG_MONITOR_LOG_URL'
      throw new MonitorError('policy', `no URL of the log ${origin}: ${where}`)
    }
    return { origin, url: withoutSlash(url), policy: { ...policy, logs } }
  })
}

/** Takes up logs where they were left. @throws MonitorError what Follower.open throws */
export async function openLogs(
  places: readonly LogPlace[],
  options: FollowOptions,
): Promise<FollowedLog[]> {
  const { clock, db, http, interval, logger, own, verifier } = options
  const stores: MonitorStore[] = []
  for (const { origin } of places) stores.push(await MonitorStore.enter(db, origin))
  return Promise.all(
    places.map(async (place, i) => {
      const { origin, policy, url } = place
      const store = stores[i]!
      const client = new LogClient(url, policy, http)
      const reports = places.length > 1 ? logger.child({ log: origin }) : logger
      const follower = await Follower.open({
        client,
        policy,
        store,
        verifier,
        clock,
        logger: reports,
        interval,
      })
      const offer = offerTo(http, url)
      const unlogged = new Unlogged({
        db,
        store,
        others: stores.flatMap(({ log }) => (log === store.log ? [] : [log])),
        digests: verifier.backend,
        clock,
        logger: reports,
        submit: offer,
      })
      const options = { policy, origin, http, follower, clock, logger: reports, own }
      const comparer = new Comparer(options)
      return { ...place, store, follower, comparer, unlogged, offer }
    }),
  )
}

/** A log as the judge sees it. */
export function judged({ follower, store }: FollowedLog): JudgedLog {
  return {
    origin: store.origin,
    log: store.log,
    published() {
      const { freshAt, published } = follower.status
      return freshAt === undefined ? undefined : published
    },
  }
}
