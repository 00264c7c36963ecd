/**
 * Messages as a name server writes them (RFC 1035 §4.1): names compressed where receivers must cope
 * with it (RFC 3597 §4), and room watched, so that who writes knows what does not fit.
 */
import { concat } from '@dslog/tlog/bytes'
import { MAX_NAME_BYTES, nameKey, ROOT, type Name } from '@dslog/dnssec/name'
import { TYPE, type RR } from '@dslog/dnssec/records'

/** The longest message (RFC 1035 §4.2.2: its length is a u16). */
export const MAX_MESSAGE_BYTES = 0xffff
/** Room for a record that turns out not to fit: the longest with names in its RDATA, uncompressed. */
const OVERRUN = 1024
/** Names beyond this offset cannot be pointed at (RFC 1035 §4.1.4). */
const MAX_POINTER = 0x3fff

/** Where names stand in RDATA that may be compressed: bytes before, names, the rest as it is. */
const COMPRESSED: ReadonlyMap<number, { readonly skip: number; readonly names: number }> = new Map([
  [TYPE.NS, { skip: 0, names: 1 }],
  [TYPE.CNAME, { skip: 0, names: 1 }],
  [TYPE.SOA, { skip: 0, names: 2 }],
  [TYPE.MX, { skip: 2, names: 1 }],
])

export type Section = 'answer' | 'authority' | 'additional'
const SECTIONS: readonly Section[] = ['answer', 'authority', 'additional']

/** One message in the making. */
export class Packet {
  /** Bytes that it may have. */
  #limit: number
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #names = new Map<string, number>()
  readonly #counts: Record<Section, number> = { answer: 0, authority: 0, additional: 0 }
  #end = 12

  /** @param limit bytes that it may have, without what `addReserved` adds */
  constructor(limit: number = MAX_MESSAGE_BYTES) {
    this.#limit = limit
    this.#bytes = new Uint8Array(limit + OVERRUN)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get length(): number {
    return this.#end
  }

  /** How many records it holds. */
  get records(): number {
    return SECTIONS.reduce((sum, section) => sum + this.#counts[section], 0)
  }

  /** The question, with its letters as they were sent. */
  question(name: Uint8Array, type: number, cls: number): void {
    this.#name(name)
    this.#u16(type)
    this.#u16(cls)
    this.#view.setUint16(4, 1)
  }

  /** Adds what room was kept for. */
  addReserved(section: Section, rr: RR): void {
    this.#limit = this.#bytes.length
    if (!this.add(section, rr)) throw new RangeError('no room was kept')
  }

  /** Adds a record at the end; false, and as if nothing had been, where it does not fit. */
  add(section: Section, { owner, type, class: cls, ttl, rdata }: RR): boolean {
    const start = this.#end
    if (start + MAX_NAME_BYTES + 10 + rdata.length > this.#bytes.length) return false
    this.#name(owner)
    this.#u16(type)
    this.#u16(cls)
    this.#u32(ttl)
    const length = this.#end
    this.#u16(0)
    this.#rdata(type, rdata)
    this.#view.setUint16(length, this.#end - length - 2)
    if (this.#end > this.#limit) {
      this.#end = start
      for (const [key, at] of this.#names) if (at >= start) this.#names.delete(key)
      return false
    }
    this.#counts[section]++
    return true
  }

  /** The message, as an array of its own. */
  finish(id: number, flags: number): Uint8Array {
    this.#view.setUint16(0, id)
    this.#view.setUint16(2, flags)
    for (const [i, section] of SECTIONS.entries()) {
      this.#view.setUint16(6 + 2 * i, this.#counts[section])
    }
    return this.#bytes.slice(0, this.#end)
  }

  #u16(value: number): void {
    this.#view.setUint16(this.#end, value)
    this.#end += 2
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#end, value)
    this.#end += 4
  }

  #copy(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** A name: as many labels as are new, then a pointer to where the rest stands already. */
  #name(name: Uint8Array): void {
    for (let at = 0; name[at] !== 0; at += 1 + name[at]!) {
      const key = nameKey(name.subarray(at) as Name)
      const known = this.#names.get(key)
      if (known !== undefined) {
        this.#u16(0xc000 + known)
        return
      }
      if (this.#end <= MAX_POINTER) this.#names.set(key, this.#end)
      this.#copy(name.subarray(at, at + 1 + name[at]!))
    }
    this.#copy(Uint8Array.of(0))
  }

  #rdata(type: number, rdata: Uint8Array): void {
    const layout = COMPRESSED.get(type)
    if (layout === undefined) {
      this.#copy(rdata)
      return
    }
    this.#copy(rdata.subarray(0, layout.skip))
    let at = layout.skip
    for (let i = 0; i < layout.names; i++) {
      const start = at
      while (rdata[at] !== 0) at += 1 + rdata[at]!
      at++
      this.#name(rdata.subarray(start, at))
    }
    this.#copy(rdata.subarray(at))
  }
}

/** A message on a stream, with its length before it (RFC 1035 §4.2.2). */
export function framed(message: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(message.length >> 8, message.length & 0xff), message)
}

/** An OPT record (RFC 6891 §6.1): what the server takes, and the upper bits of the code. */
export function optRecord(
  size: number,
  dnssecOk: boolean,
  rcode: number,
  rdata: Uint8Array = new Uint8Array(),
): RR {
  const ttl = (rcode >> 4) * 0x1000000 + (dnssecOk ? 0x8000 : 0)
  return { owner: ROOT, type: TYPE.OPT, class: size, ttl, rdata }
}
