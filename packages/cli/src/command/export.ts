/**
 * `dslog export`: the log as static files (C2SP tlog-tiles), from a running service or the data folder.
 * Everything is verified while it is copied, and what is there already is not fetched again. How files
 * are written is the log's own business (@dslog/log/publish): it publishes to folders itself.
 */
import type { LogClient } from '@dslog/tlog/client'
import { checkPolicy, type TrustedCheckpoint } from '@dslog/tlog/policy'
import { encodeBundle, TILE_WIDTH } from '@dslog/tlog/tile'
import { FolderTarget } from '@dslog/log/publish/folder'
import { countFiles, type TreeFiles, writeTree } from '@dslog/log/publish/write'
import { ensureFolder } from '@dslog/service/files'
import { counted } from '@dslog/verify/describe'
import { naming } from '../failure.ts'
import type { Session } from '../session.ts'
import { clientOf, openSource } from '../source.ts'

export async function exportLog(session: Session, folder: string): Promise<void> {
  const { output } = session
  const policy = await session.policy()
  await ensureFolder(folder)
  const target = new FolderTarget(folder)
  const held = await target.checkpoint()
  const trusted =
    held && (await naming(folder, () => checkPolicy(policy, held.note, { now: Date.now() })))
  const source = await openSource(session)
  try {
    const client = await clientOf(session, source)
    const newer = await naming(source.name, () => client.checkpoint())
    if (trusted !== undefined) await client.succeed(trusted, newer)
    const { origin, size } = newer.checkpoint
    const from = trusted?.checkpoint.size ?? 0
    const bar = output.progress('Exporting', countFiles(from, size))
    let done = 0
    const written = await writeTree(
      target,
      held && { size: from, held },
      { size, note: newer.note, files: filesOf(client, newer) },
      { onFile: () => bar.step(++done) },
    )
    bar.end()
    output.event({ event: 'exported', folder, origin, size, ...written })
    output.line(
      `${folder}: ${origin} of ${counted(size, 'entry', 'entries')}; ${counted(written.tiles, 'tile')} and ${counted(written.bundles, 'bundle')} written`,
    )
  } finally {
    await source.close()
  }
}

/** The files of a tree as its client reads them: verified. */
function filesOf(client: LogClient, tree: TrustedCheckpoint): TreeFiles {
  const { size } = tree.checkpoint
  const reader = client.tree(tree)
  return {
    tile: ({ index, level, width }) => reader.tile(level, index, width),
    async *bundles(first) {
      for await (const entries of client.bundles(first * TILE_WIDTH, size, tree)) {
        yield encodeBundle(entries.map(({ entry }) => entry))
      }
    },
  }
}
