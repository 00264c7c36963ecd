/**
 * One name server of a small internet, as tests see it: what it is asked, what it holds, what is wrong
 * with it. It knows no sockets: `listener.ts` brings questions and takes what is to be sent.
 */
import { DnssecError } from '@dslog/dnssec/error'
import { RCODE } from '@dslog/dnssec/message'
import { sameName } from '@dslog/dnssec/name'
import { CLASS_IN } from '@dslog/dnssec/records'
import { TlogError } from '@dslog/tlog/error'
import { Faults, type ActiveFaults, type Fault, type FaultOptions } from './fault.ts'
import { MAX_MESSAGE_BYTES } from './packet.ts'
import { OPCODE_QUERY, QTYPE, readQuery, type Query } from './query.ts'
import { QuestionLog, questionOf, type Client, type Question } from './question.ts'
import {
  answer,
  bare,
  encodeBroken,
  encodeReply,
  udpLimit,
  type Content,
  type Source,
} from './responder.ts'
import { transferMessages } from './transfer.ts'
import {
  checkTsig,
  TSIG_ERROR,
  tsigBytes,
  withTsigError,
  type TsigCheck,
  type TsigKey,
} from './tsig.ts'

/** What becomes of a question. */
export interface Reaction {
  /** What is sent, in this order. */
  readonly messages: Iterable<Uint8Array>
  /** Ms to wait before. */
  readonly delay: number
  /** From an address that was not asked. */
  readonly isElsewhere: boolean
  /** The connection is closed in the middle of the last message. */
  readonly isCutOff: boolean
}

/** Who may have whole zones: anybody, who signs with a key that the server knows, nobody. */
export type Transfers = 'anybody' | 'signed' | 'nobody'

function isTransferType({ type }: Query): boolean {
  return type === QTYPE.AXFR || type === QTYPE.IXFR
}

/** A question that is answered so, and nothing goes wrong on the way. */
function plainly(messages: readonly Uint8Array[]): Reaction {
  return { messages, delay: 0, isElsewhere: false, isCutOff: false }
}

/** A zone in place of the one that is hosted; for one client only, or for all. */
interface View {
  readonly source: Source
  readonly client: string | undefined
}

/** One name server, at one address. */
export class NameServer {
  readonly address: string
  transfers: Transfers = 'anybody'
  /** Secrets shared with clients. */
  tsigKeys: readonly TsigKey[] = []

  readonly #hosted: () => readonly Source[]
  readonly #now: () => number
  readonly #log = new QuestionLog()
  readonly #faults = new Faults()
  #views: View[] = []

  /**
   * Made by `NameServers`.
   * @param hosted the zones that are served here, by their origin in no order
   * @param now ms since the epoch, for the log and for TSIG
   */
  constructor(address: string, hosted: () => readonly Source[], now: () => number) {
    this.address = address
    this.#hosted = hosted
    this.#now = now
  }

  /** How many questions came, those no longer kept among them. */
  get asked(): number {
    return this.#log.count
  }

  /** Questions that came, oldest first. */
  get questions(): readonly Question[] {
    return this.#log.questions
  }

  /** Forgets the questions. */
  forget(): void {
    this.#log.clear()
  }

  /** Lets something be wrong from now on; what it gives back makes it right again. */
  inject(fault: Fault, options?: FaultOptions): () => void {
    return this.#faults.inject(fault, options)
  }

  /** Nothing is wrong any more, and every zone is as its authority has it. */
  heal(): void {
    this.#faults.heal()
    this.#views = []
  }

  /**
   * Serves another zone in place of that of the same origin: one of yesterday, one with a DS swapped.
   * @param client address of the only one who sees it; all do, unless told
   */
  serve(source: Source, client?: string): void {
    this.#views.unshift({ source, client })
  }

  /** For the listener: is a new connection closed at once? */
  refusesTcp(): boolean {
    return this.#faults.refusesTcp()
  }

