/**
 * The process that is killed: opens the log at a place, submits steps of the stream, some at once, and says on its
 * standard output, line by line, what must stay true from then on: what was signed, published and acknowledged.
 *
 *   node … submitter.ts '{"place":…,"from":0,"to":30}'
 *
 * DSLOG_TEST_CRASH (@dslog/service/testpoint) names the point at which it dies.
 */
import { readSync, writeSync } from 'node:fs'
import { fromUtf8 } from '@dslog/tlog/bytes'
import type { NoteSigner } from '@dslog/tlog/note'
import type { SubmitResult } from '@dslog/schema/api'
import { Sequencer } from '@dslog/log/sequencer'
import { onTestPoint } from '@dslog/service/testpoint'
import { goingOn } from '@dslog/testbed/clock'
import type { Place } from '../place.ts'
import { TestLog } from '../testlog.ts'
import { Stream } from './stream.ts'

/** What a submitter is to do. */
export interface Task {
  readonly place: Place
  /** First step, and the one after the last. */
  readonly from: number
  readonly to: number
  /** Point, and which pass of it, at which it stands still until something comes on its standard input. */
  readonly held?: { readonly point: string; readonly pass: number }
}

/** What it says. */
export type Said =
  | { readonly opened: number }
  /** Text of a checkpoint that was signed, whoever saw the signature. */
  | { readonly signed: string }
  /** A note that readers were shown. */
  | { readonly published: string }
  | { readonly held: string }
  | { readonly acked: number; readonly results: readonly SubmitResult[] }

/** Steps submitted at once. */
const CONCURRENT = 3
/** Shortest time between two trees, ms. */
const INTERVAL = 2

/** Not by process.stdout: what was said must have been said when the process dies. */
function say(what: Said): void {
  writeSync(1, `${JSON.stringify(what)}\n`)
}

function saying(signer: NoteSigner): NoteSigner {
  return {
    ...signer,
    sign(text) {
      say({ signed: fromUtf8(text) })
      return signer.sign(text)
    },
  }
}

const { from, held, place, to } = JSON.parse(process.argv[2]!) as Task
let passes = held?.pass ?? 0
if (held !== undefined) {
  onTestPoint((name) => {
    if (name !== held.point || --passes !== 0) return
    say({ held: name })
    // Everything stands still, as on a machine that is busy with something else.
    readSync(0, new Uint8Array(1))
  })
}
const stream = new Stream()
const clock = goingOn(stream.net.clock.now)
const fail = (error: unknown): void => {
  throw error
}

let sequencer: Sequencer | undefined
const test = await TestLog.open({
  place,
  clock,
  wrap: (options) => ({ ...options, onLost: fail, signers: options.signers.map(saying) }),
  sink: (log) => (sequencer = new Sequencer(log, { interval: INTERVAL, clock })),
})
sequencer!.start(fail)
say({ opened: test.log.size })
say({ published: test.log.published.note })
for (let next = from; next < to; next += CONCURRENT) {
  const numbers = Array.from({ length: Math.min(CONCURRENT, to - next) }, (_, i) => next + i)
  const steps = numbers.map((number) => stream.step(number))
  await Promise.all(
    steps.map(async ({ number, observation }) => {
      const results = await test.submit(observation)
      say({ published: test.log.published.note })
      say({ acked: number, results })
    }),
  )
}
await sequencer!.stop()
await test.close()
