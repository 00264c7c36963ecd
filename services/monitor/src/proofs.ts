/**
 * Proof files of entries, to be attached to alerts: asked of the log, and verified here, so that what an
 * owner gets is what `dslog verify` takes. There may be none in time; the alert does not wait for it.
 */
import { MAX_TLOG_PROOF_BYTES } from '@dslog/tlog/bundle'
import { TlogError } from '@dslog/tlog/error'
import type { HttpClient } from '@dslog/tlog/http'
import type { Policy } from '@dslog/tlog/policy'
import type { Logger } from '@dslog/service/log'
import type { Verifier } from '@dslog/verify/evidence'
import { isVerificationFailure, verifyProofFile } from '@dslog/verify/verify'
import type { ProofSource } from './channel/email.ts'

/** Longest wait for a proof, ms. */
const TIMEOUT_MS = 10_000

/** Proofs from the followed logs. */
export function proofsOf(options: {
  readonly logs: readonly { readonly origin: string; readonly url: string }[]
  readonly http: HttpClient
  readonly policy: Policy
  readonly verifier: Verifier
  readonly logger: Logger
}): ProofSource {
  const { http, logger, logs, policy, verifier } = options
  return async (origin, index) => {
    const url = logs.find((log) => log.origin === origin)?.url
    if (url === undefined) return undefined
    try {
      const { body } = await http.request(`${url}/v1/entries/${index}/proof`, {
        maxBytes: MAX_TLOG_PROOF_BYTES,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      const report = await verifyProofFile(body, { ...verifier, policy })
      const isIt = report.kind === 'entry' && report.index === index
      return isIt && report.trusted.logKey.name === origin ? body : undefined
    } catch (error) {
      if (!(error instanceof TlogError) && !isVerificationFailure(error)) throw error
      logger.warn({ index, reason: error.message }, 'no proof to attach')
      return undefined
    }
  }
}
