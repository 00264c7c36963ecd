/**
 * Why something was not proven, in words for people who never heard of Merkle trees. Every error is one
 * of three things to them: nothing was shown (try again), what was shown does not verify (do not believe
 * it), or the log contradicts what it signed before (keep the evidence).
 */
import { TlogError, type TlogErrorCode } from '@dslog/tlog/error'
import { HttpError } from '@dslog/tlog/http'
import { LateError } from '@dslog/tlog/late'
import { type Misbehaviour, MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { DnssecError } from '@dslog/dnssec/error'
import { EntryError } from '@dslog/schema/error'
import { VerifyError, type VerifyErrorCode } from '@dslog/verify/error'
import type { Failure } from '../protocol.ts'

/** What the person gave cannot be what it should be. */
export class InputError extends Error {
  override readonly name = 'InputError'
}

const TLOG: Partial<Record<TlogErrorCode, string>> = {
  'bad-signature':
    'The signature of the log, or of a witness, is wrong. Somebody changed what was signed.',
  unverified:
    'Nobody you trust has signed this. It may come from another log, or from an impostor.',
  'unknown-log': 'It is signed, but not by the log you trust: another key, or another log.',
  quorum:
    'Too few of the witnesses you ask for have confirmed this tree. If the clock of this computer is ' +
    'behind, set it: what they signed later than now does not count.',
  'bad-proof': 'What the log claims is not in the tree it signed.',
  'bad-map': "The log's own index contradicts this answer: something was left out or put in.",
  'bad-proof-file': 'This is not a proof file, or it was damaged on its way.',
  'bad-note': 'The signed checkpoint is damaged.',
  'bad-checkpoint': 'The signed checkpoint is not what a checkpoint should be.',
  'too-large': 'The answer is far larger than it may be.',
}

const VERIFY: Record<VerifyErrorCode, string> = {
  malformed: 'The evidence cannot be read: it was damaged on its way, or somebody changed it.',
  bogus: 'A DNSSEC signature in the evidence does not verify.',
  unproven: 'The evidence does not lead up to a root key that you trust.',
  expired: 'A DNSSEC signature had expired at the time the entry claims.',
  'not-yet-valid': 'A DNSSEC signature was not valid yet at the time the entry claims.',
  unsupported: 'The evidence uses cryptography that cannot be checked here.',
  map: 'The answer is not what the signed index of the log says.',
  'zone-not-admitted': 'The entry was signed by a zone whose changes do not belong in this log.',
  proof: 'The proof does not prove what it says.',
}

/** What to tell of an error. */
export function failureOf(error: unknown): Failure {
  const detail = error instanceof Error ? error.message : String(error)
  if (error instanceof MisbehaviourError) {
    const { misbehaviour } = error
    return { kind: 'caught', ...caught(misbehaviour), detail }
  }
  if (error instanceof LateError) {
    return { kind: 'unreachable', ...late(error.seen.note, error.served.note), detail }
  }
  if (error instanceof InputError) return { kind: 'input', words: detail, detail }
  if (error instanceof HttpError) {
    return { kind: 'unreachable', words: httpWords(error.status), detail }
  }
  if (error instanceof TlogError) {
    if (error.code === 'network') {
      const words = 'The log does not answer. Is the address right, and are you online?'
      return { kind: 'unreachable', words, detail }
    }
    if (error.code === 'bad-policy' || error.code === 'bad-key') {
      return { kind: 'input', words: `Not a policy: ${detail}`, detail }
    }
    const words = TLOG[error.code] ?? 'The answer of the log is not what it should be.'
    return { kind: 'refused', words, detail }
  }
  if (error instanceof VerifyError) return { kind: 'refused', words: VERIFY[error.code], detail }
  if (error instanceof DnssecError && error.code === 'bad-anchor') {
    return { kind: 'input', words: `Not trust anchors: ${detail}`, detail }
  }
  if (error instanceof DnssecError || error instanceof EntryError) {
    return { kind: 'refused', words: VERIFY.malformed, detail }
  }
  return {
    kind: 'bug',
    words: 'This page failed. Reload it; if that does not help, tell us.',
    detail,
  }
}

function httpWords(status: number): string {
  if (status === 404) return 'The log has nothing there.'
  if (status === 429) return 'Too many requests from here. Wait a minute and try again.'
  if (status >= 500) return 'The log has a problem of its own. Try again in a minute.'
  return 'The log refused the question.'
}

/** An older tree proves nothing: nobody can tell a cache from a log that hides. */
function late(seen: string, served: string): Required<Pick<Failure, 'words' | 'evidence'>> {
  const words =
    'The log shows an older tree than this browser saw before. A cache on the way can do that for a while, ' +
    'and it proves nothing; a log that wants something forgotten does it for good. Look again later, and ' +
    'keep both checkpoints if it stays so.'
  const evidence = [
    { name: 'seen-before.checkpoint', text: seen },
    { name: 'served-now.checkpoint', text: served },
  ]
  return { words, evidence }
}

function caught(found: Misbehaviour): Pick<Failure, 'words' | 'evidence'> {
  const note = (name: string, text: string) => ({ name: `${name}.checkpoint`, text })
  switch (found.kind) {
    case 'fork': {
      const words =
        'The log signed two histories that exclude each other. One of them was made for somebody, and ' +
        'it may be you. Keep both signed checkpoints: together they prove it to anyone.'
      const { larger, smaller } = found.evidence
      return { words, evidence: [note('smaller', smaller), note('larger', larger)] }
    }
    case 'rollback': {
      const { seen, served } = found.evidence
      return late(seen, served)
    }
    case 'bad-entry':
    case 'bad-bundle':
    case 'bad-tile': {
      const words =
        'The log does not serve the tree that it signed, so it cannot be shown to continue what this ' +
        'browser saw before.'
      return { words, evidence: [note('signed', found.evidence.checkpoint)] }
    }
  }
}
