/**
 * A folder brought from the tree of a log that it shows to the newest one: what `dslog export` and
 * `dslog mirror` have in common. How files are written is the log's own business (@dslog/log/publish): it
 * publishes to folders itself.
 */
import type { LogClient } from '@dslog/tlog/client'
import { checkPolicy, type Policy, type TrustedCheckpoint } from '@dslog/tlog/policy'
import { FolderTarget } from '@dslog/log/publish/folder'
import { countFiles, type TreeFiles, writeTree, type Written } from '@dslog/log/publish/write'
import { ensureFolder } from '@dslog/service/files'
import { naming } from './failure.ts'
import type { Output } from './output.ts'

/** What is copied, and where to. */
export interface CopyOptions {
  readonly folder: string
  readonly client: LogClient
  /** Of the log, for people. */
  readonly name: string
  readonly policy: Policy
  /** Where the files of the newest tree come from. */
  readonly filesOf: (target: FolderTarget, tree: TrustedCheckpoint) => TreeFiles
  /** Goes through all files of the tree, not only those that the folder has not. */
  readonly isWhole?: boolean
  readonly output: Output
  /** What the progress is called. */
  readonly title: string
}

/** What a folder shows now. */
export interface Copied extends Written {
  readonly origin: string
  readonly size: number
}

/**
 * Copies the newest tree, which must continue the one in the folder.
 *
 * @throws Failure, TlogError; MisbehaviourError for a log that shows another history
 */
export async function copyTree(options: CopyOptions): Promise<Copied> {
  const { client, filesOf, folder, isWhole = false, name, output, policy, title } = options
  await ensureFolder(folder)
  const target = new FolderTarget(folder)
  const held = await target.checkpoint()
  const older =
    held && (await naming(folder, () => checkPolicy(policy, held.note, { now: Date.now() })))
  const newer = await naming(name, () => client.checkpoint())
  if (older !== undefined) await client.succeed(older, newer)
  const { origin, size } = newer.checkpoint
  const from = isWhole ? 0 : (older?.checkpoint.size ?? 0)
  const bar = output.progress(title, countFiles(from, size))
  let done = 0
  const written = await writeTree(
    target,
    held && { size: from, held },
    { size, note: newer.note, files: filesOf(target, newer) },
    { onFile: () => bar.step(++done) },
  )
  bar.end()
  return { origin, size, ...written }
}
