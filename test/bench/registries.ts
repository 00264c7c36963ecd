/**
 * Registries of made-up names for a foreign name server: a root, top-level domains of some thousands of names each,
 * every name with a DS, P-256 and NSEC throughout. A name's DS can be changed, and is then signed anew, it alone: so a
 * zone of any size is published again in no time, as master file.
 */
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText, ROOT } from '@dslog/dnssec/name'
import { rdataFromText, rdataToText, typeFromText } from '@dslog/dnssec/rdata'
import { TYPE } from '@dslog/dnssec/records'
import { rrset } from '@dslog/dnssec/rrset'
import type { SignatureWindow } from '@dslog/dnssec/rrsig'
import { DAY, HOUR } from '@dslog/schema/time'
import { dsOf, KSK, ZSK, type ZoneKey, zoneKey } from '@dslog/testbed/key'
import type { ZoneFile } from '@dslog/testbed/realserver'
import { signRRset, signZone } from '@dslog/testbed/signer'

const TTL = 3600
/** Digits of a name's number: so the order of numbers is the canonical one. */
const DIGITS = 8
/** How long signatures are valid, ms. */
const VALIDITY = 30 * DAY

/** A key-signing and a zone-signing key of a zone, the same each time. */
function keysOf(zone: string): readonly [ZoneKey, ZoneKey] {
  const key = (flags: number): ZoneKey =>
    zoneKey({ algorithm: ALGORITHM.ECDSAP256SHA256, flags, seed: `registry ${zone} ${flags}` })
  return [key(KSK), key(ZSK)]
}

/** The window of signatures that are made at a time, ms. */
function windowAt(time: number): SignatureWindow {
  return {
    inception: Math.floor((time - HOUR) / 1000),
    expiration: Math.floor((time + VALIDITY) / 1000),
  }
}

/** One top-level domain. */
class Registry {
  readonly name: Name
  readonly #text: string
  readonly #keys: readonly [ZoneKey, ZoneKey]
  /** Everything but the SOA: the apex, then each name. */
  readonly #apex: string
  readonly #names: string[]
  #serial = 0

  constructor(text: string, names: number, at: number) {
    this.#text = text
    this.name = nameFromText(text)
    this.#keys = keysOf(text)
    const first = names === 0 ? text : this.owner(0)
    const ns = `ns.${text}`
    this.#apex = [
      this.#signed(text, 'NS', [ns], at),
      ...this.#keys.map(({ rdata }) => line(text, 'DNSKEY', rdataToText(TYPE.DNSKEY, rdata))),
      this.#signature(
        text,
        'DNSKEY',
        this.#keys.map(({ rdata }) => rdata),
        this.#keys[0],
        at,
      ),
      this.#signed(text, 'NSEC', [`${first} NS SOA RRSIG NSEC DNSKEY`], at),
      // Behind all names: `ns` is the last in canonical order.
      this.#signed(ns, 'A', ['127.0.0.1'], at),
      this.#signed(ns, 'NSEC', [`${text} A RRSIG NSEC`], at),
    ].join('\n')
    this.#names = Array.from({ length: names }, (_, i) => {
      const next = i + 1 < names ? this.owner(i + 1) : ns
      const owner = this.owner(i)
      const denial = this.#signed(owner, 'NSEC', [`${next} NS DS RRSIG NSEC`], at)
      return `${line(owner, 'NS', ns)}\n${denial}\n${this.#delegation(i, 0, at)}`
    })
  }

  /** DS records for its key. */
  get ds(): string {
    return rdataToText(TYPE.DS, dsOf(this.name, this.#keys[0]))
  }

  owner(index: number): string {
    return `n${String(index).padStart(DIGITS, '0')}.${this.#text}`
  }

  change(index: number, version: number, at: number): void {
    const lines = this.#names[index]!.split('\n')
    // The DS and its signature come last.
    this.#names[index] = [...lines.slice(0, -2), this.#delegation(index, version, at)].join('\n')
  }

  file(at: number): ZoneFile {
    const serial = ++this.#serial
    const soa = `ns.${this.#text} h.${this.#text} ${serial} 1800 900 604800 ${TTL}`
    const text = [this.#signed(this.#text, 'SOA', [soa], at), this.#apex, ...this.#names, '']
    return { name: this.name, text: text.join('\n'), serial }
  }

  #delegation(index: number, version: number, at: number): string {
    return this.#signed(this.owner(index), 'DS', [dsText(index, version)], at)
  }

  /** Records and the signature of the zone's key, a line each. */
  #signed(owner: string, type: string, rdata: readonly string[], at: number): string {
    const number = typeFromText(type)!
    const wire = rdata.map((text) => rdataFromText(number, text))
    const lines = rdata.map((text) => line(owner, type, text))
    return [...lines, this.#signature(owner, type, wire, this.#keys[1], at)].join('\n')
  }

  #signature(
    owner: string,
    type: string,
    rdata: readonly Uint8Array[],
    key: ZoneKey,
    at: number,
  ): string {
    const set = rrset(nameFromText(owner), typeFromText(type)!, rdata)
    const rrsig = signRRset(set, TTL, key, this.name, windowAt(at))
    return line(owner, 'RRSIG', rdataToText(TYPE.RRSIG, rrsig))
  }
}

