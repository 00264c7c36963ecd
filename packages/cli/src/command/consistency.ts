/**
 * `dslog consistency`: whether one checkpoint continues another, proven with the log's tiles. Two
 * checkpoints that exclude each other prove themselves that the log has forked.
 */
import { toBase64 } from '@dslog/tlog/bytes'
import { LogClient } from '@dslog/tlog/client'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { type NamedCheckpoint, readCheckpoint } from '../checkpoint.ts'
import { counted } from '@dslog/verify/counted'
import { checkpointObject } from '@dslog/verify/describe'
import type { Session } from '../session.ts'
import { type LogSource, openSource, servedAt } from '../source.ts'

export async function consistency(session: Session, older: string, newer: string): Promise<void> {
  const { output } = session
  const policy = await session.policy()
  const http = session.http()
  const a = await readCheckpoint(older, policy, http)
  const b = await readCheckpoint(newer, policy, http)
  const source = await sourceOf(session, a, b)
  try {
    const client = new LogClient(source.url, policy, source.http)
    await client.advance(a.trusted, b.trusted)
  } catch (error) {
    if (error instanceof MisbehaviourError) {
      const { kind } = error.misbehaviour
      const [oldNote, newNote] = [a.trusted.note, b.trusted.note]
      output.event({ event: kind, detail: error.message, old: oldNote, new: newNote })
      output.line(`--- ${older}\n${oldNote}\n--- ${newer}\n${newNote}`)
    }
    throw error
  } finally {
    await source.close()
  }
  output.event({
    event: 'consistent',
    old: checkpointObject(a.trusted),
    new: checkpointObject(b.trusted),
  })
  const { origin, size: to } = b.trusted.checkpoint
  const { root, size: from } = a.trusted.checkpoint
  output.line(
    `${origin}: the tree of ${counted(to, 'entry', 'entries')} begins with that of ${from} (root ${toBase64(root)})`,
  )
}

/** Where the tiles are: the log that was named, that one of the checkpoints came from, or the own one. */
async function sourceOf(
  session: Session,
  a: NamedCheckpoint,
  b: NamedCheckpoint,
): Promise<LogSource> {
  const url = session.namedLog() ?? b.log ?? a.log
  return url === undefined ? openSource(session) : servedAt(url, session.http())
}
