/** A log on the stage: it takes what it is given, publishes when it is told, and is followed by the monitor. */
import { fromBase64 } from '@dslog/tlog/bytes'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { parseRecord } from '@dslog/dnssec/wire'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import type { Internet } from '@dslog/testbed/internet'
import { LyingLog, Scribe, type ServedLog } from '@dslog/testbed/lyinglog'
import type { Follower } from '../../src/follow.ts'
import type { JudgedLog } from '../../src/cases.ts'
import { MonitorStore } from '../../src/store.ts'
import { follower, grow, type Place } from '../world.ts'

/** See the head of this file. */
export class StagedLog {
  readonly log: LyingLog
  readonly scribe: Scribe
  readonly store: MonitorStore
  readonly follower: Follower
  readonly served: ServedLog
  /** What it was handed in. */
  readonly offered: Observation[] = []
  /** What it answers instead of taking what it is given. */
  refusal: SubmitResult | Error | undefined

  private constructor(parts: Pick<StagedLog, 'log' | 'scribe' | 'store' | 'follower' | 'served'>) {
    this.log = parts.log
    this.scribe = parts.scribe
    this.store = parts.store
    this.follower = parts.follower
    this.served = parts.served
  }

  static async open(home: Place, net: Internet, origin?: string): Promise<StagedLog> {
    const log = new LyingLog(origin)
    const { anchors, clock } = net
    const scribe = new Scribe({ anchors, now: clock.now })
    await scribe.mapHead()
    grow(log, scribe)
    const served = await log.serve()
    const store = await MonitorStore.enter(home.db, log.origin)
    const setting = { log, served, db: home.db, anchors, clock: clock.now }
    const follows = await follower(setting, { store })
    return new StagedLog({ log, scribe, served, store, follower: follows })
  }

  /** As the judge sees it. */
  get judged(): JudgedLog {
    const published = () => {
      const { freshAt, published: size } = this.follower.status
      return freshAt === undefined ? undefined : size
    }
    return { origin: this.log.origin, log: this.store.log, published }
  }

  async observe(owner: Name, bag: readonly RR[]): Promise<void> {
    await this.scribe.observe(owner, bag)
  }

  async grow(): Promise<void> {
    await this.scribe.mapHead()
    grow(this.log, this.scribe)
  }

  /** Takes what is handed in, as a log does; it is published with the next tree. */
  async take(observation: Observation): Promise<SubmitResult> {
    this.offered.push(observation)
    if (this.refusal instanceof Error) throw this.refusal
    if (this.refusal !== undefined) return this.refusal
    const records = (observation.records ?? []).map((record) => parseRecord(fromBase64(record)))
    const owner = nameFromText(observation.owner)
    if (observation.kind === 'keys') await this.scribe.observeKeys(owner, records)
    else await this.observe(owner, records)
    return { status: 'accepted' }
  }

  async close(): Promise<void> {
    await this.served.close()
  }
}