/** See the head of this file. */
export class Registries {
  readonly rootKey: ZoneKey = keysOf('.')[0]
  readonly #zones: readonly Registry[]
  readonly #perZone: number
  readonly #begun: number

  /** @param begun when everything is signed first, ms since the Unix epoch */
  constructor(names: number, perZone: number, begun: number) {
    this.#perZone = perZone
    this.#begun = begun
    this.#zones = Array.from({ length: Math.ceil(names / perZone) }, (_, i) => {
      return new Registry(`zone${i}.`, Math.min(perZone, names - i * perZone), begun)
    })
  }

  get zones(): number {
    return this.#zones.length
  }

  /** The root, and every zone below it, as they are now. */
  *files(): Generator<ZoneFile> {
    yield this.#root()
    for (const zone of this.#zones) yield zone.file(this.#begun)
  }

  /** The zone that a name is in. */
  zoneOf(index: number): number {
    return Math.floor(index / this.#perZone)
  }

  owner(index: number): string {
    return this.#zones[this.zoneOf(index)]!.owner(index % this.#perZone)
  }

  /** Gives names of one zone their next DS, and publishes it. */
  publish(zone: number, changed: ReadonlyMap<number, number>, at: number): ZoneFile {
    const registry = this.#zones[zone]!
    for (const [index, version] of changed) registry.change(index % this.#perZone, version, at)
    return registry.file(at)
  }

  #root(): ZoneFile {
    const lines = [line('.', 'SOA', `ns. h. 1 1800 900 604800 ${TTL}`), line('.', 'NS', 'ns.')]
    lines.push(line('ns.', 'A', '127.0.0.1'))
    for (const [i, { ds }] of this.#zones.entries()) {
      const name = `zone${i}.`
      lines.push(line(name, 'NS', `ns.${name}`), line(`ns.${name}`, 'A', '127.0.0.1'))
      lines.push(line(name, 'DS', ds))
    }
    const window = windowAt(this.#begun)
    const records = `${lines.join('\n')}\n`
    const zone = signZone({ origin: ROOT, records, keys: keysOf('.'), denial: 'nsec', window })
    return { name: ROOT, text: zone.toText(), serial: 1 }
  }
}

/** The `version`-th DS of a name, in presentation form. */
function dsText(index: number, version: number): string {
  const digest = (index * 1_000 + version + 1).toString(16).padStart(64, '0').toUpperCase()
  return `${index % 65_536} 13 2 ${digest}`
}

function line(owner: string, type: string, rdata: string): string {
  return `${owner} ${TTL} IN ${type} ${rdata}`
}