  /** For the listener: what becomes of these bytes; undefined for nothing. */
  react(bytes: Uint8Array, client: Client): Reaction | undefined {
    const query = readQuery(bytes)
    if (query === undefined) return undefined
    if (!('name' in query)) return plainly([encodeBroken(query)])
    const question = questionOf(query, client, this.address, this.#now())
    this.#log.add(question)
    const faults = this.#faults.at(question)
    if (faults.drops) return undefined
    const signature = this.#signature(bytes, query)
    if (signature === 'broken') return plainly([encodeBroken(query)])
    return {
      messages: this.#messages(query, client, signature, faults),
      delay: faults.delay,
      isElsewhere: faults.has('wrong-source'),
      isCutOff: faults.has('tcp-closes'),
    }
  }

  #signature(bytes: Uint8Array, { tsig }: Query): TsigCheck | 'broken' | undefined {
    if (tsig === undefined) return undefined
    try {
      return checkTsig(bytes, tsig, this.tsigKeys, this.#seconds())
    } catch (error) {
      if (!(error instanceof DnssecError) && !(error instanceof TlogError)) throw error
      return 'broken'
    }
  }

  *#messages(
    query: Query,
    client: Client,
    signature: TsigCheck | undefined,
    faults: ActiveFaults,
  ): Generator<Uint8Array> {
    const signer = signature !== undefined && 'signer' in signature ? signature.signer : undefined
    const repeated = faults.repeated(query)
    for (const message of this.#unsigned(repeated, client, signature, faults)) {
      const signed =
        signature === undefined || query.tsig === undefined
          ? message
          : signer === undefined
            ? withTsigError(message, query.tsig, signature.error)
            : signer.sign(message, this.#seconds(), signature.error)
      const sent = faults.message(signed)
      yield sent
      if (faults.has('twice')) yield sent
    }
  }

  #unsigned(
    query: Query,
    client: Client,
    signature: TsigCheck | undefined,
    faults: ActiveFaults,
  ): Iterable<Uint8Array> {
    const isUdp = client.transport === 'udp'
    const isOversized = faults.has('oversized')
    const limit = isOversized ? 2 * MAX_MESSAGE_BYTES : isUdp ? udpLimit(query) : undefined
    const room = query.tsig === undefined ? 0 : tsigBytes(query.tsig)
    const say = (content: Content): Uint8Array[] => {
      const isCut = isUdp && faults.has('truncated')
      const left = limit === undefined ? undefined : Math.max(limit - room, 0)
      return [encodeReply(query, content, isCut ? 0 : left)]
    }
    const what = faults.content(this.#content(query, client, signature), query, client.transport)
    const isTransfer = isTransferType(query) && what.answer.length > 1
    return isTransfer ? transferMessages(query, what.answer) : say(what)
  }

  #content(query: Query, client: Client, signature: TsigCheck | undefined): Content {
    const isSigned = signature?.error === TSIG_ERROR.NONE
    if (signature !== undefined && !isSigned) return bare(RCODE.NOTAUTH)
    const sources = this.#sources(client.address)
    if (query.opcode !== OPCODE_QUERY || !isTransferType(query)) return answer(query, sources)
    const source = sources.find(({ name }) => sameName(name, query.name))
    if (source === undefined || query.class !== CLASS_IN) return bare(RCODE.NOTAUTH)
    const isAllowed = this.transfers === 'anybody' || (this.transfers === 'signed' && isSigned)
    if (!isAllowed) return bare(RCODE.REFUSED)
    const { records } = source.zone
    const isWhole = client.transport === 'tcp'
    // A datagram has no room for a zone: by IXFR its SOA says whether there is something to fetch.
    if (!isWhole && query.type === QTYPE.AXFR) return bare(RCODE.NOTIMP)
    return {
      ...bare(RCODE.NOERROR),
      authoritative: true,
      answer: isWhole ? records : records.slice(0, 1),
    }
  }

  /** The zones that a client sees here. */
  #sources(client: string): Source[] {
    return this.#hosted().map((hosted) => {
      const view = this.#views.find(
        ({ client: only, source }) =>
          sameName(source.name, hosted.name) && (only === undefined || only === client),
      )
      return view?.source ?? hosted
    })
  }

  #seconds(): number {
    return Math.floor(this.#now() / 1000)
  }
}
