/**
 * What a log can be caught at, as values that hold the evidence, so that whoever catches it can keep it, show it, and
 * others can check it without asking the log:
 *
 *   fork         two signed trees of which neither is the beginning of the other; proves itself
 *   rollback     after a larger tree a smaller one was served; both are signed, the order is the observer's word, and how long
 *                is more than a cache may be behind (late.ts), the observer's judgement
 *   bad-entry    the entry served for an index is not the one in the signed tree; that it was served is the observer's word
 *   bad-bundle   likewise, and the bundle does not even parse
 *   bad-tile     the tiles served do not lead to the signed root
 *
 * The last three are failures to show what was signed: caches and disks can do that too, a log that hides does it always.
 *
 * A fork between trees of different size needs one thing more than its two notes: that the larger tree does not begin
 * with the smaller. An inclusion proof shows it: that of the larger tree's leaf number `smaller.size`. Its left siblings
 * are the peaks of the first `smaller.size` leaves, and thus give the root the smaller tree should have had.
 */
import { equal } from './bytes.ts'
import { openCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { verifierOf } from './cosignature.ts'
import { TlogError } from './error.ts'
import { leafHash } from './hash.ts'
import type { Hash } from './hash.ts'
import type { VerifierKey } from './key.ts'
import { inclusionNodes, verifyInclusion } from './proof.ts'
import { decodeBundle } from './tile.ts'
import { CompactRange } from './tree.ts'

/** Inclusion, in a tree, of the first leaf after one of its prefixes. */
export interface PrefixProof {
  readonly leaf: Hash
  readonly path: readonly Hash[]
}

/** What a log was caught at. Notes are verbatim. */
export type Misbehaviour =
  | {
      readonly kind: 'fork'
      readonly evidence: {
        readonly smaller: string
        readonly larger: string
        /** Absent if the sizes are the same. */
        readonly prefix?: PrefixProof
      }
    }
  | {
      readonly kind: 'rollback'
      readonly evidence: {
        /** The larger, seen first. */
        readonly seen: string
        /** The smaller, served later. */
        readonly served: string
      }
    }
  | {
      readonly kind: 'bad-entry'
      readonly evidence: {
        readonly checkpoint: string
        readonly index: number
        /** What was served. */
        readonly entry: Uint8Array
        /** The leaf hash in the signed tree, and its inclusion path. */
        readonly leaf: Hash
        readonly path: readonly Hash[]
      }
    }
  | {
      readonly kind: 'bad-bundle'
      readonly evidence: {
        readonly checkpoint: string
        /** Number of the bundle. */
        readonly index: number
        /** Width of the file: the entries it should hold. */
        readonly width: number
        /** What was served. */
        readonly data: Uint8Array
      }
    }
  | {
      readonly kind: 'bad-tile'
      readonly evidence: { readonly checkpoint: string; readonly detail: string }
    }

/** Thrown when a log is caught; code `misbehaviour`. */
export class MisbehaviourError extends TlogError {
  readonly misbehaviour: Misbehaviour

  constructor(misbehaviour: Misbehaviour, message: string, options: { cause?: unknown } = {}) {
    super('misbehaviour', message, options)
    this.name = 'MisbehaviourError'
    this.misbehaviour = misbehaviour
  }
}

/**
 * The root of the first `from` leaves of a tree of `to` leaves with that root, from the proof. TlogError `bad-proof` if
 * the proof does not lead to `root`; whatever root comes out is then that tree's.
 */
export function prefixRoot(proof: PrefixProof, from: number, to: number, root: Hash): Hash {
  verifyInclusion(proof.leaf, from, to, proof.path, root)
  const peaks = inclusionNodes(from, to)
    .map((node, i) => ({ left: node.index * 2 ** node.level < from, hash: proof.path[i]! }))
    .filter(({ left }) => left)
    .map(({ hash }) => hash)
  return CompactRange.from(from, peaks.reverse()).root()
}

/**
 * Verifies evidence with the log's keys alone: that the notes are the log's, and that they show what `kind` says as far
 * as they can. TlogError `bad-proof` if they do not, or openCheckpoint's errors, or `unknown-log`.
 */
export function verifyMisbehaviour(
  misbehaviour: Misbehaviour,
  logKeys: readonly VerifierKey[],
): void {
  if (misbehaviour.kind === 'fork') {
    const { smaller, larger, prefix } = misbehaviour.evidence
    return verifyFork(openLog(smaller, logKeys), openLog(larger, logKeys), prefix)
  }
  if (misbehaviour.kind === 'rollback') {
    const seen = openLog(misbehaviour.evidence.seen, logKeys)
    const served = openLog(misbehaviour.evidence.served, logKeys)
    return demand(served.origin === seen.origin && served.size < seen.size)
  }
  const { size, root } = openLog(misbehaviour.evidence.checkpoint, logKeys)
  if (misbehaviour.kind === 'bad-entry') {
    const { index, entry, leaf, path } = misbehaviour.evidence
    verifyInclusion(leaf, index, size, path, root)
    return demand(!equal(leafHash(entry), leaf))
  }
  if (misbehaviour.kind === 'bad-bundle') {
    const { data, width } = misbehaviour.evidence
    demand(!isBundle(data, width))
  }
}

function verifyFork(
  smaller: Checkpoint,
  larger: Checkpoint,
  prefix: PrefixProof | undefined,
): void {
  demand(smaller.origin === larger.origin && smaller.size <= larger.size)
  if (smaller.size === larger.size) return demand(!equal(smaller.root, larger.root))
  if (prefix === undefined) throw new TlogError('bad-proof', 'a fork without its proof')
  demand(!equal(prefixRoot(prefix, smaller.size, larger.size, larger.root), smaller.root))
}

function openLog(note: string, keys: readonly VerifierKey[]): Checkpoint {
  const { checkpoint, verified } = openCheckpoint(note, keys.map(verifierOf))
  if (!verified.some(({ name }) => name === checkpoint.origin)) {
    throw new TlogError('unknown-log', `no key of ${checkpoint.origin} signed`)
  }
  return checkpoint
}

function isBundle(data: Uint8Array, width: number): boolean {
  try {
    decodeBundle(data, width)
    return true
  } catch (error) {
    if (error instanceof TlogError) return false
    throw error
  }
}

function demand(shown: boolean): void {
  if (!shown) throw new TlogError('bad-proof', 'the evidence does not show it')
}
