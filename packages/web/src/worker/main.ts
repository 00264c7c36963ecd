/** The worker: takes tasks one after the other as they come, answers steps and then what came of them. */
import { webBackend } from '@dslog/dnssec/backend/web'
import type { Reply, Request } from '../protocol.ts'
import { check, type Edges } from './check.ts'
import { failureOf } from './words.ts'

/** The worker's end of the line; the compiler knows this scope as a window's. */
interface Port {
  postMessage(message: Reply): void
  addEventListener(type: 'message', listener: (event: MessageEvent<Request>) => void): void
}

const port = globalThis as unknown as Port

const edges: Edges = {
  fetch: (url, init) => fetch(url, init),
  now: () => Date.now(),
  random: () => Math.random(),
  backend: webBackend(),
}

port.addEventListener('message', ({ data: { id, task } }) => {
  check(task, edges, (step) => port.postMessage({ id, step }))
    .then((result) => {
      if ('kind' in result) port.postMessage({ id, proven: result })
      else port.postMessage({ id, checked: result })
    })
    .catch((error: unknown) => port.postMessage({ id, failure: failureOf(error) }))
})
