/**
 * Inclusion proofs inside the process, from tiles in memory: warm, from inner nodes that the reader has
 * kept, and at random over a tree whose tiles it cannot keep, so that nearly each proof hashes a tile.
 * Every tile is checked against the root.
 */
import { randomBytes } from 'node:crypto'
import { asHash, type Hash, HASH_SIZE } from '@dslog/tlog/hash'
import { TreeReader } from '@dslog/tlog/reader'
import { verifyInclusion } from '@dslog/tlog/proof'
import { TileWriter } from '@dslog/tlog/tilewriter'
import { randomIntFrom } from '@dslog/testbed/random'
import { type Benchmark, rate, repeat } from './harness.ts'

/** Leaves that are proven again and again. */
const WARM = 10_000
const RUN_MS = 500

export const proofs: Benchmark = {
  name: 'proofs',
  about: 'inclusion proofs from tiles in memory',
  async run(bench) {
    const { leaves, runs } = bench.sizes
    const { leaf, root, source } = treeOf(leaves)
    const reader = new TreeReader(source, leaves, { root })
    const random = randomIntFrom(leaves)
    for (let i = 0; i < 100; i++) {
      const index = random(leaves)
      verifyInclusion(leaf(index), index, leaves, await reader.inclusionProof(index), root)
    }
    const warm = () => reader.inclusionProof(random(WARM))
    await rate(RUN_MS, warm)
    bench.report(
      `warm, a tree of ${leaves} leaves`,
      '/s',
      await repeat(runs, () => rate(RUN_MS, warm)),
      {
        goal: { bound: 'at least', value: 100_000 },
      },
    )
    const cold = () => reader.inclusionProof(random(leaves))
    await rate(RUN_MS, cold)
    bench.report(
      `at random over ${leaves} leaves`,
      '/s',
      await repeat(runs, () => rate(RUN_MS, cold)),
      {
        goal: { bound: 'at least', value: 6_000 },
        note: 'tiles in memory, 4,096 of them kept with their nodes',
      },
    )
  },
}

/** A tree of noise, its tiles in memory. */
function treeOf(size: number) {
  const noise = new Uint8Array(randomBytes(64 * 1024 + HASH_SIZE))
  // No two leaves alike for 2^32 leaves: a window of the noise, and the index.
  const leaf = (index: number): Hash => {
    const start = index % (64 * 1024)
    const hash = noise.slice(start, start + HASH_SIZE)
    new DataView(hash.buffer).setUint32(0, index)
    return asHash(hash)
  }
  const tiles = new Map<string, Uint8Array>()
  const writer = new TileWriter()
  const keep = (): void => {
    for (const { data, index, level } of writer.take()) tiles.set(`${level}/${index}`, data)
  }
  for (let i = 0; i < size; i++) {
    writer.append(leaf(i))
    if (i % 65_536 === 0) keep()
  }
  keep()
  const source = {
    tile: async (level: number, index: number, width: number): Promise<Uint8Array> => {
      return tiles.get(`${level}/${index}`)!.subarray(0, width * HASH_SIZE)
    },
  }
  return { leaf, root: writer.root(), source }
}
