/**
 * What name servers were asked, so that tests can tell how polite a client was, and how hard to
 * deceive: when, from where, which id and letters, over which transport.
 */
import { nameKey, nameToText, type Name } from '@dslog/dnssec/name'
import { FLAG, type Query } from './query.ts'

export type Transport = 'udp' | 'tcp'

/** Who asks. */
export interface Client {
  readonly address: string
  /** By TCP, the same for all questions of one connection. */
  readonly port: number
  readonly transport: Transport
}

/** One question, as it came. */
export interface Question {
  /** Ms since the epoch. */
  readonly at: number
  /** Address of the server that was asked. */
  readonly server: string
  readonly client: Client
  readonly id: number
  readonly name: Name
  /** The name in letters as they were sent. */
  readonly sent: string
  readonly type: number
  readonly recursionDesired: boolean
  readonly checkingDisabled: boolean
  readonly dnssecOk: boolean
  /** Bytes of UDP that the client takes, by EDNS; undefined without. */
  readonly size: number | undefined
}

/** Questions that are kept; the oldest go first. A benchmark would otherwise fill the memory. */
const MAX_KEPT = 200_000

/** Questions in the order they came. */
export class QuestionLog {
  #questions: Question[] = []
  #count = 0

  /** All questions, also those that are no longer kept. */
  get count(): number {
    return this.#count
  }

  get questions(): readonly Question[] {
    return this.#questions
  }

  add(question: Question): void {
    this.#count++
    if (this.#questions.length === MAX_KEPT) this.#questions = this.#questions.slice(MAX_KEPT / 2)
    this.#questions.push(question)
  }

  clear(): void {
    this.#questions = []
    this.#count = 0
  }
}

/** What is worth keeping of a question. */
export function questionOf(query: Query, client: Client, server: string, at: number): Question {
  const { edns, flags, id, name, sent, type } = query
  return {
    at,
    server,
    client,
    id,
    name,
    sent: sentText(name, sent),
    type,
    recursionDesired: (flags & FLAG.RD) !== 0,
    checkingDisabled: (flags & FLAG.CD) !== 0,
    dnssecOk: edns?.dnssecOk ?? false,
    size: edns?.size,
  }
}

/** The text of a name with the letters that were sent: each upper-case one put back in its place. */
function sentText(name: Name, sent: Uint8Array): string {
  const text = nameToText(name)
  if (nameKey(name) === nameKey(sent as Name)) return text
  // Letters are written as themselves, so the n-th of the text is the n-th of the wire.
  const letters = [...sent].filter((byte, i) => name[i] !== byte || isLetter(byte))
  return text.replaceAll(/[a-z]/g, () => String.fromCharCode(letters.shift()!))
}

function isLetter(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a
}
