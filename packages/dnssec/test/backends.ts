/** The signature backends that every test of signatures runs with. A browser run has only the last. */
import type { SignatureBackend } from '../src/backend/backend.ts'
import { nodeBackend } from '../src/backend/node.ts'
import { webBackend } from '../src/backend/web.ts'

export const BACKENDS: readonly (readonly [string, SignatureBackend])[] = [
  ['node', nodeBackend()],
  ['node, on the thread that asks', nodeBackend({ here: true })],
  ['web', webBackend()],
]
