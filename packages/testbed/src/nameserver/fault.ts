/**
 * What can be wrong with a name server, each switched on and off while it runs. Some change what is
 * said, some the message that says it, some whether and from where it arrives.
 */
import { randomBytes } from 'node:crypto'
import { RCODE } from '@dslog/dnssec/message'
import { labelCount, nameFromText, ROOT } from '@dslog/dnssec/name'
import { CLASS_IN, TYPE, type RR } from '@dslog/dnssec/records'
import { bare, type Content } from './responder.ts'
import type { Query } from './query.ts'
import type { Question, Transport } from './question.ts'

/** What is wrong. */
export type Fault =
  // --- what is said ---
  | 'servfail'
  | 'refused'
  /** The right answer, but without AA: the server was once told of the zone, and has it no more. */
  | 'not-authoritative'
  /** A referral to the root, for whatever it is asked. */
  | 'upward-referral'
  /** Signatures that do not verify. */
  | 'forged-signatures'
  /** No signatures, whoever asks. */
  | 'no-signatures'
  /** Other DS records under the signatures of the right ones. */
  | 'forged-ds'
  /** Signatures over NSEC and NSEC3 that do not verify: a large TLD served such for hours in May 2026. */
  | 'bad-denial'
  /** Beside each NSEC and NSEC3 more of them, at other names: resolvers look past what proves nothing. */
  | 'padded-denial'
  /** Beside what is said a signature over nothing, by the zone that would be at the name asked about. */
  | 'alien-signature'
  /** What does not exist does not, and no record shows it. */
  | 'no-denial'
  // --- the message ---
  | 'wrong-id'
  | 'wrong-question'
  /** The question in lower-case letters, however it was asked. */
  | 'wrong-case'
  /** TC, by UDP, whatever the size. */
  | 'truncated'
  /** More bytes than there may be: by UDP than the client takes, by TCP than the length before them can say. */
  | 'oversized'
  /** Hundreds of records that nobody asked for; by UDP there is seldom room for them. */
  | 'padded'
  /** Only the first half of the message. */
  | 'half'
  /** The right id, and random bytes. */
  | 'garbage'
  // --- its way ---
  | 'drop'
  /** Each message twice. */
  | 'twice'
  /** From an address that was not asked, by UDP. */
  | 'wrong-source'
  /** By TCP, the connection is closed in the middle of the last message. */
  | 'tcp-closes'
  /** A connection is accepted and closed at once. */
  | 'tcp-refuses'
  /** Ms until the answer is sent. */
  | { readonly delay: number }
  /** Questions answered in a second of the clock; those beyond are dropped. */
  | { readonly perSecond: number }

/** When a fault shows; always, unless told. */
export interface FaultOptions {
  readonly transport?: Transport
  /** Which questions. */
  readonly when?: (question: Question) => boolean
  /** How often, then never again. */
  readonly times?: number
}

type Name = Exclude<Fault, object>

/** A question that no client of a test asks. */
const OTHER_QUESTION = nameFromText('another.question.example.')
/** What an upward referral says. */
const ROOT_NS: RR = {
  owner: ROOT,
  type: TYPE.NS,
  class: CLASS_IN,
  ttl: 3600,
  rdata: nameFromText('a.root-servers.net.'),
}
/** Records that make a message oversized, and the bytes of each. */
const OVERSIZE = { udp: 1, tcp: 9, bytes: 8192 } as const
/** More than anybody has to try for one proof. */
const PADDING_DENIALS = 17
/** The smallest there are: two such answers are more than a log takes for one observation. */
const PADDING_RECORDS = 280

function map(content: Content, change: (rr: RR) => readonly RR[]): Content {
  return {
    ...content,
    answer: content.answer.flatMap(change),
    authority: content.authority.flatMap(change),
  }
}

function flipped(rr: RR): RR {
  const rdata = rr.rdata.slice()
  rdata[rdata.length - 1]! ^= 1
  return { ...rr, rdata }
}

function covers(rr: RR, types: readonly number[]): boolean {
  return rr.type === TYPE.RRSIG && types.includes(rr.rdata[0]! * 256 + rr.rdata[1]!)
}

const DENIAL: readonly number[] = [TYPE.NSEC, TYPE.NSEC3]

type ContentChange = (content: Content, query: Query, transport: Transport) => Content

/** How faults change what is said. */
const CONTENT: ReadonlyMap<Fault, ContentChange> = new Map<Name, ContentChange>([
  ['servfail', () => bare(RCODE.SERVFAIL)],
  ['refused', () => bare(RCODE.REFUSED)],
  ['not-authoritative', (content) => ({ ...content, authoritative: false })],
  ['upward-referral', () => ({ ...bare(RCODE.NOERROR), authority: [ROOT_NS] })],
  [
    'forged-signatures',
    (content) => map(content, (rr) => [rr.type === TYPE.RRSIG ? flipped(rr) : rr]),
  ],
  ['no-signatures', (content) => map(content, (rr) => (rr.type === TYPE.RRSIG ? [] : [rr]))],
  ['forged-ds', (content) => map(content, (rr) => [rr.type === TYPE.DS ? flipped(rr) : rr])],
  ['bad-denial', (content) => map(content, (rr) => [covers(rr, DENIAL) ? flipped(rr) : rr])],
  [
    'padded-denial',
    (content) => map(content, (rr) => [rr, ...(DENIAL.includes(rr.type) ? elsewhere(rr) : [])]),
  ],
  [
    'no-denial',
    (content) => map(content, (rr) => (DENIAL.includes(rr.type) || covers(rr, DENIAL) ? [] : [rr])),
  ],
  [
    'alien-signature',
    (content, { name }) => {
      const rdata = new Uint8Array([...alienFields(name), ...name, 1, 2, 3])
      const alien = { owner: name, type: TYPE.RRSIG, class: CLASS_IN, ttl: 0, rdata }
      return { ...content, authority: [alien, ...content.authority] }
    },
  ],
  [
    'oversized',
    (content, { name }, transport) => {
      const padding = texts(name, OVERSIZE[transport], OVERSIZE.bytes)
      return { ...content, additional: [...content.additional, ...padding] }
    },
  ],
  [
    'padded',
    (content) => {
      return { ...content, authority: [...content.authority, ...texts(ROOT, PADDING_RECORDS, 1)] }
    },
  ],
])

