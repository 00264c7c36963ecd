/**
 * The audit of a whole log, in memory: from the first entry to the last, with the fold that the log
 * itself runs. With a folder to remember things in, it is the monitor's replay instead (resumed.ts).
 */
import { UpperTree } from '@dslog/tlog/maptree'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import { claimsMapHead } from '@dslog/schema/entry'
import { type Breach, BreachError } from '@dslog/monitor/evidence'
import { MAP_DEPTH } from '@dslog/service/maptables'
import { Auditor } from '@dslog/verify/audit'
import { EMPTY_HEAD, Fold } from '@dslog/verify/fold'
import { MemoryStore } from '@dslog/verify/memory'
import { type AuditContext, type AuditReport, checkTiles } from './audit.ts'

/** Entries whose signatures are verified at the same time. */
export const RUN = 1_024

/** Audits everything. */
export async function auditWhole(context: AuditContext): Promise<AuditReport> {
  const { size } = context.client.pinned.checkpoint
  try {
    await checkTiles(context.client, 0)
    await checkEnd(context)
    const names = await replay(context)
    return { from: 0, size, names, caught: [], unchecked: [] }
  } catch (error) {
    return { from: 0, size, names: undefined, caught: [caughtBy(error)], unchecked: [] }
  }
}

/** Every signed tree ends with a MAP_HEAD. @throws BreachError */
export async function checkEnd(context: AuditContext): Promise<void> {
  const { client } = context
  const { note, checkpoint } = client.pinned
  const reason = 'the tree does not end with a MAP_HEAD'
  const index = checkpoint.size - 1
  if (index < 0) {
    const evidence = { checkpoint: note, index: 0, entry: new Uint8Array(0), path: [], reason }
    throw new BreachError({ kind: 'no-map-head', evidence })
  }
  for await (const { entry } of client.entries(index, checkpoint.size, client.pinned)) {
    if (!claimsMapHead(entry)) {
      throw await breach(context, { kind: 'no-map-head', index, entry, reason })
    }
  }
}

/** An entry that breaks a rule, with its place in the signed tree. */
export async function breach(
  { client }: AuditContext,
  { kind, ...found }: Omit<Breach['evidence'], 'checkpoint' | 'path'> & Pick<Breach, 'kind'>,
): Promise<BreachError> {
  const path = await client.tree(client.pinned).inclusionProof(found.index)
  return new BreachError({ kind, evidence: { checkpoint: client.pinned.note, path, ...found } })
}

/** The finding that an error holds; others are thrown on. */
export function caughtBy(error: unknown): AuditReport['caught'][number] {
  const foundAt = Date.now()
  if (error instanceof BreachError) {
    return { finding: error.breach, detail: error.message, foundAt }
  }
  if (error instanceof MisbehaviourError) {
    return { finding: error.misbehaviour, detail: error.message, foundAt }
  }
  throw error
}

async function replay(context: AuditContext): Promise<number> {
  const { client, progress, verifier } = context
  const { size } = client.pinned.checkpoint
  const { anchors } = verifier
  const store = new MemoryStore()
  const fold = new Fold(EMPTY_HEAD, new UpperTree(MAP_DEPTH), { store, anchors })
  const auditor = new Auditor(fold, verifier)
  let run: Uint8Array[] = []
  for await (const entries of client.bundles(0, size, client.pinned)) {
    run.push(...entries.map(({ entry }) => entry))
    const done = entries.at(-1)!.index + 1
    if (run.length < RUN && done < size) continue
    const violation = await auditor.check(run)
    if (violation !== undefined) throw await breach(context, violation)
    run = []
    progress.step(done)
  }
  return fold.head.keyCount
}
