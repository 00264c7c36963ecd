/**
 * A log that is killed again and again, and what must hold after each time: it opens, continues every checkpoint that was
 * ever signed, holds every acknowledged entry, goes on, and neither an auditor nor fsck has anything to say.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { toBase64 } from '@dslog/tlog/bytes'
import { ed25519Signer, signNote } from '@dslog/tlog/note'
import { decodeEntry } from '@dslog/schema/entry'
import { stateOf } from '@dslog/schema/identity'
import { DatabaseError } from '@dslog/service/database-error'
import type { SubmitResult } from '@dslog/schema/api'
import { keyOf, type Place } from '../place.ts'
import { FROM_SOURCE } from '../repository.ts'
import { broken, complaints, TestLog } from '../testlog.ts'
import { bundleOf } from '../bundle.ts'
import { type Step, Stream } from './stream.ts'
import type { Said, Task } from './submitter.ts'

const PROGRAM = fileURLToPath(new URL('submitter.ts', import.meta.url))
/** Steps that a submitter is given: more than it lives to finish. */
const STEPS = 60
/** How long a server may take to notice that a client has died, ms. */
const NOTICE_LIMIT = 10_000

/** Signs as the log did: the same text gets the same signature. */
const SIGNER = ed25519Signer(keyOf())

/** At the `pass`-th pass of a test point, or when a submitter has said so many lines, and so many ms later. */
export type Moment =
  | { readonly point: string; readonly pass: number }
  | { readonly lines: number; readonly delay: number }

/** How a submitter ends: killed, unless it is its server that dies. */
export type End = Moment & {
  /** Ends the server. What becomes of the submitter then is its own affair. */
  readonly server?: () => Promise<void>
  /** The submitter is killed at the same time, as when the machine of both loses its power. */
  readonly both?: boolean
}

function isKilled({ both = false, server }: End): boolean {
  return server === undefined || both
}

/** One log, its crashes, and everything that was promised in its name. */
export class CrashedLog {
  #place: Place
  /** Signed checkpoint texts. */
  readonly #signed = new Set<string>()
  /** Notes that were shown. */
  readonly #published = new Set<string>()
  /** Acknowledged entries: index → identity of the state. */
  readonly #acked = new Map<number, string>()
  /** Steps that were acknowledged; all below {@link #done} were. */
  readonly #ackedSteps = new Set<number>()
  #done = 0
  readonly #stream = new Stream()
  readonly #steps: Step[] = []

  constructor(place: Place) {
    this.#place = place
  }

  /** Numbers for the report of a run. */
  get counts(): { acked: number; signed: number; published: number; steps: number } {
    const [acked, signed, published] = [this.#acked, this.#signed, this.#published].map(
      (s) => s.size,
    )
    return { acked: acked!, signed: signed!, published: published!, steps: this.#done }
  }

  /** From now on the log is to be found there. */
  moveTo(place: Place): void {
    this.#place = place
  }

  /**
   * Runs a submitter until it dies; then checks the log, and lets it go on by one step.
   *
   * @param own what an operator does in between, and whether an auditor and fsck look at all of it
   */
  async crash(
    end: End,
    own: { readonly repair?: () => Promise<void>; readonly audit?: boolean } = {},
  ): Promise<void> {
    await this.#run(end)
    await own.repair?.()
    await this.#check(own.audit ?? true)
  }

  async #check(audit: boolean): Promise<void> {
    const test = await this.#open()
    try {
      await this.#checkPromises(test)
      await this.#goOn(test)
      await this.#checkPromises(test)
      if (audit) assert.deepEqual(await complaints(test), [])
    } finally {
      await test.close()
    }
  }

  async #run(end: End): Promise<void> {
    const { both = false, server } = end
    const own: Task = { place: this.#place, from: this.#done, to: this.#done + STEPS }
    // At a point a process kills itself; whom a server dies under stands still there meanwhile.
    const at = 'point' in end ? { point: end.point, pass: end.pass } : undefined
    const task: Task = at === undefined || server === undefined ? own : { ...own, held: at }
    const env: NodeJS.ProcessEnv = { ...process.env }
    delete env['DSLOG_TEST_CRASH']
    if (at !== undefined && server === undefined) env['DSLOG_TEST_CRASH'] = `${at.point}:${at.pass}`
    const program =
      this.#place.kind === 'postgres' ? [bundleOf(PROGRAM)] : [...FROM_SOURCE, PROGRAM]
    // What it says about a server that went away is of no interest.
    const stderr = isKilled(end) ? 'inherit' : 'ignore'
    const child = spawn(process.execPath, [...program, JSON.stringify(task)], {
      env,
      stdio: ['pipe', 'pipe', stderr],
    })
    const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    let lines = 0
    let dying: Promise<void> | undefined
    const die = async (delay: number): Promise<void> => {
      await sleep(delay)
      if (isKilled(end)) child.kill('SIGKILL')
      await server?.()
    }
    for await (const line of createInterface({ input: child.stdout })) {
      const said = JSON.parse(line) as Said
      this.#hear(said)
      if ('lines' in end && ++lines === end.lines) dying = die(end.delay)
      if ('held' in said) {
        await die(0)
        if (!both) child.stdin.end('go on\n')
      }
    }
    const [code, signal] = await exited
    await dying
    if (!isKilled(end) || signal === 'SIGKILL') return
    // On a busy machine it may have done all its steps before it is killed at a moment, not at a point.
    if (code === 0 && 'lines' in end) return
    throw new Error(`the submitter ended with ${signal ?? code}: ${JSON.stringify(end)}`)
  }

  #hear(said: Said): void {
    if ('signed' in said) this.#signed.add(said.signed)
    else if ('published' in said) this.#published.add(said.published)
    else if ('acked' in said) this.#ack(said.acked, said.results)
  }

  #ack(number: number, results: readonly SubmitResult[]): void {
    const [result] = results
    assert.equal(results.length, 1)
    assert.match(result!.status, /^(logged|known)$/)
    const { stateId } = this.#step(number)
    if (result?.status === 'logged') {
      assert.equal(result.state_id, toBase64(stateId))
      this.#acked.set(result.index!, toBase64(stateId))
    }
    this.#ackedSteps.add(number)
    while (this.#ackedSteps.has(this.#done)) this.#done++
  }

  #step(number: number): Step {
    while (this.#steps.length <= number) this.#steps.push(this.#stream.step(this.#steps.length))
    return this.#steps[number]!
  }

  /** A server holds the lock of a dead client until it notices. */
  async #open(): Promise<TestLog> {
    const { clock } = this.#stream.net
    for (const deadline = Date.now() + NOTICE_LIMIT; ;) {
      try {
        return await TestLog.open({ place: this.#place, clock: clock.now })
      } catch (error) {
        const held = error instanceof DatabaseError && error.code === 'held'
        if (!held || Date.now() > deadline) throw error
        await sleep(20)
      }
    }
  }

  async #checkPromises(test: TestLog): Promise<void> {
    const { reader } = test
    const notes = [...this.#signed].map((text) => signNote(text, [SIGNER]))
    assert.deepEqual(await broken(test, [...notes, ...this.#published]), [])
    for (const [index, id] of this.#acked) {
      const entry = decodeEntry((await reader.entry(index)).bytes)
      assert.ok('owner' in entry, `entry ${index} is another one`)
      assert.equal(toBase64(stateOf(entry)), id)
    }
    this.#published.add(reader.tree.note)
  }

  /** The next step, in this process. */
  async #goOn(test: TestLog): Promise<void> {
    const { number, observation } = this.#step(this.#done)
    this.#ack(number, await test.submit(observation))
  }
}
