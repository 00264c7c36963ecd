/** Proof files, asked of a log and verified here before anything is made of them. */
import { MAX_TLOG_PROOF_BYTES } from '@dslog/tlog/bundle'
import { equal } from '@dslog/tlog/bytes'
import { LogClient } from '@dslog/tlog/client'
import { isNotFound } from '@dslog/tlog/http'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameToText } from '@dslog/dnssec/name'
import { MapKind } from '@dslog/schema/identity'
import { pathOf } from '@dslog/schema/path'
import { VerifyError } from '@dslog/verify/error'
import { type ProofReport, type ProofVerifier, verifyProofFile } from '@dslog/verify/verify'
import { EXIT, Failure } from './failure.ts'
import type { Session } from './session.ts'
import type { LogSource } from './source.ts'

/** A proof file and what it proves. */
export interface Proof<Kind extends ProofReport['kind']> {
  readonly file: Uint8Array
  readonly report: Extract<ProofReport, { kind: Kind }>
}

/** What proofs are held against: nothing of it comes from the log or the file. */
export async function verifierOf(session: Session): Promise<ProofVerifier> {
  const [policy, anchors] = await Promise.all([session.policy(), session.anchors()])
  return { policy, anchors, backend: nodeBackend(), now: Date.now() }
}

/** Everything about the delegation of a name, proven. */
export async function proveName(
  source: LogSource,
  name: Name,
  verifier: ProofVerifier,
): Promise<Proof<'name'>> {
  const file = await fetchProof(source, `v1/names/${pathOf(name)}/proof`)
  const report = await verifyProofFile(file, verifier)
  const asked =
    report.kind === 'name' && report.mapKind === MapKind.delegation && equal(report.name, name)
  if (asked) return { file, report }
  throw new VerifyError(
    'proof',
    `the log answered with another proof than that of ${nameToText(name)}`,
  )
}

/** One entry, proven. @throws Failure `usage` if the log is not as large */
export async function proveEntry(
  source: LogSource,
  index: number,
  verifier: ProofVerifier,
): Promise<Proof<'entry'>> {
  let file
  try {
    file = await fetchProof(source, `v1/entries/${index}/proof`)
  } catch (cause) {
    if (!isNotFound(cause)) throw cause
    const client = new LogClient(source.url, verifier.policy, source.http)
    const { size } = (await client.checkpoint()).checkpoint
    if (index < size) throw cause
    throw new Failure(EXIT.usage, `there is no entry ${index}: the log has ${size}`, { cause })
  }
  const report = await verifyProofFile(file, verifier)
  if (report.kind === 'entry' && report.index === index) return { file, report }
  throw new VerifyError('proof', `the log answered with another proof than that of entry ${index}`)
}

async function fetchProof({ http, url }: LogSource, path: string): Promise<Uint8Array> {
  const { body } = await http.request(`${url}/${path}`, { maxBytes: MAX_TLOG_PROOF_BYTES })
  return body
}
