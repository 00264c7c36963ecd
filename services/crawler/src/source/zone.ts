/**
 * A whole signed zone, from a transfer or a file: every signature in it is verified and its chain of
 * denial must be closed (@dslog/dnssec/zone) before any of it is used. What differs from the log is
 * submitted with the zone's own records as evidence: nothing has to be asked.
 */
import { fromBase64 } from '@dslog/tlog/bytes'
import type { Anchor } from '@dslog/dnssec/anchors'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { DnssecError } from '@dslog/dnssec/error'
import { labelCount, type Name, nameToText } from '@dslog/dnssec/name'
import { type RR, TYPE } from '@dslog/dnssec/records'
import { recordsOf } from '@dslog/dnssec/rrset'
import { type SignedZone, verifyZone } from '@dslog/dnssec/zone'
import { decodeEntry } from '@dslog/schema/entry'
import type { Clock } from '@dslog/service/clock'
import type { Logger } from '@dslog/service/log'
import type { LogApi } from '@dslog/service/logapi'
import { diffZone, observationsOf } from '@dslog/verify/zonediff'
import type { Frontier } from '../frontier.ts'
import type { Counters } from '../metrics.ts'
import { nextDue, Source, TaskKind, Tier } from '../schedule.ts'
import type { Submitter } from '../submit.ts'
import { SourceError } from './source.ts'

/** What a zone that was taken over brought. */
export interface TakenZone {
  readonly zone: Name
  readonly serial: number
  readonly signed: number
  readonly changes: number
  /** Changes that the log refused. */
  readonly refused: number
}

export interface ZoneTakerOptions {
  readonly api: LogApi
  readonly submitter: Submitter
  readonly frontier: Frontier
  readonly anchors: readonly Anchor[]
  readonly counters: Counters
  /** Whether delegations without DS records are asked for too. */
  readonly delegations: boolean
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
}

/** Takes zones over. */
export class ZoneTaker {
  readonly #options: ZoneTakerOptions

  constructor(options: ZoneTakerOptions) {
    this.#options = options
  }

  /**
   * Verifies a zone and submits what differs from the log.
   *
   * @throws SourceError `refused` for a zone that is not whole and well signed now
   */
  async take(apex: Name, records: readonly RR[], signal: AbortSignal): Promise<TakenZone> {
    const { api, clock, logger, submitter } = this.#options
    const link = await this.#link(apex, signal)
    const zone = await this.#verify(apex, records, link)
    // Each DS and each denial is signed by this zone, and nothing was left out.

    const known = await api.states(apex, signal)
    const changes = proven(() => diffZone(zone, known))
    const at = clock()
    const observations = observationsOf(zone, link, changes)
    const results = await submitter.submitAll(observations)
    const refused = results.filter(({ status }) => status === 'refused')
    for (const { status } of results) this.#options.counters.submitted(status)
    if (refused.length > 0) {
      const [{ detail, reason } = {}] = refused
      const zoneText = nameToText(apex)
      logger.warn({ zone: zoneText, refused: refused.length, reason, detail }, 'the log refused')
    }
    await this.#addNames(zone, records, at)
    return {
      zone: apex,
      serial: zone.serial,
      signed: zone.delegations.length,
      changes: changes.length,
      refused: refused.length,
    }
  }

  /** The DS records that the keys of the zone hang from, as the log has them. */
  async #link(apex: Name, signal: AbortSignal): Promise<RR[]> {
    if (labelCount(apex) === 0) return []
    const { history } = await this.#options.api.name(apex, signal)
    const entries = history.map(({ raw }) => decodeEntry(fromBase64(raw)))
    const latest = entries.findLast((entry) => 'outOfOrder' in entry && !entry.outOfOrder)
    if (latest?.type === 'ds') return recordsOf(apex, TYPE.DS, latest.ds, latest.rrsig)
    throw new SourceError('refused', `the log holds no DS of ${nameToText(apex)} yet`)
  }

  async #verify(apex: Name, records: readonly RR[], link: readonly RR[]): Promise<SignedZone> {
    const { anchors, clock } = this.#options
    const ds = link.filter(({ type }) => type === TYPE.DS).map(({ rdata }) => rdata)
    try {
      return await verifyZone({
        records,
        zone: apex,
        trust: labelCount(apex) === 0 ? { anchors } : { ds },
        at: clock(),
        backend: nodeBackend(),
      })
    } catch (cause) {
      throw refusal(cause)
    }
  }

  /** What a zone delegates is asked for, if that is wanted; what is signed is the log's to name. */
  async #addNames(zone: SignedZone, records: readonly RR[], now: number): Promise<void> {
    const { delegations, frontier, random } = this.#options
    const task = { kind: TaskKind.keys, tier: Tier.keys, due: now, source: Source.zone }
    await frontier.add([{ name: zone.zone, ...task }])
    if (!delegations) return
    const signed = new Set(zone.delegations.map(({ owner }) => nameToText(owner)))
    const names = new Map<string, Name>()
    for (const { owner, type } of records) {
      const text = nameToText(owner)
      if (type === TYPE.NS && zone.isDelegated(owner) && !signed.has(text)) names.set(text, owner)
    }
    await frontier.add(
      [...names.values()].map((name) => ({
        name,
        kind: TaskKind.poll,
        tier: Tier.other,
        // The zone has just said that there is no DS.
        due: nextDue(Tier.other, now, random()),
        source: Source.zone,
      })),
    )
  }
}

/** Runs what reads a zone; its faults are the source's. */
export function proven<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw refusal(cause)
  }
}

/** A fault of a zone, as one of its source; others as they are. */
export function refusal(cause: unknown): unknown {
  if (!(cause instanceof DnssecError)) return cause
  return new SourceError('refused', cause.message, { cause })
}
