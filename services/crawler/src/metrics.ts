/** The numbers of a crawler that an operator watches. */
import type { Unwanted } from '@dslog/resolver/udp'
import type { Clock } from '@dslog/service/clock'
import type { Metrics } from '@dslog/service/metrics'
import type { AskCounter } from './paced.ts'
import { Tier } from './schedule.ts'

const MS_PER_SECOND = 1000

/** What the parts of a crawler count. */
export interface Counters extends AskCounter {
  /** A datagram came that is not taken. */
  readonly unwanted: (what: Unwanted) => void
  /** A thread that verifies signatures has ended by itself. */
  verifierDied(): void
  /** A delegation was seen, from a vantage. */
  seen(verdict: 'present' | 'absent', vantage: string): void
  /** A task came to nothing. */
  failed(reason: string): void
  /** The log has answered. */
  submitted(status: string): void
  /** Servers or vantages said different things of one name. */
  disagreed(count: number): void
  /** A list or a zone was read. */
  read(kind: string, outcome: 'taken' | 'same' | 'refused' | 'held' | 'unreachable'): void
}

/** The counters, in a registry. */
export function countersIn(metrics: Metrics): Counters {
  const questions = metrics.counter({
    name: 'dslog_crawler_questions_total',
    help: 'Questions asked, by the way they went and how they ended',
    labels: ['transport', 'outcome'],
  })
  const unwanted = metrics.counter({
    name: 'dslog_crawler_unwanted_replies_total',
    help: 'Datagrams not taken: of no id that was asked (stray), to another question, or too large',
    labels: ['what'],
  })
  const verifierDeaths = metrics.counter({
    name: 'dslog_crawler_verifier_deaths_total',
    help: 'Threads that verify signatures and ended by themselves; each was replaced',
  })
  const seen = metrics.counter({
    name: 'dslog_crawler_seen_total',
    help: 'Delegations seen with proof: DS records, or that there are none',
    labels: ['verdict', 'vantage'],
  })
  const failures = metrics.counter({
    name: 'dslog_crawler_failures_total',
    help: 'Names that could not be asked or proven anything about, by reason',
    labels: ['reason'],
  })
  const submitted = metrics.counter({
    name: 'dslog_crawler_submitted_total',
    help: 'Observations submitted to the log, by its answer',
    labels: ['status'],
  })
  const disagreements = metrics.counter({
    name: 'dslog_crawler_disagreements_total',
    help: 'Sightings that differ from another of the last two hours',
  })
  const sources = metrics.counter({
    name: 'dslog_crawler_sources_total',
    help: 'Lists and zones read, by kind and what became of them',
    labels: ['kind', 'outcome'],
  })
  return {
    asked: (transport, outcome) => questions.inc({ transport, outcome }),
    unwanted: (what) => unwanted.inc({ what }),
    verifierDied: () => verifierDeaths.inc(),
    seen: (verdict, vantage) => seen.inc({ verdict, vantage }),
    failed: (reason) => failures.inc({ reason }),
    submitted: (status) => submitted.inc({ status }),
    disagreed: (count) => disagreements.inc(count),
    read: (kind, outcome) => sources.inc({ kind, outcome }),
  }
}

/** What a crawler tells when it is asked. */
export interface Gauges {
  counts(): Promise<{ tier: number; tasks: number; due: number }[]>
  readonly inFlight: () => number
  readonly waiting: () => number
  readonly blocked: () => number
  readonly slowed: () => number
  readonly workers: () => number
  /** When the log was last followed to its end; ms since the epoch. */
  followedAt(): number | undefined
}

/** What the tiers are called, by number. */
const TIERS = new Map(Object.entries(Tier).map(([name, tier]): [number, string] => [tier, name]))

/** Registers the gauges of a crawler. */
export function observe(gauges: Gauges, metrics: Metrics, clock: Clock): void {
  const due = metrics.gauge({
    name: 'dslog_crawler_due_tasks',
    help: 'Names and zones that should have been asked by now',
    labels: ['tier'],
  })
  metrics.gauge({
    name: 'dslog_crawler_tasks',
    help: 'Names and zones in the queue',
    labels: ['tier'],
    collect: async (gauge) => {
      for (const { due: late, tasks, tier } of await gauges.counts()) {
        const labels = { tier: TIERS.get(tier) ?? String(tier) }
        gauge.set(labels, tasks)
        due.set(labels, late)
      }
    },
  })
  const simple: [`dslog_${string}`, string, () => number][] = [
    ['dslog_crawler_in_flight', 'Names being asked', gauges.inFlight],
    ['dslog_crawler_waiting_observations', 'Observations on their way to the log', gauges.waiting],
    ['dslog_crawler_blocked_servers', 'Servers that are left alone for a while', gauges.blocked],
    ['dslog_crawler_slowed_servers', 'Servers asked more slowly than might be', gauges.slowed],
    ['dslog_crawler_workers', 'Processes that share the queue', gauges.workers],
  ]
  for (const [name, help, value] of simple) {
    metrics.gauge({ name, help, collect: (gauge) => gauge.set(value()) })
  }
  metrics.gauge({
    name: 'dslog_crawler_log_age_seconds',
    help: 'Time since the changes of the log were last read to their end',
    collect: (gauge) => {
      const at = gauges.followedAt()
      if (at !== undefined) gauge.set((clock() - at) / MS_PER_SECOND)
    },
  })
}
