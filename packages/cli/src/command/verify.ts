/** `dslog verify`: what a proof file proves. Offline: policy and trust anchors are the verifier's own. */
import { MAX_TLOG_PROOF_BYTES } from '@dslog/tlog/bundle'
import { toBase64 } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { nameToText } from '@dslog/dnssec/name'
import { MapKind } from '@dslog/schema/identity'
import { readWhole, streamInput } from '@dslog/service/input'
import { type ProofReport, verifyProofFile } from '@dslog/verify/verify'
import {
  checkpointObject,
  entryLines,
  entryObject,
  historyLines,
  treeText,
  witnessObjects,
} from '@dslog/verify/describe'
import { naming } from '../failure.ts'
import { verifierOf } from '../proof.ts'
import type { Session } from '../session.ts'

export async function verify(session: Session, path: string): Promise<void> {
  const verifier = await verifierOf(session)
  const [input, name] =
    path === '-' ? [session.io.stdin, 'standard input'] : [streamInput(path), path]
  const report = await naming(name, async () => {
    const file = await readWhole(input, MAX_TLOG_PROOF_BYTES, () => {
      return new TlogError('bad-proof', `a proof file has at most ${MAX_TLOG_PROOF_BYTES} bytes`)
    })
    return verifyProofFile(file, verifier).catch((cause: unknown) => {
      if (!(cause instanceof TlogError) || cause.code !== 'bad-note') throw cause
      const text = `cut off, or changed on its way: ${cause.message}`
      throw new TlogError(cause.code, text, { cause })
    })
  })
  session.output.event(reportObject(report))
  for (const line of reportLines(report)) session.output.change(line)
}

/** What was proven, for programs. */
export function reportObject(report: ProofReport): object {
  const { trusted } = report
  const proven =
    report.kind === 'name'
      ? {
          kind: report.kind,
          name: nameToText(report.name),
          of: report.mapKind === MapKind.zoneKeys ? 'zone-keys' : 'delegation',
          entries: report.history.map(entryObject),
          map_root: toBase64(report.mapRoot),
        }
      : { kind: report.kind, index: report.index, entries: [entryObject(report)] }
  return { ...proven, checkpoint: checkpointObject(trusted), witnesses: witnessObjects(trusted) }
}

/** What was proven, for people. */
export function reportLines(report: ProofReport): string[] {
  const tree = treeText(report.trusted)
  if (report.kind === 'entry') {
    const evidence =
      report.inception === undefined ? '' : ', and its DNSSEC evidence is good up to a trust anchor'
    return [...entryLines(report), `Verified: this entry is in ${tree}${evidence}.`]
  }
  const shown = nameToText(report.name)
  const name = report.mapKind === MapKind.zoneKeys ? `the keys of ${shown}` : shown
  if (report.history.length === 0) return [`Verified: nothing is logged about ${name} in ${tree}.`]
  return [
    ...historyLines(report.history),
    `Verified: this is all that is logged about ${name} in ${tree}; the DNSSEC evidence of each entry is good up to a trust anchor.`,
  ]
}
