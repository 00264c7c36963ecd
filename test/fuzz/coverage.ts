/**
 * Which code has run: V8's own block coverage. It is what lets the fuzzer keep an input that came
 * further into a parser than all before it.
 */
import { Session } from 'node:inspector'

interface Range {
  readonly startOffset: number
  readonly endOffset: number
  readonly count: number
}

interface ScriptCoverage {
  readonly url: string
  readonly functions: readonly { readonly ranges: readonly Range[] }[]
}

/** Code whose coverage counts: ours, and not the tests, but for the one that tests this. */
const OURS = /\/(packages|services|schema)\/([^/]+\/)?(src|dist)\/|\/planted\.ts/

/** What has run between two looks. */
export class Snapshot {
  readonly #scripts: readonly ScriptCoverage[]

  constructor(scripts: readonly ScriptCoverage[]) {
    this.#scripts = scripts
  }

  /** Blocks that have run, and not as often as what they are in: V8 tells of no others. */
  blocks(): string[] {
    return this.#scripts.flatMap(({ functions, url }) =>
      functions.flatMap(({ ranges }) =>
        ranges
          .filter(({ count }) => count > 0)
          .map(({ endOffset, startOffset }) => `${startOffset} ${endOffset} ${url}`),
      ),
    )
  }

  /** Whether a block has run: what is told of the smallest part that it is in. */
  ran(block: string): boolean {
    const [start, end, url] = block.split(' ')
    const script = this.#scripts.find((one) => one.url === url)
    const around = (script?.functions ?? [])
      .flatMap(({ ranges }) => ranges)
      .filter(({ endOffset, startOffset }) => {
        return startOffset <= Number(start) && endOffset >= Number(end)
      })
      .sort((x, y) => x.endOffset - x.startOffset - (y.endOffset - y.startOffset))
    return (around[0]?.count ?? 0) > 0
  }
}

/**
 * The counters of the process. To be begun before the code that is to be counted has run: what V8 has
 * compiled before is counted by function only.
 */
export class Coverage {
  readonly #session = new Session()

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** What of our code has run since the last call. */
  take(): Snapshot {
    return new Snapshot(this.#take().filter(({ url }) => OURS.test(url)))
  }

  /** A session with this very thread answers before it returns. */
  #take(): readonly ScriptCoverage[] {
    let taken: readonly ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error
      taken = result
    })
    return taken
  }
}
