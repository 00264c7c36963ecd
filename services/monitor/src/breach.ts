/** Signed trees that break a rule, as errors that hold the proof of it. */
import type { LogClient } from '@dslog/tlog/client'
import type { TrustedCheckpoint } from '@dslog/tlog/policy'
import { claimsMapHead } from '@dslog/schema/entry'
import { type Breach, BreachError } from './evidence.ts'

type Violation = Omit<Breach['evidence'], 'checkpoint' | 'path'> & Pick<Breach, 'kind'>

/** An entry of a signed tree that breaks a rule, with its path in that tree. */
export async function breachOf(
  client: LogClient,
  { kind, ...found }: Violation,
  tree: TrustedCheckpoint,
): Promise<BreachError> {
  const path = await client.tree(tree).inclusionProof(found.index)
  return new BreachError({ kind, evidence: { checkpoint: tree.note, path, ...found } })
}

/** Checks that a signed tree ends with a MAP_HEAD. @throws BreachError if it does not */
export async function checkEnd(
  client: LogClient,
  tree: TrustedCheckpoint,
  signal: AbortSignal,
): Promise<void> {
  const { size } = tree.checkpoint
  const reason = 'the tree does not end with a MAP_HEAD'
  if (size === 0) {
    const evidence = { checkpoint: tree.note, index: 0, entry: new Uint8Array(0), path: [] }
    throw new BreachError({ kind: 'no-map-head', evidence: { ...evidence, reason } })
  }
  for await (const { entry, index } of client.entries(size - 1, size, tree, signal)) {
    if (claimsMapHead(entry)) continue
    throw await breachOf(client, { kind: 'no-map-head', index, entry, reason }, tree)
  }
}
