/**
 * Checks evidence that a log withholds what a zone has signed: the replies prove a state of a name at the
 * time it was seen, and the log has signed a tree since. Whether that tree has the state, the name's proof
 * of that tree shows; whether the log was given it, only the word of whoever kept the evidence.
 */
import { checkPolicy } from '@dslog/tlog/policy'
import type { VerifierKey } from '@dslog/tlog/key'
import { DnssecError } from '@dslog/dnssec/error'
import { parseMessage } from '@dslog/dnssec/message'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import { parseRecord } from '@dslog/dnssec/wire'
import type { StateCandidate } from '@dslog/verify/candidate'
import { VerifyError } from '@dslog/verify/error'
import type { Verifier } from '@dslog/verify/evidence'
import { Observer } from '@dslog/verify/observe'
import { trusting, type Withheld } from './evidence.ts'

/**
 * @returns the state that was signed
 * @throws TlogError if the checkpoint is not the log's, DnssecError or VerifyError if the replies prove nothing
 */
export async function verifyWithheld(
  { evidence }: Withheld,
  logKeys: readonly VerifierKey[],
  verifier: Verifier,
): Promise<StateCandidate> {
  checkPolicy(trusting(logKeys), evidence.checkpoint)
  const { observed_at: at, owner } = evidence
  return provenBy(nameFromText(owner), recordsOf(evidence), at, verifier)
}

/** Whether records prove a state of a name at a time, by themselves. */
export async function isProven(
  owner: Name,
  records: readonly RR[],
  at: number,
  verifier: Verifier,
): Promise<boolean> {
  try {
    await provenBy(owner, records, at, verifier)
    return true
  } catch (error) {
    if (error instanceof DnssecError || error instanceof VerifyError) return false
    throw error
  }
}

async function provenBy(
  owner: Name,
  records: readonly RR[],
  time: number,
  verifier: Verifier,
): Promise<StateCandidate> {
  const nothing = { lookup: async () => [], keysOfZone: async () => [] }
  const observer = new Observer(nothing, verifier, { time, historical: false })
  const found = await observer.delegation(owner, records)
  const state = found.find((candidate) => candidate.kind === 'state')
  if (state === undefined) throw new VerifyError('unproven', 'the evidence proves no state')
  return state
}

/** The records of replies, and those that came without a reply around them. */
export function recordsOf({
  messages,
  records = [],
}: Pick<Withheld['evidence'], 'messages' | 'records'>): RR[] {
  const replied = messages.flatMap((bytes) => {
    const { answer, authority } = parseMessage(bytes)
    return [...answer, ...authority]
  })
  return [...replied, ...records.map(parseRecord)]
}
