/**
 * `dslog export`: the log as static files (C2SP tlog-tiles), from a running service or the data folder.
 * Everything is verified while it is copied. The order is that of a log: tiles, bundles, and the checkpoint
 * last, so that a reader of the folder never sees a tree whose files are not there; and what is there
 * already is not fetched again.
 */
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fromUtf8 } from '@dslog/tlog/bytes'
import type { LogClient } from '@dslog/tlog/client'
import { checkPolicy, type TrustedCheckpoint } from '@dslog/tlog/policy'
import {
  bundlePath,
  encodeBundle,
  TILE_WIDTH,
  tilePath,
  tilesBetween,
  tileWidth,
} from '@dslog/tlog/tile'
import { ensureFolder, writeFileAtomic } from '@dslog/service/files'
import type { Output } from '../output.ts'
import type { Session } from '../session.ts'
import { clientOf, openSource } from '../source.ts'

const CHECKPOINT_FILE = 'checkpoint'
/** Tiles under way at once: each is a request and a file. */
const TILES_AHEAD = 16

/** Files of one kind that were written. */
interface Written {
  tiles: number
  bundles: number
}

export async function exportLog(session: Session, folder: string): Promise<void> {
  const { output } = session
  const policy = await session.policy()
  await ensureFolder(folder)
  const held = await heldCheckpoint(folder)
  const older = held === undefined ? undefined : checkPolicy(policy, held, { now: Date.now() })
  const source = await openSource(session)
  try {
    const client = await clientOf(session, source)
    const newer = older === undefined ? await client.checkpoint() : await client.follow(older)
    const written = await copyTree(client, older, newer, folder, output)
    // Only now is there a tree to see; all of it is on the disk.
    await writeFileAtomic(join(folder, CHECKPOINT_FILE), newer.note)
    const { origin, size } = newer.checkpoint
    output.event({ event: 'exported', folder, origin, size, ...written })
    output.line(
      `${folder}: ${origin} of ${size} entries; ${written.tiles} tiles and ${written.bundles} bundles written`,
    )
  } finally {
    await source.close()
  }
}

async function copyTree(
  client: LogClient,
  older: TrustedCheckpoint | undefined,
  newer: TrustedCheckpoint,
  folder: string,
  output: Output,
): Promise<Written> {
  const from = older?.checkpoint.size ?? 0
  const { size } = newer.checkpoint
  const tiles = [...tilesBetween(from, size)]
  const first = Math.floor(from / TILE_WIDTH)
  const total = tiles.length + Math.ceil(size / TILE_WIDTH) - first
  const bar = output.progress('Exporting', total)
  const written: Written = { tiles: 0, bundles: 0 }
  const reader = client.tree(newer)
  for (let at = 0; at < tiles.length; at += TILES_AHEAD) {
    const some = tiles.slice(at, at + TILES_AHEAD)
    await Promise.all(
      some.map(async (id) => {
        await writeFile(folder, tilePath(id), await reader.tile(id.level, id.index, id.width))
      }),
    )
    written.tiles += some.length
    bar.step(written.tiles)
  }
  if (from < size) {
    for await (const entries of client.bundles(first * TILE_WIDTH, size, newer)) {
      const index = first + written.bundles
      const width = tileWidth(size, 0, index)
      const data = encodeBundle(entries.map(({ entry }) => entry))
      await writeFile(folder, bundlePath({ index, width }), data)
      written.bundles++
      bar.step(written.tiles + written.bundles)
    }
  }
  bar.end()
  return written
}

async function writeFile(folder: string, path: string, data: Uint8Array): Promise<void> {
  const file = join(folder, path)
  await ensureFolder(dirname(file))
  await writeFileAtomic(file, data)
}

async function heldCheckpoint(folder: string): Promise<string | undefined> {
  try {
    return fromUtf8(await readFile(join(folder, CHECKPOINT_FILE)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
