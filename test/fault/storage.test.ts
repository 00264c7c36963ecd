/**
 * Each storage fault, persisted and not: whatever a log is told about a write, it stops, and opening it anew neither forks
 * nor loses anything. Every statement, commit and write of the signer row fails once in each way.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { fromUtf8 } from '@dslog/tlog/bytes'
import { type NoteSigner, signNote } from '@dslog/tlog/note'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText } from '@dslog/dnssec/name'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { HOUR } from '@dslog/schema/time'
import { Problem } from '@dslog/service/problem'
import { goingOn } from '@dslog/testbed/clock'
import { Internet } from '@dslog/testbed/internet'
import { ownerDs } from '@dslog/testbed/stories'
import { createLog } from '@dslog/log/create'
import type { Log, LogOptions } from '@dslog/log/log'
import { LOG_FILES } from '@dslog/log/files'
import { REFRESH_MS, Sequencer } from '@dslog/log/sequencer'
import { viewOf } from '@dslog/log/view'
import { Places } from '../place.ts'
import { broken, complaints, observe, openPlace, TestLog } from '../testlog.ts'
import { Faults, StorageFault, type When } from './faults.ts'

const places = await Places.open()
afterAll(() => places.close())

/** Recoveries after which the whole log is audited. */
const AUDIT_EACH = 10
const WAYS: readonly When[] = ['lost', 'persisted']

