/**
 * The DNS client against a foreign server on the same machine: questions, beside dnsperf; questions with
 * their answers validated; zone transfers, beside dig. The server is NSD, so it costs as much as is left
 * of the two cores, for everybody.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { ROOT } from '@dslog/dnssec/name'
import { missingOf } from '@dslog/testbed/program'
import { startNsd } from '@dslog/testbed/realserver'
import { rootZones } from './data.ts'
import { type Bench, type Benchmark, repeat, secondsOf } from './harness.ts'
import { rootZone } from './rootzone.ts'
import { cpuOf } from './usage.ts'

/** The command line of what `startNsd` starts. */
const NSD = '^nsd -d -c '
const ASKER = fileURLToPath(new URL('asker.ts', import.meta.url))

interface Run {
  readonly count: number
  readonly seconds: number
  /** Seconds of processor time, of all threads. */
  readonly cpu: number
}

/** What the asker may use: all there is unless told. */
interface Share {
  readonly cores?: string
  /** That verify signatures, the one that asks among them. */
  readonly threads?: number
}

function asker(mode: string, port: number, names: number, runs: number, share: Share = {}): Run[] {
  const { cores, threads = '' } = share
  const told = [ASKER, mode, port, names, runs, threads]
  const node = [process.execPath, '--import', 'tsx', ...told].map(String)
  const command = cores === undefined ? node : ['taskset', '-c', cores, ...node]
  const out = execFileSync(command[0]!, command.slice(1), { encoding: 'utf8' })
  return out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Run)
}

const rates = (runs: readonly Run[]): number[] => runs.map(({ count, seconds }) => count / seconds)
/** What a question takes of a processor, in µs: the same on a busy machine, nearly. */
const costs = (runs: readonly Run[]): number[] => runs.map(({ count, cpu }) => (cpu / count) * 1e6)

/** NSD with a root zone, until the benchmark ends; its port. */
async function serve(bench: Bench, text: string, serial: number): Promise<number> {
  const nsd = await startNsd([{ name: ROOT, text, serial }])
  if (nsd === undefined) throw new Error('nsd does not start')
  bench.after(() => nsd.stop())
  return nsd.port
}

