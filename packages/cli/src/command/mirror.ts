/**
 * `dslog mirror`: somebody else's log as files in a folder, ready to be served. Each tile and entry is
 * verified against the signed checkpoint, and that against the policy and the checkpoint of the last
 * time. A copy that was interrupted goes on with what is there: it is verified like what comes over the
 * network. A log that shows another history is refused, and the evidence of it is kept.
 */
import { join } from 'node:path'
import { equal } from '@dslog/tlog/bytes'
import { LogClient, type LogEntry } from '@dslog/tlog/client'
import { TlogError } from '@dslog/tlog/error'
import { leafHash } from '@dslog/tlog/hash'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import type { TrustedCheckpoint } from '@dslog/tlog/policy'
import { TreeReader } from '@dslog/tlog/reader'
import {
  bundlePath,
  decodeBundle,
  encodeBundle,
  TILE_WIDTH,
  tileHash,
  type TileId,
  tilePath,
  tileWidth,
} from '@dslog/tlog/tile'
import type { FolderTarget } from '@dslog/log/publish/folder'
import type { TreeFiles } from '@dslog/log/publish/write'
import { writeFileAtomic } from '@dslog/service/files'
import { counted } from '@dslog/verify/counted'
import { evidenceObject } from '../audit/audit.ts'
import { copyTree } from '../copy.ts'
import type { Session } from '../session.ts'

export interface MirrorOptions {
  readonly check?: boolean
}

/** Bundles asked for in one go, so that they come ahead of their use. */
const RUN = 64

export async function mirror(
  session: Session,
  folder: string,
  { check = false }: MirrorOptions,
): Promise<void> {
  const { output } = session
  const url = await session.requireLogUrl()
  const policy = await session.policy()
  const client = new LogClient(url, policy, session.http())
  let files: HeldFiles | undefined
  try {
    const { bundles, origin, size, tiles } = await copyTree({
      folder,
      client,
      name: url,
      policy,
      filesOf: (target, tree) => (files = new HeldFiles(target, client, tree)),
      isWhole: check,
      output,
      title: 'Mirroring',
    })
    const { fetched } = files!
    output.event({ event: 'mirrored', folder, origin, size, tiles, bundles, fetched })
    output.line(
      `${folder}: ${origin} of ${counted(size, 'entry', 'entries')}, verified; ${counted(tiles, 'tile')} and ${counted(bundles, 'bundle')}, ${fetched} of them fetched`,
    )
  } catch (error) {
    const origin = policy.logs[0]?.key.name ?? url
    if (error instanceof MisbehaviourError) await keepEvidence(session, folder, error, origin)
    throw error
  }
}

/** The files of a tree: those in the folder, as far as they are right, and the log's. */
class HeldFiles implements TreeFiles {
  /** Files that came over the network. */
  fetched = 0
  readonly #folder: FolderTarget
  readonly #client: LogClient
  readonly #tree: TrustedCheckpoint
  /** Verifies what is in the folder, and takes the log's where there is nothing. */
  readonly #reader: TreeReader

  constructor(folder: FolderTarget, client: LogClient, tree: TrustedCheckpoint) {
    this.#folder = folder
    this.#client = client
    this.#tree = tree
    const { root, size } = tree.checkpoint
    this.#reader = new TreeReader(
      {
        tile: async (level, index, width) => {
          const held = await folder.read(tilePath({ level, index, width }))
          if (held !== undefined) return held
          this.fetched++
          return client.tile(level, index, width)
        },
      },
      size,
      { root },
    )
  }

  async tile({ index, level, width }: TileId): Promise<Uint8Array> {
    try {
      return await this.#reader.tile(level, index, width)
    } catch (error) {
      if (!(error instanceof TlogError) || error.code !== 'bad-tile') throw error
      // In the folder or on the way: the log alone can still be right.
      this.fetched++
      return this.#client.tree(this.#tree).tile(level, index, width)
    }
  }

  async *bundles(first: number): AsyncGenerator<Uint8Array> {
    const { size } = this.#tree.checkpoint
    const end = Math.ceil(size / TILE_WIDTH)
    for (let index = first; index < end;) {
      let missing = 0
      let held: Uint8Array | undefined
      while (missing < RUN && index + missing < end) {
        held = await this.#held(index + missing)
        if (held !== undefined) break
        missing++
      }
      if (missing > 0) yield* this.#fetch(index, Math.min(size, (index + missing) * TILE_WIDTH))
      index += missing
      if (held === undefined) continue
      yield held
      index++
    }
  }

  /** A bundle of the folder, if each of its entries is that of the tree. */
  async #held(index: number): Promise<Uint8Array | undefined> {
    const width = tileWidth(this.#tree.checkpoint.size, 0, index)
    const data = await this.#folder.read(bundlePath({ index, width }))
    if (data === undefined) return undefined
    const tile = await this.tile({ level: 0, index, width })
    try {
      const right = decodeBundle(data, width).every((entry, i) => {
        return equal(leafHash(entry), tileHash(tile, i))
      })
      return right ? data : undefined
    } catch (error) {
      if (!(error instanceof TlogError)) throw error
      return undefined
    }
  }

  async *#fetch(first: number, to: number): AsyncGenerator<Uint8Array> {
    for await (const entries of this.#client.bundles(first * TILE_WIDTH, to, this.#tree)) {
      this.fetched++
      yield encodeEntries(entries)
    }
  }
}

function encodeEntries(entries: readonly LogEntry[]): Uint8Array {
  return encodeBundle(entries.map(({ entry }) => entry))
}

async function keepEvidence(
  { output }: Session,
  folder: string,
  { message: detail, misbehaviour: finding }: MisbehaviourError,
  origin: string,
): Promise<void> {
  const foundAt = Date.now()
  const evidence = evidenceObject(origin, { finding, detail, foundAt })
  const file = join(folder, `evidence-${foundAt}-${finding.kind}.json`)
  await writeFileAtomic(file, `${JSON.stringify(evidence, undefined, 2)}\n`)
  output.event({ event: 'misbehaviour', ...evidence, file })
  output.line(`${finding.kind}: ${detail}; evidence: ${file}`)
}
