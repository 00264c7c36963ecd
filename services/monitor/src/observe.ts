/** The numbers of a monitor that an operator watches. */
import type { Clock } from '@dslog/service/clock'
import type { Metrics } from '@dslog/service/metrics'
import type { Follower } from './follow.ts'
import type { Witness } from './witness.ts'

const MS_PER_SECOND = 1000

/** Registers the metrics of a monitor. */
export function observe(
  { follower, witness }: { readonly follower: Follower; readonly witness: Witness | undefined },
  metrics: Metrics,
  clock: Clock,
): void {
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
  metrics.gauge({
    name: 'dslog_monitor_verified_size',
    help: 'Entries of the log that have been verified',
    collect: (gauge) => gauge.set(follower.status.size),
  })
  metrics.gauge({
    name: 'dslog_monitor_backlog_entries',
    help: 'Published entries that have not been verified yet',
    collect: (gauge) => gauge.set(follower.status.backlog),
  })
  metrics.gauge({
    name: 'dslog_monitor_map_keys',
    help: 'Names and zones in the replayed name map',
    collect: (gauge) => gauge.set(follower.status.mapKeys),
  })
  metrics.gauge({
    name: 'dslog_monitor_checkpoint_age_seconds',
    help: 'Time since a quorum of witnesses vouched for the newest checkpoint; without witnesses, since the log answered',
    collect: (gauge) => {
      const { freshAt } = follower.status
      if (freshAt !== undefined) gauge.set((clock() - freshAt) / MS_PER_SECOND)
    },
  })
  metrics.gauge({
    name: 'dslog_monitor_verified_age_seconds',
    help: 'Time since all of the newest checkpoint was last found right',
    collect: (gauge) => {
      const { verifiedAt } = follower.status
      if (verifiedAt !== undefined) gauge.set((clock() - verifiedAt) / MS_PER_SECOND)
    },
  })
  metrics.gauge({
    name: 'dslog_monitor_state',
    help: '1 for the state that the followed log is in',
    labels: ['state'],
    collect: (gauge) => {
      gauge.reset()
      gauge.set({ state: follower.status.state }, 1)
    },
  })
  metrics.gauge({
    name: 'dslog_monitor_misbehaviour',
    help: 'Pieces of evidence against the log, by kind; 0 without a kind as long as there are none',
    labels: ['kind'],
    collect: (gauge) => {
      const { findings } = follower.status
      gauge.reset()
      if (findings.size === 0) gauge.set(0)
      for (const [kind, pieces] of findings) gauge.set({ kind }, pieces)
    },
  })
}
