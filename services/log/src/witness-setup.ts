/** The witnesses that a log asks, as its configuration names them, and what an operator sees of them. */
import { HttpClient } from '@dslog/tlog/http'
import type { Clock } from '@dslog/service/clock'
import type { Health } from '@dslog/service/health'
import type { Logger } from '@dslog/service/log'
import type { Metrics } from '@dslog/service/metrics'
import { VERSION } from '@dslog/service/version'
import type { LogConfig } from './config.ts'
import { LogError } from './error.ts'
import type { Log } from './log.ts'
import { arePublic, readWitnessPolicy, type WitnessPolicy } from './policy.ts'
import { Witnesses } from './witness.ts'

/** Shortest time between two trees where witnesses of others are asked, ms: they serve many logs. */
const PUBLIC_INTERVAL_MS = 10_000

/** A tree that waits for its witnesses longer than this, ms, is an operator's business. */
const WAITING_LIMIT_MS = 30_000

/** How the log names itself to witnesses. */
const USER_AGENT = `dslog-log/${VERSION}`

/**
 * The witnesses to ask; `undefined` if none are configured.
 *
 * @throws LogError `witnesses` if the policy cannot be, or asks others to vouch for a database that a power cut may set back
 */
export async function witnessesOf(
  config: LogConfig,
  { clock, isEmbedded, logger }: { clock: Clock; isEmbedded: boolean; logger: Logger },
): Promise<Witnesses | undefined> {
  if (config.witnessPolicy === undefined) return undefined
  const policy = await readWitnessPolicy(config.witnessPolicy)
  const edges = { fetch: globalThis.fetch, now: clock, random: Math.random }
  const http = new HttpClient(edges, { headers: { 'user-agent': USER_AGENT } })
  const witnesses = new Witnesses(policy, { http, clock, logger })
  if (arePublic(policy) && isEmbedded && !config.witnessEmbedded) {
    throw new LogError(
      'witnesses',
      'the embedded database does not survive a power cut, and public witnesses never forget: use PostgreSQL, or set DSLOG_LOG_WITNESS_EMBEDDED=true',
    )
  }
  return witnesses
}

/** Shortest time between two trees, ms, that the witnesses of a policy allow. */
export function shortestInterval(policy: WitnessPolicy): number {
  return arePublic(policy) ? PUBLIC_INTERVAL_MS : 0
}

/** Numbers that tell which witness keeps up, and a check that trees are published. */
export function observeWitnesses(
  { log, witnesses }: { log: Log; witnesses: Witnesses },
  { clock, health, metrics }: { clock: Clock; health: Health; metrics: Metrics },
): void {
  const labels = ['witness'] as const
  metrics.gauge({
    name: 'dslog_witness_size',
    help: 'Entries of the newest tree that a witness has cosigned',
    labels,
    collect: (gauge) => {
      for (const { name, size } of witnesses.states) gauge.set({ witness: name }, size)
    },
  })
  metrics.gauge({
    name: 'dslog_witness_age_seconds',
    help: 'Time since a witness last cosigned',
    labels,
    collect: (gauge) => {
      for (const { cosignedAt, name } of witnesses.states) {
        if (cosignedAt !== undefined) gauge.set({ witness: name }, (clock() - cosignedAt) / 1000)
      }
    },
  })
  metrics.gauge({
    name: 'dslog_witness_failures',
    help: 'Requests to a witness that did not lead to a cosignature, since the start',
    labels,
    collect: (gauge) => {
      for (const { failures, name } of witnesses.states) gauge.set({ witness: name }, failures)
    },
  })
  metrics.gauge({
    name: 'dslog_witness_waiting_seconds',
    help: 'Time for which a signed tree has been waiting for a quorum; 0 when none is',
    collect: (gauge) => gauge.set(log.shown.waiting / 1000),
  })
  health.ready('witnesses', () =>
    log.shown.waiting > WAITING_LIMIT_MS ? 'a tree waits for its witnesses' : undefined,
  )
}
