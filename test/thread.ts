/**
 * In place of packages/service/src/thread.ts, in tests: threads that run a bundle. From source, half of what it takes to
 * start a thread is to teach it TypeScript.
 */
import { fileURLToPath } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { bundleOf } from './bundle.ts'

/** As the one that it stands for. */
export function startThread(
  file: string,
  base: string,
  options: Pick<WorkerOptions, 'name' | 'workerData'>,
): Worker {
  return new Worker(bundleOf(fileURLToPath(new URL(`${file}.ts`, base))), options)
}
