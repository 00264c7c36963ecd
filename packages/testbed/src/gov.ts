/**
 * The real .gov, under keys of a test: what the registry published, put into the zone `gov.` of a small
 * internet. Whole files of three days, with all delegations; and each change of a DS in 928 days.
 *
 *     const gov = openGov(net)
 *     if (gov === undefined) return                    no data; a line says so
 *     gov.publish('2025-08-12')                        the zone, to be served, transferred, crawled
 *     for (const day of gov.days) gov.replay(day)      what changed, and the evidence of that day
 *
 * The data is read in place, below the folder of DSLOG_TEST_DATA; its README says where it is from.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { nameFromText, sameName, type Name } from '@dslog/dnssec/name'
import { rdataFromText } from '@dslog/dnssec/rdata'
import { TYPE, type RR } from '@dslog/dnssec/records'
import { parseZoneFile } from '@dslog/dnssec/zonefile'
import { SHARED, sharedPath } from './shareddata.ts'
import type { Authority, Internet } from './internet.ts'

/** Days whose whole files are there: 57 names went insecure from the first to the second. */
export const GOV_FILES = ['2025-08-12', '2025-08-13', '2026-08-22'] as const
export type GovFile = (typeof GOV_FILES)[number]

/** A change of the DS of a name, from one version that the registry published to the next. */
export interface GovChange {
  readonly owner: Name
  readonly change: 'added' | 'removed' | 'replaced'
  /** RDATA of the DS RRset before and after. */
  readonly old: readonly Uint8Array[]
  readonly ds: readonly Uint8Array[]
  /** Is the name still delegated? */
  readonly isDelegated: boolean
}

/** All changes of a version; in the first, every name that had a DS is added. */
export interface GovDay {
  /** It went back once, when an old file was published again. */
  readonly serial: string
  /** When it was published, ms since the epoch. */
  readonly at: number
  readonly changes: readonly GovChange[]
}

/** A change, and what a validator needs to believe it. */
export interface GovEvidence extends GovChange {
  readonly evidence: readonly RR[]
}

/** Lines of the files of JSON lines. */
interface BaselineLine {
  readonly serial: string
  readonly zone: string
  readonly ds: readonly string[]
}
interface ChangeLine {
  readonly date: string
  readonly to_serial: string
  readonly zone: string
  readonly change: GovChange['change']
  readonly old: readonly string[]
  readonly new: readonly string[]
  readonly delegated_after: boolean
}

const FOLDER = join(SHARED, 'data/gov')

/** Adds `gov.` to an internet; undefined (and a line that says so) where the data is not there. */
export function openGov(net: Internet): Gov | undefined {
  return sharedPath('data/gov') === undefined ? undefined : new Gov(net)
}

/** The zone `gov.` and its history. */
export class Gov {
  /** Who signs and serves it, with opt-out as the registry does. */
  readonly authority: Authority
  readonly #net: Internet
  #days: readonly GovDay[] | undefined

  /** Made by `openGov`. */
  constructor(net: Internet) {
    this.#net = net
    this.authority = net.addZone('gov.', { denial: { nsec3: { optOut: true } } })
  }

  /** Versions in which a DS changed, oldest first. */
  get days(): readonly GovDay[] {
    this.#days ??= readDays()
    return this.#days
  }

  /** The DS RRsets after all days: each name that has one, as text. */
  final(): Map<string, readonly Uint8Array[]> {
    const lines = jsonLines<BaselineLine>('gov-2023-2026.final.jsonl.gz')
    return new Map(lines.map(({ ds, zone }) => [zone, ds.map(dsFromText)]))
  }

  /**
   * Puts the whole file of a day into the zone, in place of what was in it: delegations, DS, glue.
   * Of these names none has a server here.
   */
  publish(file: GovFile): void {
    const { name } = this.authority
    const records = parseZoneFile(readText(`gov-${file}.txt.gz`), { origin: name })
    this.authority.replace(records.filter(({ owner }) => !sameName(owner, name)))
  }

  /**
   * The changes of a day with their evidence, at the time of that day, to which the clock is set. The
   * zone has for it those names alone: that costs milliseconds, and proves as much about each of them.
   */
  replay({ at, changes }: GovDay): GovEvidence[] {
    this.#net.clock.set(at)
    this.authority.replace([])
    for (const { ds, isDelegated, owner } of changes) {
      if (isDelegated) this.authority.delegate(owner, ds)
    }
    return changes.map((change) => ({ ...change, evidence: this.#net.evidence(change.owner) }))
  }
}

function readDays(): GovDay[] {
  const days = new Map<string, { serial: string; at: number; changes: GovChange[] }>()
  const put = (date: string, serial: string, change: GovChange): void => {
    const day = days.get(date) ?? { serial, at: Date.parse(date), changes: [] }
    day.changes.push(change)
    days.set(date, day)
  }
  const [first] = jsonLines<{ readonly date: string }>('gov-2023-2026.versions.jsonl.gz')
  for (const { ds, serial, zone } of jsonLines<BaselineLine>('gov-2023-2026.baseline.jsonl.gz')) {
    const owner = nameFromText(zone)
    const rdatas = ds.map(dsFromText)
    put(first!.date, serial, { owner, change: 'added', old: [], ds: rdatas, isDelegated: true })
  }
  for (const line of jsonLines<ChangeLine>('gov-2023-2026.changes.jsonl.gz')) {
    put(line.date, line.to_serial, {
      owner: nameFromText(line.zone),
      change: line.change,
      old: line.old.map(dsFromText),
      ds: line.new.map(dsFromText),
      isDelegated: line.delegated_after,
    })
  }
  return [...days.values()]
}

function dsFromText(text: string): Uint8Array {
  return rdataFromText(TYPE.DS, text)
}

function readText(file: string): string {
  return gunzipSync(readFileSync(join(FOLDER, file))).toString()
}

function jsonLines<T>(file: string): T[] {
  const lines = readText(file).split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T)
}
