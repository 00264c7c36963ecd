/** What a proof file claims, to compare one that was changed with what it was. */
import { isVerificationFailure, type ProofVerifier, verifyProofFile } from '@dslog/verify/verify'

/** What a file claims; `undefined` if it is refused. */
export async function claimOf(
  file: string | Uint8Array,
  verifier: ProofVerifier,
): Promise<string | undefined> {
  try {
    const { trusted, ...report } = await verifyProofFile(file, verifier)
    return JSON.stringify({ ...report, checkpoint: trusted.checkpoint })
  } catch (error) {
    if (isVerificationFailure(error)) return undefined
    throw error
  }
}