/** The same record at names below its own. */
function elsewhere(rr: RR): RR[] {
  return Array.from({ length: PADDING_DENIALS }, (_, i) => {
    return { ...rr, owner: nameFromText(`n${i}`, rr.owner) }
  })
}

/** RRSIG RDATA before the signer: over TXT, by algorithm 13, of times that are long gone. */
function alienFields(name: RR['owner']): Uint8Array {
  const labels = labelCount(name)
  return Uint8Array.of(0, TYPE.TXT, 13, labels, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 7)
}

/** TXT records of character strings, in each together so many bytes. */
function texts(owner: RR['owner'], count: number, bytes: number): RR[] {
  const text = new Uint8Array(256).fill(0x78)
  text[0] = Math.min(bytes - 1, 255)
  const rdata = new Uint8Array(bytes).map((_, i) => text[i % 256]!)
  return Array.from({ length: count }, () => {
    return { owner, type: TYPE.TXT, class: CLASS_IN, ttl: 0, rdata }
  })
}

/** How faults change the message. */
const MESSAGE: ReadonlyMap<Fault, (message: Uint8Array) => Uint8Array> = new Map<
  Name,
  (message: Uint8Array) => Uint8Array
>([
  ['wrong-id', (message) => Uint8Array.from(message, (byte, i) => (i === 0 ? byte ^ 0x55 : byte))],
  ['half', (message) => message.subarray(0, message.length >> 1)],
  [
    'garbage',
    (message) => {
      const bytes = new Uint8Array(randomBytes(message.length))
      bytes.set(message.subarray(0, 2))
      return bytes
    },
  ],
])

interface Injected {
  readonly fault: Fault
  readonly options: FaultOptions
  left: number
}

/** The faults of one server. */
export class Faults {
  #injected: Injected[] = []
  /** The second it is, and how many questions came in it. */
  #second = { at: 0, asked: 0 }

  /** Switches a fault on; what it gives back switches it off. */
  inject(fault: Fault, options: FaultOptions = {}): () => void {
    const injected = { fault, options, left: options.times ?? Number.POSITIVE_INFINITY }
    this.#injected.push(injected)
    return () => {
      this.#injected = this.#injected.filter((each) => each !== injected)
    }
  }

  /** Switches all off. */
  heal(): void {
    this.#injected = []
  }

  /** Is a new connection closed at once? There is no question yet that could decide it. */
  refusesTcp(): boolean {
    return this.#injected.some(({ fault }) => fault === 'tcp-refuses')
  }

  /** Those that show at a question. */
  at(question: Question): ActiveFaults {
    const shown = this.#injected.filter(
      ({ left, options: { transport, when } }) =>
        left > 0 &&
        (transport === undefined || transport === question.client.transport) &&
        (when === undefined || when(question)),
    )
    for (const injected of shown) injected.left--
    const second = Math.floor(question.at / 1000)
    const asked = this.#second.at === second ? this.#second.asked + 1 : 1
    this.#second = { at: second, asked }
    return new ActiveFaults(
      shown.map(({ fault }) => fault),
      asked,
    )
  }
}

/** Faults that show at one question. */
export class ActiveFaults {
  readonly #faults: readonly Fault[]
  readonly #asked: number

  /** @param asked how many questions came in this second */
  constructor(faults: readonly Fault[], asked: number) {
    this.#faults = faults
    this.#asked = asked
  }

  has(fault: Name): boolean {
    return this.#faults.includes(fault)
  }

  /** Ms until the answer is sent. */
  get delay(): number {
    return this.#faults.reduce(
      (sum, fault) => sum + (typeof fault === 'object' && 'delay' in fault ? fault.delay : 0),
      0,
    )
  }

  /** Is there no answer? */
  get drops(): boolean {
    return this.#faults.some(
      (fault) =>
        fault === 'drop' ||
        (typeof fault === 'object' && 'perSecond' in fault && this.#asked > fault.perSecond),
    )
  }

  content(content: Content, query: Query, transport: Transport): Content {
    return this.#faults.reduce((so, fault) => {
      return CONTENT.get(fault)?.(so, query, transport) ?? so
    }, content)
  }

  /** The question that is repeated in the answer. */
  repeated(query: Query): Query {
    if (this.has('wrong-question')) return { ...query, sent: OTHER_QUESTION }
    return this.has('wrong-case') ? { ...query, sent: query.name } : query
  }

  message(message: Uint8Array): Uint8Array {
    return this.#faults.reduce((so, fault) => MESSAGE.get(fault)?.(so) ?? so, message)
  }
}
