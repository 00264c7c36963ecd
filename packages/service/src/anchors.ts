/** The trust anchors of DNSSEC that a service or command was told to use. */
import { type Anchor, parseAnchors, ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { readInput } from './input.ts'

/** Those of a file, or the root's. Throws DnssecError `bad-anchor`, or what reading the file throws. */
export async function readAnchors(path: string | undefined): Promise<readonly Anchor[]> {
  return path === undefined ? ROOT_ANCHORS : parseAnchors((await readInput(path)).toString())
}
