/** Leaves into the tree, on one thread: every leaf and node hashed, every tile made, the root at the end. */
import { randomBytes } from 'node:crypto'
import { TileWriter } from '@dslog/tlog/tilewriter'
import { MAX_TREE_CANDIDATES } from '@dslog/log/sequencer'
import { type Benchmark, repeat, secondsOf } from './harness.ts'

const LEAVES = 1_000_000
/** A DS entry with a signature of RSA-2048 has 350 bytes, one of P-256 200. */
const ENTRY_BYTES = 300

export const tree: Benchmark = {
  name: 'tree',
  about: 'leaves into the tree with all tiles',
  async run(bench) {
    const entry = new Uint8Array(randomBytes(ENTRY_BYTES))
    const mark = new DataView(entry.buffer)
    const build = (leaves: number): void => {
      const writer = new TileWriter()
      for (let i = 0; i < leaves; i++) {
        mark.setUint32(0, i)
        writer.appendEntry(entry)
        // Tiles are handed out tree by tree, as a sequencer does.
        if (i % MAX_TREE_CANDIDATES !== MAX_TREE_CANDIDATES - 1) continue
        writer.take()
        writer.root()
      }
    }
    build(LEAVES / 10)
    const runs = await repeat(bench.sizes.runs, async () => {
      return LEAVES / (await secondsOf(() => build(LEAVES)))
    })
    bench.report('leaves into the tree, entries of 300 bytes', '/s', runs, {
      goal: { bound: 'at least', value: 900_000 },
    })
  },
}
