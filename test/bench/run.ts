/**
 * `npm run bench [-- NAME…] [--full] [--json FILE]`: how fast the parts are, each as the median of some runs,
 * with the peer in the same run where there is one. Goals stand beside the figures; nothing fails here.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { leafHash } from '@dslog/tlog/hash'
import { TreeReader } from '@dslog/tlog/reader'
import { TileWriter } from '@dslog/tlog/tilewriter'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { ROOT_ANCHORS } from '@dslog/dnssec/anchors'
import { verifyZone } from '@dslog/dnssec/zone'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import type { LogTables } from '@dslog/schema/db'
import { LOG_MIGRATIONS } from '@dslog/schema/migrate'
import { installNodeCrypto } from '@dslog/service/crypto'
import { openDatabase } from '@dslog/service/db'
import { migrate } from '@dslog/service/migrate'
import { startPostgres } from '@dslog/testbed/postgres'
import { newLogKey, noteSignerOf } from '@dslog/log/key'
import { Loader } from '@dslog/log/load'
import { Log, type LogOptions } from '@dslog/log/log'
import { SignerInTable } from '@dslog/log/signer'
import { Evidence, START } from './evidence.ts'

/** One figure. */
interface Figure {
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly goal?: string
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const DATA = process.env['DSLOG_TEST_DATA'] ?? join(ROOT, '../shared')
const RUNS = 3

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { full: { type: 'boolean', default: false }, json: { type: 'string' } },
})

/** Seconds that work takes: the median of some runs. */
async function seconds(work: () => unknown, runs = RUNS): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < runs; i++) {
    const start = performance.now()
    await work()
    times.push((performance.now() - start) / 1000)
  }
  return times.sort((a, b) => a - b)[Math.floor(runs / 2)]!
}

async function tree(): Promise<Figure[]> {
  const entries = Array.from({ length: 1_000 }, (_, i) => new Uint8Array(300).fill(i % 251))
  const rounds = 300
  const time = await seconds(() => {
    const writer = new TileWriter()
    for (let i = 0; i < rounds; i++) {
      for (const entry of entries) writer.appendEntry(entry)
      writer.take()
    }
  })
  const value = (rounds * entries.length) / time
  return [{ what: 'leaves into the tree, with tiles', value, unit: '1/s', goal: '900,000' }]
}

async function proofs(): Promise<Figure[]> {
  const size = values.full ? 10_000_000 : 1_000_000
  const tiles = new Map<string, Uint8Array>()
  const writer = new TileWriter()
  const entry = new Uint8Array(8)
  for (let i = 0; i < size; i++) {
    new DataView(entry.buffer).setFloat64(0, i)
    writer.append(leafHash(entry))
  }
  for (const { data, index, level } of writer.take()) tiles.set(`${level}/${index}`, data)
  const source = {
    tile: async (level: number, index: number, width: number) =>
      tiles.get(`${level}/${index}`)!.subarray(0, width * 32),
  }
  const figures: Figure[] = []
  for (const [what, range, goal] of [
    ['warm', 1_000, '100,000'],
    [`at random over ${size / 1e6} M leaves`, size, '6,000'],
  ] as const) {
    const reader = new TreeReader(source, size)
    const count = 20_000
    const some = async (): Promise<void> => {
      for (let i = 0; i < count; i++) await reader.inclusionProof(Math.floor(Math.random() * range))
    }
    if (what === 'warm') await some()
    const value = count / (await seconds(some, what === 'warm' ? RUNS : 1))
    figures.push({ what: `inclusion proofs, ${what}`, value, unit: '1/s', goal })
  }
  return figures
}