describe.each(places.kinds)('a log on %s, whose storage fails', (kind) => {
  const faults = new Faults()
  const world = new World()
  /** Everything that was ever signed, and every entry that was acknowledged. */
  const notes = new Set<string>()
  const acked = new Map<number, string>()
  let recoveries = 0
  let plain: LogOptions

  beforeAll(async () => {
    plain = await openPlace(await places.make(kind, world.net.anchors), world.clock)
  })
  afterAll(() => plain.db.close())

  function recording(options: LogOptions): LogOptions {
    const signer = options.signers[0]!
    const sign: NoteSigner['sign'] = (text) => {
      notes.add(signNote(fromUtf8(text), [signer]))
      return signer.sign(text)
    }
    return { ...faults.wrap(options), signers: [{ ...signer, sign }] }
  }

  /** The log with its pool. */
  async function open(): Promise<Running> {
    let sequencer: Sequencer | undefined
    const { clock } = world
    const sink = (log: Log): Sequencer => (sequencer = new Sequencer(log, { interval: 1, clock }))
    const test = await TestLog.over(plain, { clock, wrap: recording, sink })
    return new Running(test, sequencer!)
  }

  function ack(results: readonly SubmitResult[]): void {
    for (const { index, state_id: id, status } of results) {
      expect(status).toMatch(/^(logged|known)$/)
      if (status === 'logged') acked.set(index!, id!)
    }
  }

  /** Opens the log without faults, hands the same evidence in again, and checks all that was promised. */
  async function checkRecovery(observations: readonly Observation[] = []): Promise<void> {
    const running = await open()
    try {
      const { reader } = running.test
      if (observations.length > 0) ack(await running.test.submit(...observations))
      expect(await broken(running.test, notes)).toEqual([])
      for (const [index, id] of acked) {
        const view = viewOf(index, (await reader.entry(index)).bytes)
        expect(view).toMatchObject({ state_id: id })
      }
      // An audit finds what was wrong before, too: now and then is enough.
      if (++recoveries % AUDIT_EACH === 0) expect(await complaints(running.test)).toEqual([])
    } finally {
      await running.close()
    }
  }

  /**
   * Lets each effect of a run fail in each way, until a run has no more of them.
   *
   * @param run starts over each time; must end when the fault has come out of it
   * @returns names of the effects
   */
  async function failEach(run: (arm: () => void) => Promise<void>): Promise<readonly string[]> {
    for (let effect = 1; ; effect++) {
      for (const when of WAYS) {
        await run(() => faults.arm(effect, when))
        const { effects, thrown } = faults.disarm()
        if (effect > effects.length) return effects
        // Compiled for a COPY and not executed itself: there is no afterwards.
        if (!thrown) expect([when, effects[effect - 1]]).toEqual(['persisted', 'RawNode'])
      }
    }
  }

  /** Waits for what may have failed; true if the fault came out of it, and nothing but the fault may. */
  async function fails(run: Promise<unknown>): Promise<boolean> {
    try {
      await run
      return false
    } catch (error) {
      const cause = error instanceof Problem ? error.cause : error
      if (cause instanceof StorageFault) return true
      throw error
    }
  }

  test('while a tree is sequenced', async () => {
    let stops = 0
    const effects = await failEach(async (arm) => {
      const observations = world.change()
      const running = await open()
      arm()
      const results = running.test.submit(...observations)
      if (await fails(results)) {
        faults.hold()
        // The submitter may hear of it before the pool has stopped.
        await new Promise(setImmediate)
        if (running.failure !== undefined) {
          stops++
          // Whether the fault was before or after the effect is not known: nothing goes on.
          await expect(running.test.submit(...world.change())).rejects.toThrow(Problem)
        }
        await running.close()
        await checkRecovery(observations)
      } else {
        ack(await results)
        await running.close()
      }
    })
    expect(effects).toContain('commit')
    expect(effects).toContain('write the signer row')
    expect(stops).toBeGreaterThan(effects.length)
    console.log(
      `${kind}: ${effects.length} effects of a submission; ${stops} faults stopped the log`,
    )
  })

  test('while a tree is finished at the start', async () => {
    const effects = await failEach(async (arm) => {
      // The key was not asked for the tree that is there: as after a crash between the two.
      const observations = world.change()
      const running = await open()
      faults.armNext('commit', 'persisted')
      expect(await fails(running.test.submit(...observations))).toBe(true)
      await running.close()
      const { size } = await plain.db.kysely
        .selectFrom('tree')
        .select('size')
        .executeTakeFirstOrThrow()
      expect((await plain.signerRow.read())!.size).toBeLessThan(size)
      arm()
      const again = open()
      if (await fails(again)) await checkRecovery(observations)
      else await (await again).close()
    })
    expect(effects).toContain('write the signer row')
    console.log(`${kind}: ${effects.length} effects of a start`)
  })

  test('while the newest tree is signed anew', async () => {
    const effects = await failEach(async (arm) => {
      const running = await open()
      const { publishedAt } = running.test.log.published
      arm()
      world.net.clock.advance(REFRESH_MS)
      while (
        running.failure === undefined &&
        running.test.log.published.publishedAt === publishedAt
      ) {
        await new Promise(setImmediate)
      }
      faults.hold()
      if (running.failure !== undefined) expect(running.failure).toBeInstanceOf(StorageFault)
      await running.close()
      await checkRecovery()
    })
    expect(effects).not.toContain('write the signer row')
  })

  test('and is sound after all of it', async () => {
    const running = await open()
    expect(await complaints(running.test)).toEqual([])
    expect(acked.size).toBeGreaterThan(recoveries)
    await running.close()
  })

  test('while it is created', async () => {
    const place = await places.make(kind, world.net.anchors)
    const options = await openPlace(place, world.clock)
    onTestFinished(() => options.db.close())
    const effects = await failEach(async (arm) => {
      arm()
      await fails(createLog(faults.wrap(options)))
      faults.hold()
      const test = await TestLog.over(options, { clock: world.clock })
      expect(await complaints(test)).toEqual([])
      await test.log.close()
      await sql`truncate tree, published, signer, tile, bundle, leaf`.execute(options.db.kysely)
      await rm(join(place.data, LOG_FILES.signer), { force: true })
    })
    expect(effects).toContain('commit')
  })
})

/** An open log, and what its pool said when it stopped. */
class Running {
  readonly test: TestLog
  failure: unknown
  readonly #sequencer: Sequencer

  constructor(test: TestLog, sequencer: Sequencer) {
    this.test = test
    this.#sequencer = sequencer
    sequencer.start((error) => {
      this.failure = error
    })
  }

  async close(): Promise<void> {
    await this.#sequencer.stop()
    await this.test.log.close()
  }
}

/** Changes that touch every table: a zone that is new, a name in it, and a name that is not new. */
class World {
  readonly net = new Internet({ root: { algorithm: ALGORITHM.ED25519 } })
  readonly clock = goingOn(this.net.clock.now)
  #changes = 0

  constructor() {
    this.net.addZone('fi.', { algorithm: ALGORITHM.ED25519 })
  }

  change(): Observation[] {
    const n = ++this.#changes
    this.net.clock.advance(HOUR)
    this.net.addZone(`zone${n}.`, { algorithm: ALGORITHM.ED25519 })
    const owners = [`fresh.zone${n}.`, 'grown.fi.'].map((text) => nameFromText(text))
    for (const owner of owners) {
      this.net.parentOf(owner).delegate(owner, [ownerDs(owner, n)])
    }
    return owners.map((owner) => observe(this.net, owner))
  }
}
