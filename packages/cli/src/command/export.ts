/**
 * `dslog export`: the log as static files (C2SP tlog-tiles), from a running service or the data folder.
 * Everything is verified while it is copied, and what is there already is not fetched again.
 */
import type { LogClient } from '@dslog/tlog/client'
import type { TrustedCheckpoint } from '@dslog/tlog/policy'
import { encodeBundle, TILE_WIDTH } from '@dslog/tlog/tile'
import type { TreeFiles } from '@dslog/log/publish/write'
import { counted } from '@dslog/verify/counted'
import { copyTree } from '../copy.ts'
import type { Session } from '../session.ts'
import { clientOf, openSource } from '../source.ts'

export async function exportLog(session: Session, folder: string): Promise<void> {
  const { output } = session
  const policy = await session.policy()
  const source = await openSource(session)
  try {
    const client = await clientOf(session, source)
    const { bundles, origin, size, tiles } = await copyTree({
      folder,
      client,
      name: source.name,
      policy,
      filesOf: (_target, tree) => filesOf(client, tree),
      output,
      title: 'Exporting',
    })
    output.event({ event: 'exported', folder, origin, size, tiles, bundles })
    output.line(
      `${folder}: ${origin} of ${counted(size, 'entry', 'entries')}; ${counted(tiles, 'tile')} and ${counted(bundles, 'bundle')} written`,
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
