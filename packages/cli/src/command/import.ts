/**
 * `dslog import`: whole signed zone files into the log, in the order given, each at its own time. A file is
 * checked whole before anything of it is submitted (@dslog/dnssec/zone): every signature, and that
 * nothing was left out. What differs from the log's state is submitted with its evidence.
 */
import { createReadStream } from 'node:fs'
import { toBase64 } from '@dslog/tlog/bytes'
import type { Anchor } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { DnssecError } from '@dslog/dnssec/error'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { type SignedZone, verifyZone, zoneTime } from '@dslog/dnssec/zone'
import { readZoneFile } from '@dslog/dnssec/zonefile'
import { encodeRecord } from '@dslog/dnssec/wire'
import type { RR } from '@dslog/dnssec/records'
import type { Observation, SubmitResult } from '@dslog/schema/api'
import { diffZone, keyRecords, type ZoneChange } from '@dslog/verify/zonediff'
import { EXIT, Failure } from '../failure.ts'
import type { Output } from '../output.ts'
import { Session, type GlobalOptions } from '../session.ts'
import { LocalTarget, RemoteTarget, type Target } from '../target.ts'

export interface ImportOptions extends GlobalOptions {
  /** When the files are checked, instead of each one's own time. */
  readonly at?: number
  /** The apex, where the file does not say. */
  readonly zone?: string
}

/** Sums over all files. */
interface Totals {
  files: number
  entries: number
  changes: number
  unverifiable: number
}

/** Runs the command. */
export async function importFiles(files: readonly string[], options: ImportOptions): Promise<void> {
  const session = new Session(options)
  const url = await session.logUrl()
  const target =
    url === undefined
      ? await LocalTarget.open(session.data, process.env)
      : new RemoteTarget(url, session.http(), await session.operatorToken())
  try {
    const zone = options.zone === undefined ? undefined : nameFromText(options.zone)
    const { at } = options
    const how = {
      anchors: await session.anchors(),
      ...(at === undefined ? {} : { at }),
      ...(zone === undefined ? {} : { zone }),
    }
    await importInto(target, files, how, session.output)
  } finally {
    await target.close()
  }
}

/** Imports files into an open log; also what `dslog up --zone-file` does. */
export async function importInto(
  target: Target,
  files: readonly string[],
  how: { anchors: readonly Anchor[]; at?: number; zone?: Name },
  output: Output,
): Promise<void> {
  const totals: Totals = { files: 0, entries: 0, changes: 0, unverifiable: 0 }
  const states = new Map<string, Map<string, readonly string[]>>()
  const bar = output.progress('Importing', files.length)
  for (const [i, file] of files.entries()) {
    bar.step(i, file)
    const zone = await readSignedZone(file, how)
    const apex = nameToText(zone.zone)
    const known = states.get(apex) ?? (await target.states(zone.zone))
    states.set(apex, known)
    const changes = diffOf(file, zone, known)
    await submitZone(target, file, zone, changes, known, totals, output)
    totals.files++
  }
  bar.end(`${files.length} files`)
  const size = await target.size()
  output.event({ event: 'summary', ...totals, size })
  output.line(
    `${totals.files} files: ${totals.entries} entries added, ${totals.changes} changes, ` +
      `${totals.unverifiable} unverifiable; the log has ${size} entries`,
  )
  if (totals.unverifiable > 0) {
    throw new Failure(EXIT.unverified, `${totals.unverifiable} records were refused`)
  }
}

/** Reads a zone file and checks everything it claims. */
async function readSignedZone(
  file: string,
  { anchors, at, zone }: { anchors: readonly Anchor[]; at?: number; zone?: Name },
): Promise<SignedZone> {
  try {
    return await verifyZone({
      records: readZoneFile(createReadStream(file), zone === undefined ? {} : { origin: zone }),
      trust: { anchors },
      at: at ?? ((soa) => zoneTime(soa, Date.now())),
      backend: nodeBackend(),
      ...(zone === undefined ? {} : { zone }),
    })
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new Failure(EXIT.unverified, `${file}: ${cause.message}`, { cause })
  }
}

function diffOf(
  file: string,
  zone: SignedZone,
  known: ReadonlyMap<string, readonly string[]>,
): ZoneChange[] {
  try {
    return diffZone(zone, known)
  } catch (cause) {
    if (!(cause instanceof DnssecError)) throw cause
    throw new Failure(EXIT.unverified, `${file}: ${cause.message}`, { cause })
  }
}

async function submitZone(
  target: Target,
  file: string,
  zone: SignedZone,
  changes: readonly ZoneChange[],
  known: Map<string, readonly string[]>,
  totals: Totals,
  output: Output,
): Promise<void> {
  // Evidence of the present is timed by the log; all else is from an archive.
  const isNow = Math.abs(zone.at - Date.now()) < 60_000
  const moment = isNow ? {} : { observed_at: zone.at, historical: true }
  const apex = nameToText(zone.zone)
  const keys = { owner: apex, kind: 'keys' as const, ...moment, records: base64(keyRecords(zone)) }
  const observations = changes.map(({ name, records }): Observation => {
    return { owner: nameToText(name), ...moment, records: base64(records) }
  })
  const [keyResult, ...results] = await target.submit([keys, ...observations])
  count(keyResult!, totals, `${file}: keys of ${apex}`, output)
  for (const [i, result] of results.entries()) {
    const { change, name, new: now, old } = changes[i]!
    const text = nameToText(name)
    if (!count(result, totals, `${file}: ${text}`, output)) continue
    totals.changes++
    if (result.out_of_order !== true) known.set(text, now)
    const { index } = result
    output.event({ event: 'change', name: text, change, old, new: now, index, file })
    output.line(`${SIGN[change]} ${text} (entry ${index})`)
    for (const ds of old) if (!now.includes(ds)) output.line(`    - ${ds}`)
    for (const ds of now) if (!old.includes(ds)) output.line(`    + ${ds}`)
  }
}

const SIGN = { added: '+', removed: '-', replaced: '~' } as const

/** Counts a result; true if it added an entry. */
function count(result: SubmitResult, totals: Totals, what: string, output: Output): boolean {
  if (result.status === 'refused') {
    totals.unverifiable++
    output.note(`${what}: refused, ${result.reason}: ${result.detail ?? ''}`)
  }
  if (result.status !== 'logged') return false
  totals.entries++
  return true
}

function base64(records: readonly RR[]): string[] {
  return records.map((record) => toBase64(encodeRecord(record)))
}
