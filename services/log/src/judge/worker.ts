/**
 * A thread that judges submissions (pool.ts), several in turn, so that a large one keeps no small one waiting.
 * What the log already vouches for it asks of the thread that has the log, once for a submission.
 */
import { readlinkSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { basename } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { mapKey, MapKind } from '@dslog/schema/identity'
import { rememberingBackend } from '@dslog/resolver/remember'
import { installNodeCrypto } from '@dslog/service/crypto'
import type { Hash } from '@dslog/tlog/hash'
import { keyText } from '@dslog/verify/foldstore'
import type { ZoneKeys } from '@dslog/verify/keys'
import type { KnownKeys } from '@dslog/verify/observe'
import { Purse } from '../budget.ts'
import { ZoneList } from '../zones.ts'
import { Judge, type Judged } from './judge.ts'
import {
  type FromJudge,
  JudgedSender,
  type JudgeSetup,
  receiveKeys,
  type ToJudge,
  type Work,
} from './protocol.ts'
import { readSubmission } from './submission.ts'

/** Observations that are judged without a pause: a millisecond or two. */
const AT_ONCE = 8
/** Observations whose verdicts travel together: to receive them takes the log's thread less than a millisecond. */
const SENT_AT_ONCE = 32
/** Good signatures remembered, 100 bytes each: those of the keys above come again with every submission. */
const REMEMBERED = 20_000

const port = parentPort!
const { anchors, zones } = workerData as JudgeSetup
const list = new ZoneList(zones)
const backend = rememberingBackend(nodeBackend({ here: true }), REMEMBERED)
const asked = new Map<number, (keys: readonly ZoneKeys[] | Promise<never>) => void>()
let questions = 0

giveWay()
installNodeCrypto()
port.on('message', (message: ToJudge) => {
  if ('work' in message) void judge(message.job, message.work)
  else answer(message)
})

function say(message: FromJudge): void {
  port.postMessage(message)
}

async function judge(job: number, work: Work): Promise<void> {
  try {
    await judgeAll(job, work)
  } catch (error) {
    say({ job, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
}

async function judgeAll(job: number, { body, now, purse, takesPast }: Work): Promise<void> {
  const read = readSubmission(body)
  if (!('observations' in read)) return say({ job, faults: read.faults })
  const { observations } = read
  if (!takesPast && observations.some(({ historical }) => historical === true)) {
    return say({ job, past: true })
  }
  const options = { anchors, backend, known: knownTo(job) }
  const judge = new Judge(options, now, purse === undefined ? undefined : new Purse(purse))
  const sender = new JudgedSender()
  let judged: Judged[] = []
  for (const [i, observation] of observations.entries()) {
    judged.push(await judge.judge(observation))
    if (judged.length === SENT_AT_ONCE) {
      say({ job, judged: sender.send(judged) })
      judged = []
    }
    if (i % AT_ONCE === AT_ONCE - 1) await immediate()
  }
  say({ job, judged: sender.send(judged) })
  say({ job, done: true })
}

/** What the log knows: the same question is asked once, for what the log adds meanwhile it decides about itself. */
function knownTo(job: number): KnownKeys {
  const answers = new Map<string, Promise<readonly ZoneKeys[]>>()
  const once = (id: string, about: { zone: Hash } | { keysId: Hash }) => {
    const held = answers.get(id) ?? ask(job, about)
    answers.set(id, held)
    return held
  }
  return {
    lookup: (keysId) => once(`set ${keyText(keysId)}`, { keysId }),
    keysOfZone(zone) {
      const key = mapKey(MapKind.zoneKeys, zone)
      return once(`zone ${keyText(key)}`, { zone: key })
    },
    admits: (zone) => list.admits(zone),
  }
}

function ask(job: number, about: { zone: Hash } | { keysId: Hash }): Promise<readonly ZoneKeys[]> {
  const question = questions++
  return new Promise((resolve) => {
    asked.set(question, resolve)
    say({ job, question, ...about })
  })
}

function answer({ keys, question }: Extract<ToJudge, { question: number }>): void {
  const resolve = asked.get(question)
  asked.delete(question)
  resolve?.(
    keys === undefined ? Promise.reject(new Error('the log was not told')) : receiveKeys(keys),
  )
}

/** Who reads the log goes first. Linux schedules threads by a priority of their own; elsewhere all are alike. */
function giveWay(): void {
  try {
    const thread = Number(basename(readlinkSync('/proc/thread-self')))
    setPriority(thread, constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // No Linux, or no right to do so.
  }
}
