/**
 * `dslog demo`: everything in one process on a small signed internet of its own, without a network, and
 * a story told step by step. Afterwards all of it goes on running, to be looked at; with `--once` it ends,
 * and exits with 0 if every step came out as told.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Stage } from '../demo/stage.ts'
import { Story, STORY_MS } from '../demo/story.ts'
import { Teller } from '../demo/teller.ts'
import { EXIT, Failure } from '../failure.ts'
import { LOG_FILES } from '@dslog/log/files'
import { untilSignal } from '../service.ts'
import type { Session } from '../session.ts'

export interface DemoOptions {
  readonly data?: string
  readonly once?: boolean
}

export async function demo(session: Session, options: DemoOptions): Promise<void> {
  const { data, once = false } = options
  const folder = data === undefined ? await mkdtemp(join(tmpdir(), 'dslog-demo-')) : session.data
  if (data !== undefined) await demandEmpty(folder)
  const stopping = untilSignal()
  const { signal } = stopping
  let stage: Stage | undefined
  try {
    session.output.line(
      'A small signed internet, a log of it, a crawler and a monitor are set up. The clock of it all is\n' +
        'put forward between the steps: half a day takes a minute.',
    )
    stage = await Stage.set(folder, STORY_MS, session.io)
    signal.throwIfAborted()
    await run(stage, session, { once, signal })
  } catch (error) {
    if (!signal.aborted) throw error
    if (once) throw new Failure(EXIT.service, 'stopped before the story was over', { cause: error })
  } finally {
    stopping.end()
    await stage?.stop()
    if (data === undefined) await rm(folder, { recursive: true, force: true })
  }
}

async function run(
  stage: Stage,
  { output }: Session,
  { once, signal }: { once: boolean; signal: AbortSignal },
): Promise<void> {
  const story = new Story(stage, new Teller(output, stage.clock, signal))
  await Promise.race([story.tell(), failing(stage)])
  const { log, mailbox, monitor } = stage.places
  const { id, token } = story.subscription
  const at = { log, monitor, mailbox, data: stage.data }
  output.event({ event: 'ready', ok: true, ...at, subscription: id, token })
  if (once) return output.line('\nEvery step came out as told.')
  output.line(`
Every step came out as told. All of it runs on, for you to look at:

  ${log}/#/name/bank.example.
             what the log has of the bank, with the swap as its newest change; the page asks first
             whether you accept the root keys of this made-up internet
  ${log}/#/log
             the log as the monitor judges it, after the fork
  ${mailbox}
             every mail of the story; save the proof that is attached to the alarm, and drop it onto
             ${log}/#/verify
  ${monitor}/manage/${id}
             the alerts of the bank; its token is ${token}
  ${monitor}/v1/evidence
             both signatures of the log, for programs

With the command line, in another terminal:

  npx dslog history bank.example --data ${stage.data} --anchors ${join(stage.data, 'anchors')}
  npx dslog verify ${join(stage.data, 'mail')}/*.tlog-proof --policy ${join(stage.data, LOG_FILES.policy)} --anchors ${join(stage.data, 'anchors')}

Ctrl-C ends all of it, and removes it.`)
  await Promise.race([
    new Promise((resolve) => signal.addEventListener('abort', resolve)),
    failing(stage),
  ])
}

/** Throws what a service fails with. */
async function failing(stage: Stage): Promise<never> {
  throw await stage.failed
}

/** A story is told from its beginning. */
async function demandEmpty(folder: string): Promise<void> {
  const found = await readdir(folder).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  })
  if (found.length === 0) return
  throw new Failure(EXIT.usage, `${folder} is not empty: the demo makes a log of its own`)
}
