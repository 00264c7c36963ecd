/**
 * The crash matrix, for one kind of database: whoever can die, at each test point and at several passes of it, then at any
 * moment. DSLOG_TEST_CRASHES says how many of the latter there are, DSLOG_TEST_SEED repeats those of an earlier run.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { randomIntFrom } from '@dslog/testbed/random'
import { MINUTE } from '@dslog/schema/time'
import { nightly } from '../nightly.ts'
import type { Kind, Places } from '../place.ts'
import { CrashedLog, type End, type Moment } from './crash.ts'
import { Stream } from './stream.ts'

/** Points between two effects of one tree, in their order. */
const POINTS: Readonly<Record<Kind, readonly string[]>> = {
  embedded: [
    'log.opened',
    'log.decided',
    'log.stored',
    'log.committing',
    'log.committed',
    'signer.compared',
    'file.written',
    'file.renamed',
    'log.recorded',
    'log.signed',
    'log.published',
  ],
  postgres: [
    'log.opened',
    'log.decided',
    'log.stored',
    'log.committing',
    'log.committed',
    'signer.writing',
    'log.recorded',
    'log.signed',
    'log.published',
  ],
}
/** Points of the creation of a log. */
const CREATION = ['log.creating', 'log.created'] as const

/** Who dies. `both` is a power cut. */
type Victim = 'process' | 'server' | 'both'

/** Which pass of a point it is: opening the log makes some of them, too. */
const PASSES = nightly ? [1, 2, 3, 5, 8] : [1, 3]
/** A log is opened once in a process. */
const passesOf = (point: string): number[] => (point === 'log.opened' ? [1] : PASSES)

const CRASHES = Number(process.env['DSLOG_TEST_CRASHES'] ?? (nightly ? 300 : 6))
/** Lines after which somebody dies at random, and ms after that. */
const MAX_LINES = 20
const MAX_DELAY = 25
const MAX_PASS = 8
/** Crashes that one log goes through: every promise is checked after each. */
const CRASHES_OF_ONE = 60
/** Crashes after which all of a log is audited: what was wrong before is found then, too. */
const AUDIT_EACH = 6

/** Tests about one log, which they kill in turn. */
export function crashTests(places: Places, kind: Kind): void {
  const fresh = (): Promise<CrashedLog> => freshLog(places, kind)
  const ended = (victim: Victim, when: Moment): End => endOf(places, victim, when)

  describe.each(victimsOf(places, kind))('whose %s dies', (victim) => {
    let log: CrashedLog
    beforeAll(async () => {
      log = await fresh()
    })

    test.each(CREATION)('at %s', async (point) => {
      const created = await fresh()
      await created.crash(ended(victim, { point, pass: 1 }))
      expect(created.counts.steps).toBeGreaterThan(0)
    })

    test.each(POINTS[kind].flatMap((point) => passesOf(point).map((pass) => ({ point, pass }))))(
      'at $point, pass $pass',
      async (when) => {
        await log.crash(ended(victim, when))
        expect(log.counts.steps).toBeGreaterThan(0)
      },
    )
  })

  randomCrashes(places, kind, CRASHES)
}

/** Those at random alone, so many. */
export function randomCrashes(places: Places, kind: Kind, crashes: number): void {
  const victims = victimsOf(places, kind)
  describe(`at ${crashes} random moments`, () => {
    const seed = Number(process.env['DSLOG_TEST_SEED'] ?? Date.now() % 1_000_000)
    console.log(`random crashes of ${kind}: DSLOG_TEST_SEED=${seed}`)
    const upTo = randomIntFrom(seed)
    const oneOf = <T>(list: readonly T[]): T => list[upTo(list.length)]!
    const rounds = Array.from({ length: Math.ceil(crashes / CRASHES_OF_ONE) }, (_, round) => {
      const count = Math.min(CRASHES_OF_ONE, crashes - round * CRASHES_OF_ONE)
      const ends = Array.from({ length: count }, () => {
        const point = oneOf(POINTS[kind])
        const pass = point === 'log.opened' ? 1 : 1 + upTo(MAX_PASS)
        const moment = { lines: 1 + upTo(MAX_LINES), delay: upTo(MAX_DELAY) }
        return endOf(places, oneOf(victims), upTo(2) === 0 ? { point, pass } : moment)
      })
      return { round: round + 1, ends }
    })

    test.each(rounds)(
      'round $round',
      { timeout: CRASHES_OF_ONE * MINUTE },
      async ({ ends, round }) => {
        const log = await freshLog(places, kind)
        for (const [i, end] of ends.entries()) {
          const audit = (i + 1) % AUDIT_EACH === 0 || i === ends.length - 1
          try {
            await log.crash(end, { audit })
          } catch (cause) {
            // Said at once: the other rounds take their time.
            console.log(
              `${kind}, crash ${i} of round ${round}, ${JSON.stringify(end)}: ${String(cause)}`,
            )
            throw cause
          }
        }
        console.log(`${kind}, ${ends.length} crashes: ${JSON.stringify(log.counts)}`)
        expect(log.counts.acked).toBeGreaterThan(ends.length)
      },
    )
  })
}

function victimsOf({ postgres }: Places, kind: Kind): Victim[] {
  return kind === 'postgres' && postgres?.owned === true
    ? ['process', 'server', 'both']
    : ['process']
}

function endOf({ postgres }: Places, victim: Victim, when: Moment): End {
  if (victim === 'process') return when
  return { ...when, server: () => postgres!.crash(), both: victim === 'both' }
}

async function freshLog(places: Places, kind: Kind): Promise<CrashedLog> {
  return new CrashedLog(await places.make(kind, new Stream().net.anchors))
}
