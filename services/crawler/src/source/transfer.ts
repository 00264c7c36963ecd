/**
 * Zones by transfer (AXFR), from servers that give it to us. First the serial is asked for, so that a zone
 * that has not changed is not sent; a zone comes whole or not at all, and is verified before it is used.
 * A server that fails is left for the next one; if none gives the zone, that is tried again later.
 */
import { sql } from 'kysely'
import { wellFormed } from '@dslog/dnssec/error'
import { type Name, nameKey, nameToText, sameName } from '@dslog/dnssec/name'
import { parseSoaNumbers, type RR, TYPE } from '@dslog/dnssec/records'
import { ResolverError } from '@dslog/resolver/error'
import type { Server } from '@dslog/resolver/exchange'
import { TSIG_ALGORITHMS, type TsigKey } from '@dslog/resolver/tsig'
import type { CrawlerTables } from '@dslog/schema/crawlerdb'
import type { Clock } from '@dslog/service/clock'
import type { Database } from '@dslog/service/db'
import type { CrawlerConfig } from '../config.ts'
import { CrawlerError } from '../error.ts'
import { configuredName } from '../name.ts'
import { SourceError, type SourceTable } from './source.ts'
import type { ZoneTaker } from './zone.ts'

/** A zone and one server that may give it. */
export interface TransferPlace {
  readonly zone: Name
  /** Address or name. */
  readonly host: string
  readonly port: number | undefined
  readonly key: TsigKey | undefined
}

/** How zones are fetched. */
export interface TransferEdges {
  /** The serial of a zone at a server. */
  serial(server: Server, zone: Name, signal: AbortSignal): Promise<number>
  /** All records of a zone. Throws ResolverError. */
  transfer(server: Server, zone: Name, key: TsigKey | undefined, signal: AbortSignal): Promise<RR[]>
  /** Addresses of a host. */
  lookup(host: string): Promise<string[]>
}

export interface TransferOptions {
  readonly db: Database<CrawlerTables>
  readonly table: SourceTable
  readonly taker: ZoneTaker
  readonly edges: TransferEdges
  readonly clock: Clock
}

/** A zone that is fetched again and again. */
export class ZoneTransfer {
  readonly id: string
  readonly #zone: Name
  readonly #places: readonly TransferPlace[]
  readonly #options: TransferOptions

  /** @param places at least one, all of one zone */
  constructor(places: readonly TransferPlace[], options: TransferOptions) {
    this.#places = places
    this.#zone = places[0]!.zone
    this.id = `axfr:${nameToText(this.#zone)}`
    this.#options = options
  }

  /**
   * Fetches the zone if its serial is another than that of the last one.
   *
   * @returns whether it was
   * @throws SourceError
   */
  async read(signal: AbortSignal): Promise<boolean> {
    const faults: string[] = []
    let refused: unknown
    for (const place of this.#places) {
      try {
        return await this.#readFrom(place, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (error instanceof SourceError && error.code === 'refused') refused = error
        else if (!(error instanceof ResolverError) && !(error instanceof SourceError)) throw error
        faults.push(`${place.host}: ${error.message}`)
      }
    }
    const code = refused === undefined ? 'unreachable' : 'refused'
    throw new SourceError(code, faults.join('; '), { cause: refused })
  }

  async #readFrom({ host, key, port }: TransferPlace, signal: AbortSignal): Promise<boolean> {
    const { clock, db, edges, table, taker } = this.#options
    const [address] = await edges.lookup(host)
    if (address === undefined) throw new SourceError('unreachable', 'has no address')
    const server = port === undefined ? { address } : { address, port }
    const serial = await edges.serial(server, this.#zone, signal)
    const row = await table.get(this.id)
    if (row?.version === String(serial)) return false
    const records = await edges.transfer(server, this.#zone, key, signal)
    const taken = await taker.take(this.#zone, records, signal)
    const now = clock()
    // What the log refused may do next time: then the zone is not taken over yet.
    const version = taken.refused > 0 ? null : String(taken.serial)
    await table.taken(this.id, version, taken.signed, now)
    await sql`
      insert into zone_status (name, seen_at, serial, transferred_at)
      values (${this.#zone}, ${now}::int8, ${taken.serial}, ${now}::int8)
      on conflict (name) do update set seen_at = excluded.seen_at, serial = excluded.serial,
        transferred_at = excluded.transferred_at`.execute(db.kysely)
    return true
  }
}

/** The serial in an SOA record. */
export function serialOf(records: readonly RR[], zone: Name): number {
  const soa = records.find(({ owner, type }) => type === TYPE.SOA && sameName(owner, zone))
  const serial = soa && wellFormed(() => parseSoaNumbers(soa.rdata).serial)
  if (serial !== undefined) return serial
  throw new SourceError('unreachable', `no SOA of ${nameToText(zone)}`)
}

/**
 * The zones that are configured to be transferred, each with the places that may give it.
 *
 * @throws CrawlerError for what cannot be meant
 */
export function configuredTransfers({
  transfers,
  tsig,
}: Pick<CrawlerConfig, 'transfers' | 'tsig'>): TransferPlace[][] {
  const keys = parseKeys(tsig?.reveal() ?? '')
  const zones = new Map<string, TransferPlace[]>()
  for (const text of transfers) {
    if (text === 'none') continue
    const place = parsePlace(text, keys)
    const key = nameKey(place.zone)
    zones.set(key, [...(zones.get(key) ?? []), place])
  }
  return [...zones.values()]
}

/** Reads `ZONE@SERVER`, with `:PORT` and `#KEY` at its end. */
export function parsePlace(text: string, keys: readonly TsigKey[]): TransferPlace {
  const where = `transfer ${text}`
  const bad = (why: string): CrawlerError => new CrawlerError('source', `${where}: ${why}`)
  const [, zone, at, keyName] = /^([^@\s]+)@([^#\s]+)(?:#(\S+))?$/.exec(text) ?? []
  if (zone === undefined || at === undefined) throw bad('not ZONE@SERVER')
  const [, six, plain, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*))(?::(\d{1,5}))?$/.exec(
      at,
    ) ?? []
  const host = six ?? plain
  if (host === undefined || Number(port ?? 1) > 65_535 || Number(port ?? 1) < 1) {
    throw bad('no such server')
  }
  const wanted = keyName === undefined ? undefined : configuredName(keyName, 'source', where)
  const key = keys.find(({ name }) => wanted !== undefined && sameName(name, wanted))
  if (keyName !== undefined && key === undefined) throw bad(`no key ${keyName}`)
  return {
    zone: configuredName(zone, 'source', where),
    host,
    port: port === undefined ? undefined : Number(port),
    key,
  }
}

/** Reads `NAME:ALGORITHM:BASE64`, between commas. */
export function parseKeys(text: string): TsigKey[] {
  return text
    .split(',')
    .filter((item) => item.trim() !== '')
    .map((item) => {
      const [name, algorithm, secret, ...more] = item.trim().split(':')
      if (
        name === undefined ||
        algorithm === undefined ||
        secret === undefined ||
        more.length > 0
      ) {
        throw new CrawlerError('source', 'a key for transfers is NAME:ALGORITHM:BASE64')
      }
      if (!TSIG_ALGORITHMS.includes(algorithm)) {
        throw new CrawlerError('source', `key ${name}: no algorithm ${algorithm}`)
      }
      const bytes = Buffer.from(secret, 'base64')
      if (bytes.length === 0) throw new CrawlerError('source', `key ${name} has no secret`)
      const keyName = configuredName(name, 'source', `key ${name} for transfers`)
      return { name: keyName, algorithm, secret: new Uint8Array(bytes) }
    })
}
