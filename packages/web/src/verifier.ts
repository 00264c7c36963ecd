/** The page's end of the worker: tasks out, steps and results back. */
import type { Checked, Failure, Proven, Reply, Step, Task } from './protocol.ts'

/** A task did not end in a proof. */
export class CheckFailure extends Error {
  override readonly name = 'CheckFailure'
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure.words)
    this.failure = failure
  }
}

interface Pending {
  readonly onStep: (step: Step) => void
  readonly resolve: (result: Proven | Checked) => void
  readonly reject: (error: CheckFailure) => void
}

const pending = new Map<number, Pending>()
let worker: Worker | undefined
let last = 0

/** Starts the worker, which then loads while somebody reads. */
export function wakeVerifier(): Worker {
  if (worker !== undefined) return worker
  worker = new Worker(new URL('./worker/main.ts', import.meta.url), { type: 'module' })
  worker.addEventListener('message', ({ data }: MessageEvent<Reply>) => {
    const waiting = pending.get(data.id)
    if (waiting === undefined) return
    if ('step' in data) return waiting.onStep(data.step)
    pending.delete(data.id)
    if ('failure' in data) waiting.reject(new CheckFailure(data.failure))
    else waiting.resolve('proven' in data ? data.proven : data.checked)
  })
  worker.addEventListener('error', ({ message }) => {
    const words = 'The part of this page that verifies did not load. Reload the page.'
    const failure = new CheckFailure({ kind: 'unreachable', words, detail: message })
    for (const { reject } of pending.values()) reject(failure)
    pending.clear()
    worker = undefined
  })
  return worker
}

/** Verifies something. Rejects with CheckFailure. */
export async function verifyTask(task: Task, onStep: (step: Step) => void): Promise<Proven> {
  const result = await ask(task, onStep)
  if ('kind' in result) return result
  throw new Error('a text was checked, nothing proven')
}

/** Checks a text. Rejects with CheckFailure. */
export async function checkText(
  task: Task & { task: 'policy' | 'anchors' | 'pins' },
): Promise<Checked> {
  const result = await ask(task, () => {})
  if ('kind' in result) throw new Error('something was proven, no text checked')
  return result
}

function ask(task: Task, onStep: (step: Step) => void): Promise<Proven | Checked> {
  const id = ++last
  return new Promise((resolve, reject) => {
    pending.set(id, { onStep, resolve, reject })
    wakeVerifier().postMessage({ id, task })
  })
}
