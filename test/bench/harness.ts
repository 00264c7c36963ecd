/**
 * What every benchmark is made of: figures of several runs, of which the median counts and the best
 * is told beside it, since other work on the machine only ever makes a run slower.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Program } from '@dslog/testbed/program'

/** What a figure ought to be, if anybody has said so. */
export interface Goal {
  readonly bound: 'at least' | 'at most'
  readonly value: number
}

/** One line of the table. */
export interface Figure {
  readonly what: string
  readonly unit: string
  /** Each run's value, in the order in which they were made. */
  readonly runs: readonly number[]
  readonly median: number
  readonly best: number
  readonly goal?: Goal
  readonly met?: boolean
  readonly note?: string
}

/** Sizes and counts, by option of the command line. */
export interface Sizes {
  readonly runs: number
  /** Names in the log before sequencing is measured. */
  readonly names: number
  /** Trees that are sequenced for each kind of change. */
  readonly trees: number
  /** Leaves of the tree that is proven from at random. */
  readonly leaves: number
  /** Zone files of the audited log. */
  readonly zones: number
  /** Names in the embedded log. */
  readonly embedded: number
  /** Delegations of the zone that is asked about and transferred. */
  readonly delegations: number
  /** Seconds for which a server is asked. */
  readonly seconds: number
  /** Names in the queue of several crawlers. */
  readonly queued: number
}

/** Small enough for all to take some minutes. */
export const USUAL: Sizes = {
  runs: 5,
  names: 200_000,
  trees: 6,
  leaves: 2_000_000,
  zones: 4,
  embedded: 20_000,
  delegations: 50_000,
  seconds: 3,
  queued: 50_000,
}

/** The sizes that the goals are about. */
export const FULL: Sizes = {
  runs: 9,
  names: 1_000_000,
  trees: 12,
  leaves: 10_000_000,
  zones: 10,
  embedded: 100_000,
  delegations: 100_000,
  seconds: 10,
  queued: 1_000_000,
}

/** What a benchmark is given. */
export class Bench {
  readonly sizes: Sizes
  readonly figures: Figure[] = []
  readonly skipped: string[] = []
  readonly #programs: { readonly name: string; readonly program: Program }[] = []
  readonly #cleanups: (() => Promise<void> | void)[] = []

  constructor(sizes: Sizes) {
    this.sizes = sizes
  }

  /** Takes down what has been measured. */
  report(
    what: string,
    unit: string,
    runs: readonly number[],
    more: { goal?: Goal; note?: string } = {},
  ): Figure {
    const fewest = more.goal?.bound === 'at most' || unit === 's' || unit === 'ms' || unit === 'µs'
    const median = medianOf(runs)
    const best = fewest ? Math.min(...runs) : Math.max(...runs)
    const { goal } = more
    const met = goal && (goal.bound === 'at most' ? median <= goal.value : median >= goal.value)
    const figure: Figure = {
      what,
      unit,
      runs,
      median,
      best,
      ...more,
      ...(met === undefined ? {} : { met }),
    }
    this.figures.push(figure)
    return figure
  }

  /** Says why something is not measured here. */
  skip(what: string): void {
    this.skipped.push(what)
    console.log(`skipped: ${what}`)
  }

  /** A folder that is gone afterwards. */
  folder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'dslog-bench-'))
    this.after(() => rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  /** Starts a program that has to run until the end, or until it is ended. */
  start(
    name: string,
    command: string,
    words: readonly string[],
    env: NodeJS.ProcessEnv = process.env,
  ): Program {
    const program = Program.start(command, words, { env })
    this.#programs.push({ name, program })
    this.after(() => program.end())
    return program
  }

  /** What programs that have ended unasked said last. */
  get faults(): string[] {
    return this.#programs.flatMap(({ name, program: { fault } }) =>
      fault === undefined ? [] : [`${name}: ${fault}`],
    )
  }

  /** What programs have said of trouble, a line each, the first of each kind, and how often. */
  get warnings(): string[] {
    return this.#programs.flatMap(({ name, program }) => {
      const said = new Map<string, { line: string; times: number }>()
      for (const line of program.output.split('\n')) {
        const [, message] = /"level":"(?:warn|error|fatal)".*"msg":"([^"]*)"/.exec(line) ?? []
        if (message === undefined) continue
        const { times } = said.get(message) ?? { times: 0 }
        said.set(message, { line: said.get(message)?.line ?? line, times: times + 1 })
      }
      return [...said.values()].map(({ line, times }) => `${name}: ${times} × ${line}`)
    })
  }

  /** Throws if a program has ended unasked. */
  check(): void {
    const { faults } = this
    if (faults.length > 0) throw new Error(faults.join('\n'))
  }

  /** To be done at the end, the last first. */
  after(cleanup: () => Promise<void> | void): void {
    this.#cleanups.push(cleanup)
  }

  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.toReversed()) await cleanup()
  }
}

/** A benchmark, by the name that selects it. */
export interface Benchmark {
  readonly name: string
  readonly about: string
  run(bench: Bench): Promise<void>
}

export function medianOf(runs: readonly number[]): number {
  const sorted = runs.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** What so large a share of the values does not pass. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

/** Seconds that something takes. */
export async function secondsOf(work: () => unknown): Promise<number> {
  const start = process.hrtime.bigint()
  await work()
  return Number(process.hrtime.bigint() - start) / 1e9
}

/** Runs something several times; `work` answers the value of a run. */
export async function repeat(
  times: number,
  work: (run: number) => Promise<number>,
): Promise<number[]> {
  const values: number[] = []
  for (let run = 0; run < times; run++) values.push(await work(run))
  return values
}

/** Calls `work` as often as fits into some milliseconds; calls a second. */
export async function rate(ms: number, work: () => unknown, atOnce = 1): Promise<number> {
  let calls = 0
  const seconds = await secondsOf(async () => {
    const end = performance.now() + ms
    const worker = async (): Promise<void> => {
      while (performance.now() < end) {
        await work()
        calls++
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
  })
  return calls / seconds
}
