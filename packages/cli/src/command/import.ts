/**
 * `dslog import`: whole signed zone files into the log, in the order given, each at its own time. A file is
 * checked whole before anything of it is submitted (@dslog/dnssec/zone): every signature, and that
 * nothing was left out. What differs from the log's state is submitted with its evidence. A zone below
 * the root hangs from the DS that the log holds of it.
 */
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import type { Anchor } from '@dslog/dnssec/anchors'
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { DnssecError } from '@dslog/dnssec/error'
import { labelCount, type Name, nameToText } from '@dslog/dnssec/name'
import { type SignedZone, verifyZone, zoneTime } from '@dslog/dnssec/zone'
import { readZoneFile } from '@dslog/dnssec/zonefile'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { recordsOf } from '@dslog/dnssec/rrset'
import { rememberingBackend } from '@dslog/resolver/remember'
import type { SubmitResult } from '@dslog/schema/api'
import { streamInput } from '@dslog/service/input'
import { counted } from '@dslog/verify/counted'
import { diffZone, observationsOf } from '@dslog/verify/zonediff'
import { EXIT, Failure, naming } from '../failure.ts'
import { readName } from '../name.ts'
import type { Output } from '../output.ts'
import type { Session } from '../session.ts'
import type { Target } from '../target.ts'

export interface ImportOptions {
  /** When the files are checked, instead of each one's own time; ms since the Unix epoch. */
  readonly at?: number
  /** The apex, where the file does not say. */
  readonly zone?: string
}

/** How files are imported. */
export interface ImportPlan {
  readonly anchors: readonly Anchor[]
  readonly at?: number | undefined
  readonly zone?: Name | undefined
  /** Verifies the files: {@link importBackend}, of which a log in this process should have the same one. */
  readonly backend: SignatureBackend
  /** Ends the import after the file that is under way. */
  readonly signal?: AbortSignal
}

/** Sums over all files. */
interface Totals {
  files: number
  entries: number
  changes: number
  unverifiable: number
}

/** A zone that was verified whole. */
interface VerifiedZone {
  readonly zone: SignedZone
  /** Checked at the present time: the log dates it. */
  readonly live: boolean
  /** What its keys hang from; nothing for the root. */
  readonly link: readonly RR[]
}

/** Runs the command. */
export async function importFiles(
  session: Session,
  files: readonly string[],
  { at, zone: apex }: ImportOptions,
): Promise<void> {
  const zone = apex === undefined ? undefined : readName(apex)
  await checkFiles(files)
  const anchors = await session.anchors()
  const backend = importBackend()
  let opened: Promise<Target> | undefined
  const open = (): Promise<Target> => (opened ??= openTarget(session, backend))
  // A folder's database opens in a thread of its own: meanwhile the first file is read and verified here. On a server
  // a log is made for good, so that waits for a file that is good.
  if (session.config.databaseUrl === undefined) open().catch(() => {})
  try {
    await importInto(open, files, { anchors, at, zone, backend }, session.output)
  } finally {
    await (await opened)?.close()
  }
}

/**
 * Verifies signatures of an import, and remembers them. A zone is verified whole before anything of it is submitted, and the
 * log verifies what it is given again: the same bytes by the same key, which it then only has to recognize.
 */
export function importBackend(backend: SignatureBackend = nodeBackend()): SignatureBackend {
  return rememberingBackend(backend)
}

/** Each kind is loaded when it is needed: most of the one has nothing to do with the other. */
async function openTarget(session: Session, backend: SignatureBackend): Promise<Target> {
  const url = await session.logUrl()
  if (url === undefined) {
    const { LocalTarget } = await import('../local-target.ts')
    return LocalTarget.open(session, backend)
  }
  const { RemoteTarget } = await import('../remote-target.ts')
  return new RemoteTarget(url, session.http(), await session.operatorToken())
}

/** Refuses files that cannot be read, before anything is done. */
export async function checkFiles(files: readonly string[]): Promise<void> {
  for (const file of files) {
    await access(file, constants.R_OK)
    if ((await stat(file)).isDirectory()) throw new Failure(EXIT.usage, `${file}: is a folder`)
  }
}

