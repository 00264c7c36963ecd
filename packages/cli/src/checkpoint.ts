/** Checkpoints that people name: a file, the URL of one, or the URL of a log. */
import { fromUtf8 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { type HttpClient, withoutSlash } from '@dslog/tlog/http'
import { MAX_NOTE_BYTES } from '@dslog/tlog/note'
import { checkPolicy, type Policy, type TrustedCheckpoint } from '@dslog/tlog/policy'
import { readInput } from '@dslog/service/input'
import { isHttpUrl } from './argument.ts'
import { naming } from './failure.ts'

const CHECKPOINT = '/checkpoint'

/** A checkpoint that satisfies the policy, and the log that it came from, if it came from one. */
export interface NamedCheckpoint {
  readonly trusted: TrustedCheckpoint
  readonly log: string | undefined
}

/**
 * Reads a checkpoint and holds it against a policy.
 *
 * @throws Failure that names it, as checkPolicy's error; TlogError of the request
 */
export async function readCheckpoint(
  what: string,
  policy: Policy,
  http: HttpClient,
): Promise<NamedCheckpoint> {
  const log = isHttpUrl(what) ? withoutSlash(what).replace(/\/checkpoint$/, '') : undefined
  const bytes =
    log === undefined
      ? await readInput(what)
      : (await http.request(log + CHECKPOINT, { maxBytes: MAX_NOTE_BYTES, fresh: true })).body
  const trusted = await naming(what, () => checkPolicy(policy, noteOf(bytes), { now: Date.now() }))
  return { trusted, log }
}

function noteOf(bytes: Uint8Array): string {
  if (bytes.length > MAX_NOTE_BYTES) {
    throw new TlogError('bad-note', `a checkpoint has at most ${MAX_NOTE_BYTES} bytes`)
  }
  try {
    return fromUtf8(bytes)
  } catch (cause) {
    throw new TlogError('bad-note', 'a checkpoint is UTF-8', { cause })
  }
}
