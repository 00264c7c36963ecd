/** A witness without a network: it does what C2SP tlog-witness says, or what a test wants instead. */
import { utf8 } from '@dslog/tlog/bytes'
import { signerOf } from '@dslog/tlog/cosignature'
import { formatVkey, KEY_TYPE, type KeyType, type SignerKey } from '@dslog/tlog/key'
import { formatSignatureLine, parseNote } from '@dslog/tlog/note'
import {
  checkFollows,
  type KnownTree,
  openAddCheckpoint,
  SIZE_TYPE,
  WitnessRefusal,
} from '@dslog/tlog/witness'
import { testKey } from '@dslog/testbed/notekey'
import { keyOf, ORIGIN } from './place.ts'

type Answer = Response | Promise<Response>

/** See the head of this file. */
export class FakeWitness {
  readonly key: SignerKey
  /** Bodies that came, in order. */
  readonly asked: string[] = []
  latest: KnownTree | undefined
  /** Instead of the right answer, if it gives one. */
  instead:
    ((body: string, signal: AbortSignal | null | undefined) => Answer | undefined) | undefined
  /** Seconds that its clock is ahead. */
  ahead = 0
  /** Requests under way, and the most there ever were. */
  under = 0
  most = 0
  readonly #now: () => number

  constructor(name: string, now: () => number, type: KeyType = KEY_TYPE.cosignature) {
    this.key = testKey(`${name}.example`, type, name.charCodeAt(0))
    this.#now = now
  }

  get vkey(): string {
    return formatVkey(this.key)
  }

  async answer(init: RequestInit): Promise<Response> {
    const body = new TextDecoder().decode(init.body as Uint8Array)
    this.asked.push(body)
    this.most = Math.max(this.most, ++this.under)
    try {
      return (await this.instead?.(body, init.signal)) ?? this.cosign(body)
    } finally {
      this.under--
    }
  }

  /** The right answer. */
  cosign(body: string): Response {
    try {
      const submitted = openAddCheckpoint(body, () => [keyOf(ORIGIN)])
      checkFollows(submitted, this.latest)
      this.latest = submitted.checkpoint
      return new Response(this.line(submitted.note))
    } catch (error) {
      if (!(error instanceof WitnessRefusal)) throw error
      const { message, size, status } = error
      return size === undefined
        ? new Response(message, { status })
        : new Response(`${size}\n`, { status, headers: { 'content-type': SIZE_TYPE } })
    }
  }

  /** Its line under a note. */
  line(note: string): string {
    const signer = signerOf(this.key, () => this.#now() + this.ahead * 1000)
    const signature = signer.sign(utf8(parseNote(note).text))
    return formatSignatureLine({ name: this.key.name, id: this.key.id, signature })
  }
}

/** Sizes that the requests started from. */
export function oldSizes({ asked }: FakeWitness): number[] {
  return asked.map((body) => Number(/^old (\d+)\n/.exec(body)![1]))
}
