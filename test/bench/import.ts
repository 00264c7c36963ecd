/**
 * One root zone with every signature, against `ldns-verify-zone`, which does less (it verifies and keeps
 * nothing) and is written in C. Each run measures all of them, one after the other.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { missingOf } from '@dslog/testbed/program'
import { DSLOG } from '../repository.ts'
import { rootZones, verified } from './data.ts'
import { type Benchmark, repeat, secondsOf } from './harness.ts'

const ZONE = 'root-2024071900.zone.gz'
/** A time at which the zone is valid, as ldns wants it. */
const TIME = '20240719120000'
const VERIFY_ZONE = fileURLToPath(new URL('verify-zone.js', import.meta.url))

export const importZone: Benchmark = {
  name: 'import',
  about: 'one root zone with every signature, against ldns-verify-zone',
  async run(bench) {
    const file = rootZones().find((path) => basename(path) === ZONE)
    if (file === undefined) return bench.skip(`import: no ${ZONE}`)
    const folder = bench.folder()
    const plain = join(folder, 'root.zone')
    writeFileSync(plain, gunzipSync(readFileSync(file)))
    const hasPeer = missingOf('ldns-verify-zone').length === 0
    if (!hasPeer) bench.skip('ldns-verify-zone is not installed (Debian: ldnsutils)')

    const times = { peer: [], fresh: [], again: [], verify: [], work: [] } as Record<
      'peer' | 'fresh' | 'again' | 'verify' | 'work',
      number[]
    >
    await verified(file)
    await repeat(bench.sizes.runs, async (run) => {
      const data = join(folder, `data-${run}`)
      const environment = { ...process.env, DSLOG_LOG: '', DSLOG_DATA: data }
      const node = (...args: string[]) => program(process.execPath, args, environment)
      const into = ['import', '--quiet', '--data', data, file]
      if (hasPeer) {
        const args = ['-V', '0', '-t', TIME, plain]
        times.peer.push(await secondsOf(() => program('ldns-verify-zone', args)))
      }
      times.work.push(await secondsOf(() => verified(file)))
      times.verify.push(await secondsOf(() => node(VERIFY_ZONE, file)))
      times.fresh.push(await secondsOf(() => node(DSLOG, ...into)))
      times.again.push(await secondsOf(() => node(DSLOG, ...into)))
      return 0
    })
    if (hasPeer) bench.report('ldns-verify-zone', 's', times.peer)
    bench.report('parse and verify, in a running process', 's', times.work)
    bench.report('a process that parses and verifies', 's', times.verify)
    bench.report('dslog import into a fresh folder, its database included', 's', times.fresh)
    bench.report('dslog import of the same zone again', 's', times.again)
    if (!hasPeer) return
    const against = (runs: readonly number[]) => runs.map((time, i) => time / times.peer[i]!)
    bench.report('the work itself against ldns', '×', against(times.work), {
      goal: { bound: 'at most', value: 6 },
    })
    bench.report('a process that verifies against ldns', '×', against(times.verify))
    bench.report('the whole process against ldns', '×', against(times.fresh), {
      goal: { bound: 'at most', value: 10 },
    })
  },
}

function program(command: string, args: readonly string[], env = process.env): void {
  const { error, status, stderr } = spawnSync(command, args, { env, encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`)
}
