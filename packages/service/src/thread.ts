/** Starts threads that run a file of this program: of what was built, or from source. */
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'

const require = createRequire(import.meta.url)

/**
 * Starts a thread.
 *
 * @param file of the program, relative to `base`, without its ending
 * @param base URL of the file that asks
 */
export function startThread(
  file: string,
  base: string,
  options: Pick<WorkerOptions, 'name' | 'workerData'>,
): Worker {
  if (base.endsWith('.js')) return new Worker(new URL(`${file}.js`, base), options)
  // From source. Node 20 does not let `--import` teach a thread TypeScript, so the thread does it itself.
  const tsx = pathToFileURL(require.resolve('tsx'))
  const loader = new URL('./esm/api/index.mjs', tsx).href
  const program = new URL(`${file}.ts`, base).href
  const code = `import('${loader}').then(({ register }) => { register(); return import('${program}') })`
  return new Worker(code, { ...options, eval: true, execArgv: ['--conditions=@dslog/source'] })
}
