/** The name map by its definition, over the entries of a log: slow and plain, to compare with. */
import { concat, toHex, u64be } from '@dslog/tlog/bytes'
import { EMPTY_ROOT, type Hash, leafHash, nodeHash, sha256 } from '@dslog/tlog/hash'
import { decodeEntry } from '@dslog/schema/entry'

interface Pair {
  readonly key: Hash
  readonly value: Hash
}

/** Root of the Merkle Patricia tree of these pairs, no key twice. */
function mapRoot(pairs: readonly Pair[], bit = 0): Hash {
  if (pairs.length === 0) return EMPTY_ROOT
  if (pairs.length === 1) return sha256(concat(pairs[0]!.key, pairs[0]!.value))
  const side = ({ key }: Pair): number => (key[bit >> 3]! >> (7 - (bit & 7))) & 1
  const left = pairs.filter((pair) => side(pair) === 0)
  const right = pairs.filter((pair) => side(pair) === 1)
  if (left.length === 0 || right.length === 0) return mapRoot(pairs, bit + 1)
  return sha256(concat(mapRoot(left, bit + 1), mapRoot(right, bit + 1), Uint8Array.of(bit)))
}

/** RFC 6962 tree hash of leaves. */
function treeHash(leaves: readonly Hash[]): Hash {
  if (leaves.length === 1) return leaves[0]!
  let k = 1
  while (2 * k < leaves.length) k *= 2
  return nodeHash(treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k)))
}

/** Root and number of keys of the map over these entries. */
export function mapOver(entries: readonly Uint8Array[]): { root: Hash; keyCount: number } {
  const indices = new Map<string, { key: Hash; list: number[] }>()
  for (const [index, bytes] of entries.entries()) {
    const entry = decodeEntry(bytes)
    if (entry.type === 'map-head' || entry.type === 'unknown') continue
    const [kind, name] = entry.type === 'zone-keys' ? [2, entry.zone] : [1, entry.owner]
    const key = sha256(concat(Uint8Array.of(kind), name))
    const held = indices.get(toHex(key)) ?? { key, list: [] }
    held.list.push(index)
    indices.set(toHex(key), held)
  }
  const pairs = [...indices.values()].map(({ key, list }) => {
    return { key, value: treeHash(list.map((index) => leafHash(u64be(index)))) }
  })
  return { root: mapRoot(pairs), keyCount: pairs.length }
}
