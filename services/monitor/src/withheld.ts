/**
 * Checks evidence that a log withholds what a zone has signed: the replies prove a state of a name at the
 * time it was seen, and the log has signed a tree since. Whether that tree has the state, the name's proof
 * of that tree shows; whether the log was given it, only the word of whoever kept the evidence.
 */
import { checkPolicy } from '@dslog/tlog/policy'
import type { VerifierKey } from '@dslog/tlog/key'
import { parseMessage } from '@dslog/dnssec/message'
import { nameFromText } from '@dslog/dnssec/name'
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
  const records = evidence.messages.flatMap((bytes) => {
    const { answer, authority } = parseMessage(bytes)
    return [...answer, ...authority]
  })
  const nothing = { lookup: async () => [], keysOfZone: async () => [] }
  const moment = { time: evidence.observed_at, historical: false }
  const observer = new Observer(nothing, verifier, moment)
  const found = await observer.delegation(nameFromText(evidence.owner), records)
  const state = found.find((candidate) => candidate.kind === 'state')
  if (state === undefined) throw new VerifyError('unproven', 'the replies prove no state')
  return state
}
