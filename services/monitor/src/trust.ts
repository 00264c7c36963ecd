/** Whether a checkpoint is the log's, and what it says of a log that one could not be had. */
import { openCheckpoint } from '@dslog/tlog/checkpoint'
import { verifierOf } from '@dslog/tlog/cosignature'
import { TlogError, type TlogErrorCode } from '@dslog/tlog/error'
import type { Policy, TrustedCheckpoint } from '@dslog/tlog/policy'
import { MonitorError } from './error.ts'

/** Codes of errors of a log that does not deliver. */
const UNREACHABLE: ReadonlySet<TlogErrorCode> = new Set<TlogErrorCode>([
  'network',
  'http',
  'too-large',
  'bad-tile',
])

/** Codes of checkpoints that are not the log's, or not witnessed as the policy demands. */
const UNTRUSTED: ReadonlySet<TlogErrorCode> = new Set<TlogErrorCode>([
  'bad-note',
  'bad-checkpoint',
  'bad-signature',
  'unverified',
  'unknown-log',
  'quorum',
])

/** What an error says of the log; `undefined` if it says nothing of it. */
export function failureOf({ code }: TlogError): 'unreachable' | 'untrusted' | undefined {
  if (UNREACHABLE.has(code)) return 'unreachable'
  return UNTRUSTED.has(code) ? 'untrusted' : undefined
}

/** A checkpoint of which only the log's signature matters. Throws openCheckpoint's errors. */
export function signedBy(policy: Policy, note: string): TrustedCheckpoint {
  const { checkpoint, verified } = openCheckpoint(
    note,
    policy.logs.map(({ key }) => verifierOf(key)),
  )
  return { checkpoint, note, logKey: verified[0]!.key, witnesses: [] }
}

/** A checkpoint that was accepted once: witnesses may have changed since. @throws MonitorError `policy` */
export function reopened(policy: Policy, note: string): TrustedCheckpoint {
  try {
    return signedBy(policy, note)
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    const reason = 'the policy does not list the key that signed the stored checkpoint'
    throw new MonitorError('policy', `${reason}: ${cause.message}`, { cause })
  }
}