/**
 * Imports files into a log; also what `dslog up --zone-file` does.
 *
 * @param open the log, which is not waited for before it is needed
 */
export async function importInto(
  open: () => Promise<Target>,
  files: readonly string[],
  plan: ImportPlan,
  output: Output,
): Promise<void> {
  const totals: Totals = { files: 0, entries: 0, changes: 0, unverifiable: 0 }
  const states = new Map<string, Map<string, readonly string[]>>()
  const bar = output.progress('Importing', files.length)
  for (const [i, file] of files.entries()) {
    plan.signal?.throwIfAborted()
    bar.step(i, file)
    const verified = await readSignedZone(file, plan, open)
    const target = await open()
    const apex = nameToText(verified.zone.zone)
    const known = states.get(apex) ?? (await target.states(verified.zone.zone))
    states.set(apex, known)
    await submitZone(target, file, verified, known, totals, output)
    totals.files++
  }
  bar.end()
  const size = await (await open()).size()
  output.event({ event: 'summary', ...totals, size })
  output.line(
    `${counted(totals.files, 'file')}: ${counted(totals.entries, 'entry', 'entries')} added, ${counted(totals.changes, 'change')}, ` +
      `${totals.unverifiable} unverifiable; the log has ${counted(size, 'entry', 'entries')}`,
  )
  if (totals.unverifiable > 0) {
    throw new Failure(EXIT.unverified, `${counted(totals.unverifiable, 'record')} refused`)
  }
}

/** Reads a zone file and checks everything it claims. */
async function readSignedZone(
  file: string,
  plan: ImportPlan,
  open: () => Promise<Target>,
): Promise<VerifiedZone> {
  const records = (): AsyncIterable<RR> =>
    readZoneFile(streamInput(file), plan.zone === undefined ? {} : { origin: plan.zone })
  const now = Date.now()
  return naming(file, async () => {
    const apex = plan.zone ?? (await apexOf(records()))
    const isRoot = labelCount(apex) === 0
    const above = isRoot ? undefined : await (await open()).delegation(apex)
    if (above === undefined && !isRoot) {
      throw new Failure(
        EXIT.unverified,
        `${file}: the log holds no DS of ${nameToText(apex)}: import the zone above it first`,
      )
    }
    const zone = await verifyZone({
      records: records(),
      zone: apex,
      trust: above === undefined ? { anchors: plan.anchors } : { ds: above.ds },
      at: plan.at ?? ((soa) => zoneTime(soa, now)),
      backend: plan.backend,
    })
    const link = above === undefined ? [] : recordsOf(apex, TYPE.DS, above.ds, above.rrsig)
    const live = plan.at === undefined && zone.at === now
    return { zone, live, link }
  })
}

/** The owner of the SOA, which stands at the beginning of a zone file. */
async function apexOf(records: AsyncIterable<RR>): Promise<Name> {
  for await (const { owner, type } of records) if (type === TYPE.SOA) return owner
  throw new DnssecError('bad-zone', 'no SOA record')
}

async function submitZone(
  target: Target,
  file: string,
  { link, live, zone }: VerifiedZone,
  known: Map<string, readonly string[]>,
  totals: Totals,
  output: Output,
): Promise<void> {
  const changes = await naming(file, () => diffZone(zone, known))
  const observations = observationsOf(zone, link, changes, live ? undefined : zone.at)
  const [keysResult, ...results] = await target.submit(observations)
  count(keysResult!, totals, `${file}: keys of ${nameToText(zone.zone)}`, output)
  for (const [i, result] of results.entries()) {
    const { change, name, new: now, old } = changes[i]!
    const text = nameToText(name)
    if (!count(result, totals, `${file}: ${text}`, output)) continue
    totals.changes++
    if (result.out_of_order !== true) known.set(text, now)
    const { index } = result
    output.event({ event: 'change', name: text, change, old, new: now, index, file })
    output.change(`${SIGN[change]} ${text} (entry ${index})`)
    for (const ds of old) if (!now.includes(ds)) output.change(`    - ${ds}`)
    for (const ds of now) if (!old.includes(ds)) output.change(`    + ${ds}`)
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
