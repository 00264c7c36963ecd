/**
 * Load mode on PostgreSQL: leaves in transactions without a map, then the map and the indexes in one go;
 * what that leaves behind, and what changes of a map of this size take. `--names 10000000` is the first
 * import of a large log.
 */
import { sql } from 'kysely'
import { Log } from '@dslog/log/log'
import { prefixOf } from '@dslog/tlog/mapbucket'
import { updateBuckets } from '@dslog/tlog/maptree'
import { MapKind, mapKey, mapValue } from '@dslog/schema/identity'
import { randomIntFrom } from '@dslog/testbed/random'
import { type FilledLog, filledLog } from './filled.ts'
import { type Bench, type Benchmark, repeat, secondsOf } from './harness.ts'
import type { Spent } from './processor.ts'

/** Names of one change of the map. */
const CHANGES = [12, 1_000, 100_000]
/** Of the DS that a name changes to: no other benchmark goes so far. */
const VERSION = 10_000_000

export const load: Benchmark = {
  name: 'load',
  about: 'load mode into PostgreSQL',
  async run(bench) {
    const filled = await filledLog(bench)
    if (filled === undefined) return bench.skip('load: no PostgreSQL')
    const { end, entries, indexes, leaves, map } = filled.times
    const { names } = bench.sizes
    const more = { goal: { bound: 'at least', value: 70_000 } } as const
    bench.report('leaves before the map is built', '/s', leaves, more)
    processorOf(bench, 'of that, a leaf', entries, names)
    bench.report(`leaves, all ${names}`, 's', [entries.wall])
    bench.report(`map of ${names} names`, 's', [map.wall])
    processorOf(bench, 'of the map, a name', map, names)
    bench.report(`indexes of ${names} names`, 's', [indexes.wall])
    bench.report('MAP_HEAD, signature, publication', 's', [end.wall])
    const peak = process.resourceUsage().maxRSS / 2 ** 10
    bench.report('most memory of this process, evidence made up included', 'MiB', [peak])
    await reportTables(bench, filled)
    await reportOpening(bench, filled)
    await reportChanges(bench, filled)
  },
}

function processorOf(bench: Bench, what: string, { node, server }: Spent, count: number): void {
  bench.report(`processor time ${what}: Node`, 'µs', [(node * 1e6) / count])
  bench.report(`processor time ${what}: PostgreSQL`, 'µs', [(server * 1e6) / count])
}

/** Bytes of each table, with its indexes and what lies outside its rows. */
async function reportTables(bench: Bench, { options }: FilledLog): Promise<void> {
  const { rows } = await sql<{ name: string; bytes: number; indexes: number }>`
    select relname as name, pg_total_relation_size(oid)::int8 as bytes,
      pg_indexes_size(oid)::int8 as indexes
    from pg_class
    where relkind = 'r' and relnamespace = current_schema()::regnamespace
    order by 2 desc limit 5`.execute(options.db.kysely)
  for (const { bytes, indexes, name } of rows) {
    const note = `indexes ${Math.round(indexes / 2 ** 20)} MiB of it`
    bench.report(`table ${name}`, 'MiB', [bytes / 2 ** 20], { note })
  }
}

/** From nothing to a log that sequences; the server's cache is as the load left it. */
async function reportOpening(bench: Bench, filled: FilledLog): Promise<void> {
  await filled.log.close()
  bench.report('start of a log of that', 's', [
    await secondsOf(async () => (filled.log = await Log.open(filled.options))),
  ])
}

/** The map alone, read, hashed and written, but taken back; then a whole tree of as many changes. */
async function reportChanges(bench: Bench, { evidence, log, options }: FilledLog): Promise<void> {
  const { names } = bench.sizes
  const random = randomIntFrom(names)
  for (const count of CHANGES.filter((changes) => changes * 2 <= names)) {
    const changed = [...new Set(Array.from({ length: count }, () => random(names)))]
    const pairs = changed.map((index) => {
      return {
        key: mapKey(MapKind.delegation, evidence.name(index)),
        value: mapValue([index, names]),
      }
    })
    const runs = await repeat(bench.sizes.runs, async () => {
      const upper = log.published.upper.fork()
      return secondsOf(async () => {
        const prefixes = [...new Set(pairs.map(({ key }) => prefixOf(key, upper.depth)))]
        const buckets = updateBuckets(upper, await log.fold.buckets(prefixes), pairs)
        upper.root()
        const takenBack = new Error('taken back')
        const work = options.db.transaction(async (trx) => {
          await log.fold.map.save(trx, buckets, log.size + 1)
          throw takenBack
        })
        await work.catch((error: unknown) => {
          if (error !== takenBack) throw error
        })
      })
    })
    bench.report(
      `map, ${count} names changed`,
      'ms',
      runs.map((seconds) => seconds * 1000),
    )
    const candidates = changed.map((index) => evidence.state(index, VERSION + count))
    const tree = await secondsOf(() => log.sequence([{ candidates }]))
    bench.report(`a tree of ${count} changes, published`, 's', [tree])
  }
}
