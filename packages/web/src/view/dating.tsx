/** A remark on the time of a tree that an answer stands in, where it is not what one would expect. */
import type { TreeModel } from '../protocol.ts'
import { datingWords } from '../words.ts'

export function Dating({ tree: { time, witnesses } }: { tree: TreeModel }) {
  if (time === undefined) return null
  // Witnesses sign what did not change, too: then it is known to have been the newest at that time.
  const words = datingWords(Math.max(time, ...witnesses.map((each) => each.time)), Date.now())
  return words === '' ? null : <p class="strip">{words}</p>
}
