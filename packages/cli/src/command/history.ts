/**
 * `dslog history`: every change of a name. The log sends one proof file; that it is complete, and that
 * each entry's evidence is good, is verified here.
 */
import { toBase64 } from '@dslog/tlog/bytes'
import { nameToText } from '@dslog/dnssec/name'
import {
  checkpointObject,
  entryObject,
  historyLines,
  treeText,
  witnessObjects,
} from '@dslog/verify/describe'
import { naming } from '../failure.ts'
import { readName } from '../name.ts'
import { proveName, verifierOf } from '../proof.ts'
import type { Session } from '../session.ts'
import { openSource } from '../source.ts'

export async function history(session: Session, text: string): Promise<void> {
  const name = readName(text)
  const verifier = await verifierOf(session)
  const source = await openSource(session)
  try {
    const { report } = await naming(source.name, () => proveName(source, name, verifier))
    const { history, mapRoot, trusted } = report
    const { output } = session
    for (const proven of history) output.event(entryObject(proven))
    for (const line of historyLines(history)) output.change(line)
    const shown = nameToText(name)
    output.event({
      event: 'complete',
      name: shown,
      size: trusted.checkpoint.size,
      map_root: toBase64(mapRoot),
      entries: history.length,
      checkpoint: checkpointObject(trusted),
      witnesses: witnessObjects(trusted),
    })
    const tree = treeText(trusted)
    output.line(
      history.length === 0
        ? `Nothing was ever logged about ${shown}, proven in ${tree}.`
        : `These are all entries about ${shown}, proven in ${tree}.`,
    )
  } finally {
    await source.close()
  }
}
