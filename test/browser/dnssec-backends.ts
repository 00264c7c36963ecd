/** In place of packages/dnssec/test/backends.ts, in a browser: the backend that runs there. */
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { webBackend } from '@dslog/dnssec/backend/web'

export const BACKENDS: readonly (readonly [string, SignatureBackend])[] = [['web', webBackend()]]
