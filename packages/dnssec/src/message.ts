/**
 * DNS messages as evidence (RFC 1035 §4): the header, and every record with its raw RDATA. Nothing is
 * decoded but names: owners, and those inside RDATA that a server may compress (RFC 3597 §4), which
 * are written out.
 *
 *     u16 id | u16 flags | 4 × u16 counts | question… | answer… | authority… | additional…
 *     question = name | u16 type | u16 class
 *     record   = name | u16 type | u16 class | u32 ttl | u16 length | RDATA
 */
import { ByteReader } from '@dslog/tlog/binary'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from './error.ts'
import { readName, type Name } from './name.ts'
import { TYPE, type RR } from './records.ts'
import { expandRdata } from './rrset.ts'

/** What was asked. */
export interface MessageQuestion {
  readonly name: Name
  readonly type: number
  readonly class: number
}

/** A message, its records in the order they came. */
export interface Message {
  readonly id: number
  /** The reply bit. */
  readonly qr: boolean
  readonly opcode: number
  readonly aa: boolean
  readonly tc: boolean
  readonly rd: boolean
  readonly ra: boolean
  readonly ad: boolean
  readonly cd: boolean
  /** With the upper bits of an OPT record (RFC 6891 §6.1.3). */
  readonly rcode: number
  readonly question: readonly MessageQuestion[]
  readonly answer: readonly RR[]
  readonly authority: readonly RR[]
  readonly additional: readonly RR[]
}

const FLAG = { QR: 0x8000, AA: 0x0400, TC: 0x0200, RD: 0x0100, RA: 0x0080, AD: 0x0020, CD: 0x0010 }

/** Response codes (RFC 1035 §4.1.1; NOTAUTH RFC 8945 §5.3, BADVERS RFC 6891 §9). */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  NOTAUTH: 9,
  BADVERS: 16,
} as const

/** Bytes of the header that every message begins with (RFC 1035 §4.1.1). */
export const HEADER_BYTES = 12

/** The pointer to what stands behind the header, nearly always the name that was asked for (RFC 1035 §4.1.4). */
const POINTER_TO_FIRST = 0xc000 + HEADER_BYTES

/** How to read a message. */
export interface ParseOptions {
  /**
   * RDATA are views of the message, which they keep alive: for who keeps both, or neither. Unless told they are copies,
   * which take as long to make and to collect as all else.
   */
  readonly views?: boolean
}

/** A reader that can also take a compressed name, which looks back at the whole message. */
class MessageReader {
  readonly #bytes: Uint8Array
  readonly #reader: ByteReader
  readonly #views: boolean
  /** The name that stands behind the header. */
  #first: Name | undefined

  constructor(bytes: Uint8Array, views: boolean) {
    this.#bytes = bytes
    this.#reader = new ByteReader(bytes)
    this.#views = views
  }

  u16(): number {
    return this.#reader.u16()
  }

  name(): Name {
    const bytes = this.#bytes
    const start = this.#reader.pos
    const pointer = bytes[start]! * 0x100 + bytes[start + 1]!
    if (pointer === POINTER_TO_FIRST && this.#first !== undefined) {
      this.#reader.skip(2)
      return this.#first
    }
    const { name, end } = readName(bytes, start)
    this.#reader.skip(end - start)
    this.#first ??= name
    return name
  }

  record(): RR {
    const owner = this.name()
    const type = this.#reader.u16()
    const cls = this.#reader.u16()
    const ttl = this.#reader.u32()
    const length = this.#reader.u16()
    const start = this.#reader.pos
    this.#reader.skip(length)
    const rdata = expandRdata(type, this.#bytes, start, start + length, this.#views)
    return { owner, type, class: cls, ttl, rdata }
  }

  many<T>(count: number, read: () => T): T[] {
    const list: T[] = []
    for (let i = 0; i < count; i++) list.push(read())
    return list
  }

  done(): void {
    this.#reader.done()
  }
}

/**
 * Reads a message. Refuses lengths that do not fit, names that do not end, trailing bytes and
 * a second OPT record.
 *
 * @throws DnssecError `bad-message`
 */
export function parseMessage(bytes: Uint8Array, { views = false }: ParseOptions = {}): Message {
  try {
    const reader = new MessageReader(bytes, views)
    const id = reader.u16()
    const flags = reader.u16()
    const questions = reader.u16()
    const answers = reader.u16()
    const authorities = reader.u16()
    const additionals = reader.u16()
    const question = reader.many(questions, () => {
      const name = reader.name()
      return { name, type: reader.u16(), class: reader.u16() }
    })
    const record = (): RR => reader.record()
    const answer = reader.many(answers, record)
    const authority = reader.many(authorities, record)
    const additional = reader.many(additionals, record)
    reader.done()
    const opt = additional.find((r) => r.type === TYPE.OPT)
    if (opt !== additional.findLast((r) => r.type === TYPE.OPT)) {
      throw new DnssecError('bad-message', 'more than one OPT record')
    }
    return {
      id,
      qr: (flags & FLAG.QR) !== 0,
      opcode: (flags >> 11) & 0xf,
      aa: (flags & FLAG.AA) !== 0,
      tc: (flags & FLAG.TC) !== 0,
      rd: (flags & FLAG.RD) !== 0,
      ra: (flags & FLAG.RA) !== 0,
      ad: (flags & FLAG.AD) !== 0,
      cd: (flags & FLAG.CD) !== 0,
      rcode: (opt ? Math.floor(opt.ttl / 0x1000000) * 16 : 0) + (flags & 0xf),
      question,
      answer,
      authority,
      additional,
    }
  } catch (cause) {
    if (!(cause instanceof DnssecError) && !(cause instanceof TlogError)) throw cause
    throw new DnssecError('bad-message', `malformed DNS message: ${cause.message}`, { cause })
  }
}
