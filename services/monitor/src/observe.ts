/** The numbers of a monitor that an operator watches. */
import type { Clock } from '@dslog/service/clock'
import type { Metrics } from '@dslog/service/metrics'
import type { FollowedLog } from './followed.ts'
import type { FollowStatus } from './standing.ts'
import type { Witness } from './witness.ts'

const MS_PER_SECOND = 1000

/** What there is to count of a monitor. */
export interface Observed {
  readonly logs: readonly Pick<FollowedLog, 'comparer' | 'follower' | 'origin'>[]
  readonly witness: Witness | undefined
}

/** Registers the metrics of a monitor. */
export function observe({ logs, witness }: Observed, metrics: Metrics, clock: Clock): void {
  /** A number of each log, unless it is not known yet. */
  const ofLogs = (
    name: `dslog_${string}`,
    help: string,
    of: (status: FollowStatus) => number | undefined,
  ) => {
    metrics.gauge({
      name,
      help,
      labels: ['log'],
      collect: (gauge) => {
        for (const { follower, origin } of logs) {
          const value = of(follower.status)
          if (value !== undefined) gauge.set({ log: origin }, value)
        }
      },
    })
  }
  metrics.gauge({
    name: 'dslog_monitor_witness_requests',
    help: 'Checkpoints handed in to be cosigned since the start, by result',
    labels: ['result'],
    collect: (gauge) => {
      if (witness === undefined) return
      gauge.set({ result: 'cosigned' }, witness.counts.cosigned)
      gauge.set({ result: 'refused' }, witness.counts.refused)
    },
  })
  ofLogs(
    'dslog_monitor_verified_size',
    'Entries of the log that have been verified',
    ({ size }) => size,
  )
  ofLogs(
    'dslog_monitor_backlog_entries',
    'Published entries that have not been verified yet',
    ({ backlog }) => backlog,
  )
  ofLogs(
    'dslog_monitor_map_keys',
    'Names and zones in the replayed name map',
    ({ mapKeys }) => mapKeys,
  )
  const secondsSince = (at: number | undefined) =>
    at === undefined ? undefined : (clock() - at) / MS_PER_SECOND
  ofLogs(
    'dslog_monitor_checkpoint_age_seconds',
    'Time since a quorum of witnesses vouched for the newest checkpoint; without witnesses, since the log answered',
    ({ freshAt }) => secondsSince(freshAt),
  )
  ofLogs(
    'dslog_monitor_verified_age_seconds',
    'Time since all of the newest checkpoint was last found right',
    ({ verifiedAt }) => secondsSince(verifiedAt),
  )
  metrics.gauge({
    name: 'dslog_monitor_witness_age_seconds',
    help: 'Time since a witness of the policy last answered, or since the start; asked every ten minutes',
    labels: ['log', 'witness'],
    collect: (gauge) => {
      for (const { comparer, origin } of logs) {
        for (const { answeredAt, name } of comparer.witnesses) {
          gauge.set({ log: origin, witness: name }, (clock() - answeredAt) / MS_PER_SECOND)
        }
      }
    },
  })
  metrics.gauge({
    name: 'dslog_monitor_state',
    help: '1 for the state that a followed log is in',
    labels: ['log', 'state'],
    collect: (gauge) => {
      gauge.reset()
      for (const { follower, origin } of logs) {
        gauge.set({ log: origin, state: follower.status.state }, 1)
      }
    },
  })
  metrics.gauge({
    name: 'dslog_monitor_misbehaviour',
    help: 'Pieces of evidence against a log, by kind; 0 without a kind as long as there are none',
    labels: ['log', 'kind'],
    collect: (gauge) => {
      gauge.reset()
      for (const { follower, origin } of logs) {
        const { findings } = follower.status
        if (findings.size === 0) gauge.set({ log: origin }, 0)
        for (const [kind, pieces] of findings) gauge.set({ log: origin, kind }, pieces)
      }
    },
  })
}