async function sequence(): Promise<Figure[]> {
  const names = values.full ? 1_000_000 : 100_000
  const batch = 5_000
  const postgres = await startPostgres(['fsync=on', 'synchronous_commit=on', 'shared_buffers=1GB'])
  if (postgres === undefined) return []
  const db = await openDatabase<LogTables>({
    url: postgres.url,
    folder: '/nowhere',
    schema: 'bench',
  })
  try {
    await migrate(db, LOG_MIGRATIONS)
    const evidence = new Evidence()
    let now = START
    const clock = (): number => (now += 1_000)
    const options: LogOptions = {
      db,
      signerRow: new SignerInTable(db),
      signers: [noteSignerOf(newLogKey('bench.example/log'), clock)],
      anchors: evidence.anchors,
      clock,
    }
    const loader = await Loader.open(options)
    await loader.submit([{ candidates: evidence.keys() }])
    const start = performance.now()
    for (let i = 0; i < names; i += 50_000) {
      const count = Math.min(50_000, names - i)
      const part = Array.from({ length: count }, (_, k) => ({
        candidates: [evidence.state(i + k, 0)],
      }))
      await loader.submit(part)
    }
    const loaded = performance.now()
    await loader.finish()
    const finished = performance.now()
    await loader.log.close()
    const log = await Log.open(options)
    let version = 1
    let next = names
    const run = async (): Promise<void> => {
      // Half of them names that change, half of them new ones.
      const changed = Array.from({ length: batch / 2 }, (_, k) => {
        return evidence.state((k * 37 + version * 101) % names, version)
      })
      const fresh = Array.from({ length: batch / 2 }, () => evidence.state(next++, 0))
      version++
      await log.sequence([{ candidates: [...changed, ...fresh] }])
    }
    await run()
    const time = await seconds(run, 5)
    await log.close()
    const load = names / ((loaded - start) / 1000)
    const map = (finished - loaded) / 1000
    return [
      { what: `load of ${names} names into PostgreSQL`, value: load, unit: '1/s', goal: '60,000' },
      { what: 'map, indexes and first tree after it', value: map, unit: 's' },
      {
        what: `sequencing at ${names} names, batches of ${batch}`,
        value: batch / time,
        unit: '1/s',
        goal: '10,000',
      },
    ]
  } finally {
    await db.close()
    await postgres.stop()
  }
}

async function rootZone(): Promise<Figure[]> {
  const file = join(DATA, 'data/root/root-2024071900.zone.gz')
  if (!existsSync(file)) {
    console.log(`skipped: no ${file}, so no zone is imported`)
    return []
  }
  const folder = mkdtempSync(join(tmpdir(), 'dslog-bench-'))
  try {
    const plain = join(folder, 'root.zone')
    writeFileSync(plain, gunzipSync(readFileSync(file)))
    const bytes = readFileSync(plain)
    const work = await seconds(async () => {
      await verifyZone({
        records: parseZoneFile(bytes),
        trust: { anchors: ROOT_ANCHORS },
        backend: nodeBackend(),
      })
    })
    let made = 0
    const whole = await seconds(() => {
      const data = join(folder, `data${made++}`)
      const bin = join(ROOT, 'packages/cli/bin/dslog.js')
      execFileSync('node', [bin, 'import', '--quiet', '--json', '--data', data, file], {
        stdio: 'ignore',
      })
    })
    const figures: Figure[] = [
      { what: 'one root zone, parsed and verified', value: work, unit: 's' },
      { what: 'one root zone, `dslog import` into a fresh folder', value: whole, unit: 's' },
    ]
    const keys = join(DATA, 'data/keys/root-ksk-all.key')
    const ldns = (): void => {
      const { status } = spawnSync('ldns-verify-zone', ['-k', keys, '-t', '20240719060000', plain])
      if (status !== 0) throw new Error('ldns-verify-zone')
    }
    if (spawnSync('ldns-verify-zone', ['-v']).error !== undefined) {
      console.log('skipped: no ldns-verify-zone, so nothing to compare with')
      return figures
    }
    const peer = await seconds(ldns)
    return [
      ...figures,
      { what: 'the same, ldns-verify-zone', value: peer, unit: 's' },
      { what: 'work, against ldns', value: work / peer, unit: '×', goal: '≤ 6' },
      { what: 'whole process, against ldns', value: whole / peer, unit: '×', goal: '≤ 10' },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const BENCHES = { tree, proofs, 'root-zone': rootZone, sequence }

installNodeCrypto()
const figures: Figure[] = []
for (const [name, bench] of Object.entries(BENCHES)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  for (const figure of await bench()) {
    figures.push(figure)
    const { goal = '', unit, value, what } = figure
    const number = value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)
    console.log(
      `${what.padEnd(56)} ${number.padStart(12)} ${unit.padEnd(4)} ${goal && `goal ${goal}`}`,
    )
  }
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 1)}\n`)