export const dns: Benchmark = {
  name: 'dns',
  about: 'questions and transfers against NSD, beside dnsperf and dig',
  async run(bench) {
    const missing = missingOf('nsd', 'dig', 'dnsperf')
    if (missing.length > 0) return bench.skip(`dns: no ${missing.join(', ')}`)
    const { runs, seconds } = bench.sizes
    const names = bench.sizes.delegations
    const folder = bench.folder()
    const port = await serve(bench, rootZone(names), 1)

    const queries = join(folder, 'queries')
    const lines = Array.from({ length: names }, (_, i) => `name${i}. DS\n`)
    writeFileSync(queries, lines.join(''))
    const peers: Run[] = []
    const least: Run[] = []
    const own: Run[] = []
    /** What a question of ours takes of a processor at the other end, µs. */
    const served: number[] = []
    // Turn about, so that other work on the machine meets all.
    await repeat(runs, async () => {
      peers.push(dnsperf(port, queries, seconds))
      // The first is slower: code is compiled.
      least.push(...asker('datagrams', port, names, 3).slice(2))
      const before = cpuOf(NSD)
      const asked = asker('raw', port, names, 3)
      served.push(((cpuOf(NSD) - before) / asked.reduce((sum, { count }) => sum + count, 0)) * 1e6)
      own.push(...asked.slice(2))
      return 0
    })
    bench.report('dnsperf, 200 questions at once', '/s', rates(peers))
    bench.report('the same, of a processor', 'µs', costs(peers))
    bench.report('one question again and again by node:dgram, 200 at once', '/s', rates(least))
    bench.report('the same, of a processor', 'µs', costs(least))
    bench.report('questions, 200 at once, one process', '/s', rates(own))
    bench.report('the same, of a processor', 'µs', costs(own))
    const shares = rates(own).map((rate, i) => rate / rates(peers)[i]!)
    bench.report('the same, of dnsperf', '×', shares, { goal: { bound: 'at least', value: 0.75 } })
    bench.report('NSD of a processor for each', 'µs', served)

    const alone = asker('validate', port, names, runs, { threads: 1 })
    bench.report('question to validated state, P-256, on one thread', '/s', rates(alone), {
      goal: { bound: 'at least', value: 12_000 },
    })
    bench.report('the same, of a processor', 'µs', costs(alone))
    const one = { cores: '0' }
    const pinned = asker('validate', port, names, runs, one)
    bench.report('the same, everything of its process on one core', '/s', rates(pinned))
    const pooled = asker('validate', port, names, runs)
    bench.report('question to validated state, P-256, with threads on both', '/s', rates(pooled), {
      goal: { bound: 'at least', value: 20_000 },
    })
    bench.report('the same, of a processor', 'µs', costs(pooled))
    const bound = asker('signatures', port, names, runs, one)
    bench.report('signatures alone, P-256, on one core', '/s', rates(bound))
    bench.report('the same, of a processor', 'µs', costs(bound))
    const both = asker('signatures', port, names, runs)
    bench.report('signatures alone, P-256, with threads on both', '/s', rates(both))
    bench.report('the same, of a processor', 'µs', costs(both))
    // As if nothing else were done, and no moment of either core lost.
    const most = costs(both).map((cost, i) => 2e6 / (cost + costs(own)[i]! + served[i]!))
    bench.report('question, answer of NSD and signature on two cores, reckoned', '/s', most)
    bench.report(
      'the same names again, signatures remembered',
      '/s',
      rates(asker('again', port, names, runs + 1)).slice(1),
    )

    await transfer(bench, `a zone of ${names} names`, port)
    const real = rootZones().at(-1)
    if (real === undefined) return bench.skip('transfer of the root: no zone file')
    const zone = gunzipSync(readFileSync(real)).toString('latin1')
    const [, serial] = /\sSOA\s+\S+\s+\S+\s+(\d+)/.exec(zone) ?? []
    await transfer(bench, 'the root', await serve(bench, zone, Number(serial)))
  },
}

async function transfer(bench: Bench, what: string, port: number): Promise<void> {
  const { runs } = bench.sizes
  const dig = ['@127.0.0.1', '-p', String(port), '.', 'AXFR', '+time=60']
  const peers = await repeat(runs, () =>
    secondsOf(() => {
      spawnSync('dig', dig, { stdio: 'ignore' })
    }),
  )
  const own = asker('transfer', port, 0, runs).map(({ seconds }) => seconds)
  bench.report(`dig, transfer of ${what}`, 's', peers)
  bench.report(`transfer of ${what}`, 's', own)
  const shares = own.map((time, i) => time / peers[i]!)
  bench.report('the same, of dig', '×', shares, { goal: { bound: 'at most', value: 1 } })
}

function dnsperf(port: number, queries: string, seconds: number): Run {
  const args = ['-s', '127.0.0.1', '-p', port, '-d', queries, '-D', '-q', 200, '-l', seconds]
  // The shell tells what its child took of the processor, in user and system time.
  const timed = ['-c', 'TIMEFORMAT="cpu %U %S"; time dnsperf "$@"', 'dnsperf', ...args.map(String)]
  const { stderr, stdout } = spawnSync('bash', timed, { encoding: 'utf8' })
  const [, count] = /Queries completed:\s+(\d+)/.exec(stdout) ?? []
  const [, rate] = /Queries per second:\s+([\d.]+)/.exec(stdout) ?? []
  const [, user, system] = /cpu ([\d.]+) ([\d.]+)/.exec(stderr) ?? []
  if (count === undefined || rate === undefined) throw new Error('dnsperf says no rate')
  return {
    count: Number(count),
    seconds: Number(count) / Number(rate),
    cpu: Number(user) + Number(system),
  }
}
