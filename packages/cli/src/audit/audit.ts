/**
 * What audits have in common: the tree they look at, how they end, and what a log that was caught is
 * shown with. Evidence is the monitor's (@dslog/monitor/evidence): who finds it does not matter.
 */
import { LogClient } from '@dslog/tlog/client'
import { TlogError } from '@dslog/tlog/error'
import type { HttpClient } from '@dslog/tlog/http'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import type { Policy, TrustedCheckpoint } from '@dslog/tlog/policy'
import { tilesBetween } from '@dslog/tlog/tile'
import { encodeFinding, type Finding } from '@dslog/monitor/evidence'
import type { Verifier } from '@dslog/verify/evidence'
import type { Progress } from '../progress.ts'

/** Tiles asked for at once. */
const TILES_AHEAD = 16

/** What an audit works with. */
export interface AuditContext {
  readonly client: PinnedClient
  readonly policy: Policy
  readonly verifier: Verifier
  readonly http: HttpClient
  readonly progress: Progress
}

/** Something that the log was caught at. */
export interface Caught {
  readonly finding: Finding
  readonly detail: string
  /** ms since the Unix epoch. */
  readonly foundAt: number
}

/** How an audit ended. */
export interface AuditReport {
  /** Entries [from, size) were looked at. */
  readonly from: number
  readonly size: number
  /** Keys of the replayed name map; `undefined` if it was not replayed. */
  readonly names: number | undefined
  readonly caught: readonly Caught[]
  /** What this audit left unchecked, one sentence each. */
  readonly unchecked: readonly string[]
}

/** A client for which the newest checkpoint stays the one it saw first: an audit is of one tree. */
export class PinnedClient extends LogClient {
  readonly #pinned: TrustedCheckpoint

  private constructor(url: string, policy: Policy, http: HttpClient, pinned: TrustedCheckpoint) {
    super(url, policy, http)
    this.#pinned = pinned
  }

  static async open(url: string, policy: Policy, http: HttpClient): Promise<PinnedClient> {
    const pinned = await new LogClient(url, policy, http).checkpoint()
    return new PinnedClient(url, policy, http, pinned)
  }

  get pinned(): TrustedCheckpoint {
    return this.#pinned
  }

  override async checkpoint(): Promise<TrustedCheckpoint> {
    return this.#pinned
  }
}

/**
 * Checks every tile that the tree has and that of `from` entries had not. Entries alone would not show a
 * full tile that is wrong: they are found by the hash above it.
 *
 * @throws MisbehaviourError `bad-tile`
 */
export async function checkTiles(client: PinnedClient, from: number): Promise<void> {
  const { note, checkpoint } = client.pinned
  if (from > checkpoint.size) return
  const reader = client.tree(client.pinned)
  const tiles = [...tilesBetween(from, checkpoint.size)]
  try {
    for (let at = 0; at < tiles.length; at += TILES_AHEAD) {
      const some = tiles.slice(at, at + TILES_AHEAD)
      await Promise.all(some.map(({ index, level, width }) => reader.tile(level, index, width)))
    }
  } catch (error) {
    if (!(error instanceof TlogError) || error.code !== 'bad-tile') throw error
    const evidence = { checkpoint: note, detail: error.message }
    throw new MisbehaviourError({ kind: 'bad-tile', evidence }, error.message, { cause: error })
  }
}

/** Evidence for whoever wants to check it, as an object to be written as JSON. */
export function evidenceObject(origin: string, { detail, finding, foundAt }: Caught): object {
  const evidence: unknown = JSON.parse(encodeFinding(finding))
  return { origin, kind: finding.kind, found_at: foundAt, detail, evidence }
}
