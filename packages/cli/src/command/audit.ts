/**
 * `dslog audit`: the whole log, verified with nothing but its URL, a policy and trust anchors. What is
 * wrong is kept as evidence that others can check (in the state folder, or printed), and ends in exit
 * code 1.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toBase64 } from '@dslog/tlog/bytes'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { writeFileAtomic } from '@dslog/service/files'
import { counted } from '@dslog/verify/counted'
import {
  type AuditContext,
  type AuditReport,
  evidenceObject,
  PinnedClient,
} from '../audit/audit.ts'
import { auditFrom } from '../audit/partial.ts'
import { auditResumed } from '../audit/resumed.ts'
import { auditWhole } from '../audit/whole.ts'
import { EXIT, Failure, naming } from '../failure.ts'
import type { Session } from '../session.ts'
import { openSource } from '../source.ts'

export interface AuditOptions {
  readonly from?: number | undefined
  readonly state?: string | undefined
}

/** Entries of a log that is audited in memory: measured, 2 kB each; a larger one takes a database. */
export const MAX_IN_MEMORY = 250_000

export async function audit(session: Session, { from, state }: AuditOptions): Promise<void> {
  if (from !== undefined && state !== undefined) {
    throw new Failure(
      EXIT.usage,
      '--from and --state exclude each other: a state knows where it is',
    )
  }
  const { output } = session
  const policy = await session.policy()
  const anchors = await session.anchors()
  const source = await openSource(session)
  try {
    const client = await naming(source.name, () =>
      PinnedClient.open(source.url, policy, source.http),
    )
    const { origin, root, size } = client.pinned.checkpoint
    if (from !== undefined && from >= size) {
      throw new Failure(EXIT.usage, `there is no entry ${from}: the log has ${size}`)
    }
    const progress = output.progress('Auditing', size - (from ?? 0))
    const verifier = { anchors, backend: nodeBackend() }
    const context: AuditContext = { client, policy, verifier, http: source.http, progress }
    const report = await look(context, { from, state })
    progress.end()
    if (report.caught.length > 0) throw await accuse(session, origin, report, state)
    output.event({
      event: 'summary',
      origin,
      from: report.from,
      size,
      root: toBase64(root),
      entries: size - report.from,
      names: report.names ?? null,
      unchecked: report.unchecked,
    })
    output.line(verdictOf(origin, size, report))
    for (const text of report.unchecked) output.line(`not checked: ${text}`)
  } finally {
    await source.close()
  }
}

/** Audits in the way that was asked for, or that the size of the log asks for. */
export async function look(
  context: AuditContext,
  { from = 0, state }: AuditOptions,
  maxInMemory: number = MAX_IN_MEMORY,
): Promise<AuditReport> {
  if (state !== undefined) return auditResumed(context, state)
  if (from > 0) return auditFrom(context, from)
  if (context.client.pinned.checkpoint.size <= maxInMemory) return auditWhole(context)
  const folder = await mkdtemp(join(tmpdir(), 'dslog-audit-'))
  try {
    return await auditResumed(context, folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function verdictOf(origin: string, size: number, { from, names }: AuditReport): string {
  const all = counted(size, 'entry is', 'entries are')
  if (from === size) return `${origin}: nothing new since the last audit; ${all} good`
  const range = from === 0 ? `all ${all}` : `entries ${from} to ${size - 1} are`
  const map = names === undefined ? '' : `, and the name map of ${counted(names, 'key')} is theirs`
  return `${origin}: ${range} good: hashes, encoding, DNSSEC evidence${map}`
}

/** Shows and keeps what the log was caught at. */
async function accuse(
  { output }: Session,
  origin: string,
  { caught }: AuditReport,
  folder: string | undefined,
): Promise<Failure> {
  for (const [i, one] of caught.entries()) {
    const evidence = evidenceObject(origin, one)
    const { kind } = one.finding
    if (folder === undefined) {
      output.event({ event: 'misbehaviour', ...evidence })
      output.line(JSON.stringify(evidence, undefined, 2))
    } else {
      const file = join(folder, `evidence-${i + 1}-${kind}.json`)
      await writeFileAtomic(file, `${JSON.stringify(evidence, undefined, 2)}\n`)
      output.event({ event: 'misbehaviour', ...evidence, file })
      output.line(`${kind}: ${one.detail}; evidence: ${file}`)
    }
  }
  const { detail, finding } = caught.at(-1)!
  return new Failure(EXIT.unverified, `${origin} was caught: ${finding.kind}: ${detail}`)
}
