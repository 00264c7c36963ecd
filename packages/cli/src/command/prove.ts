/** `dslog prove`: a proof file of a name's whole history or of one entry, verified before it is written. */
import { nameToText } from '@dslog/dnssec/name'
import { writeFileAtomic } from '@dslog/service/files'
import { EXIT, Failure, naming } from '../failure.ts'
import { readName } from '../name.ts'
import { type Proof, proveEntry, proveName, verifierOf } from '../proof.ts'
import type { Session } from '../session.ts'
import { openSource } from '../source.ts'

export interface ProveOptions {
  /** `-` is standard output. */
  readonly output: string
}

export async function prove(
  session: Session,
  what: string,
  { output: path }: ProveOptions,
): Promise<void> {
  const index = /^\d+$/.test(what) ? indexOf(what) : undefined
  const name = index === undefined ? readName(what) : undefined
  const verifier = await verifierOf(session)
  const source = await openSource(session)
  try {
    const { file, report } = await naming<Proof<'entry'> | Proof<'name'>>(source.name, () =>
      name === undefined ? proveEntry(source, index!, verifier) : proveName(source, name, verifier),
    )
    const { output } = session
    if (path === '-') return output.raw(file)
    await writeFileAtomic(path, file)
    const { size } = report.trusted.checkpoint
    const proven =
      report.kind === 'name'
        ? { kind: report.kind, name: nameToText(report.name), entries: report.history.length }
        : { kind: report.kind, index: report.index, entries: 1 }
    output.event({ event: 'proof', file: path, bytes: file.length, ...proven, size })
    output.line(`${path}: verified; \`dslog verify ${path}\` needs the policy and no network`)
  } finally {
    await source.close()
  }
}

function indexOf(digits: string): number {
  const index = Number(digits)
  if (Number.isSafeInteger(index)) return index
  throw new Failure(EXIT.usage, `no log has an entry ${digits}`)
}
