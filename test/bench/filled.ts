/**
 * A log on the server with as many names as the goals are about, made by load mode: once, for all
 * benchmarks that want one. What the load took is kept for those who ask.
 */
import { Loader } from '@dslog/log/load'
import { Log, type LogOptions } from '@dslog/log/log'
import { Evidence } from './evidence.ts'
import type { Bench } from './harness.ts'
import { Meter, type Spent } from './processor.ts'
import { newLogOptions, serverUrl } from './server.ts'

/** Names of one submission. */
const SUBMISSION = 50_000

/** What a load took. */
export interface LoadTimes {
  /** Leaves a second of each submission. */
  readonly leaves: readonly number[]
  /** All of those together. */
  readonly entries: Spent
  readonly map: Spent
  readonly indexes: Spent
  readonly end: Spent
}

export interface FilledLog {
  log: Log
  readonly options: LogOptions
  readonly evidence: Evidence
  readonly times: LoadTimes
  /** Number of a name that the log does not have yet. */
  fresh: number
}

const logs = new WeakMap<Bench, Promise<FilledLog | undefined>>()

/** The log; `undefined`, and said so, where there is no server. */
export function filledLog(bench: Bench): Promise<FilledLog | undefined> {
  let log = logs.get(bench)
  if (log === undefined) {
    log = fillOnServer(bench)
    logs.set(bench, log)
  }
  return log
}

async function fillOnServer(bench: Bench): Promise<FilledLog | undefined> {
  const url = await serverUrl(bench)
  if (url === undefined) return undefined
  const evidence = new Evidence()
  const options = await newLogOptions(bench, url, evidence)
  return fill(bench, options, evidence, bench.sizes.names)
}

/** Loads names into a new log, and opens it. */
export async function fill(
  bench: Bench,
  options: LogOptions,
  evidence: Evidence,
  names: number,
): Promise<FilledLog> {
  const loader = await Loader.open(options)
  await loader.submit([{ candidates: evidence.keys() }])
  const meter = await Meter.of(options.db)
  const leaves: number[] = []
  let entries: Spent = { wall: 0, node: 0, server: 0 }
  for (let from = 0; from < names; from += SUBMISSION) {
    const count = Math.min(SUBMISSION, names - from)
    const batches = Array.from({ length: count }, (_, i) => {
      return { candidates: [evidence.state(from + i, 0)] }
    })
    const spent = await meter.spent(() => loader.submit(batches))
    leaves.push(count / spent.wall)
    entries = sumOf(entries, spent)
  }
  const { log: loading } = loader
  let upper: Awaited<ReturnType<Loader['buildMap']>> | undefined
  const map = await meter.spent(async () => (upper = await loader.buildMap()))
  const indexes = await meter.spent(() => loading.store.indexLoaded())
  const end = await meter.spent(() => loading.endLoad(upper!))
  await loading.close()
  const log = await Log.open(options)
  const times = { leaves, entries, map, indexes, end }
  const filled: FilledLog = { log, options, evidence, times, fresh: names }
  bench.after(() => filled.log.close())
  return filled
}

function sumOf(a: Spent, b: Spent): Spent {
  return { wall: a.wall + b.wall, node: a.node + b.node, server: a.server + b.server }
}
