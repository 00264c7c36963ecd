/** A way to ask that keeps the pace: every question waits for its turn, and tells how it went. */
import { ResolverError } from '@dslog/resolver/error'
import type { AskOptions, Exchange, Question, Reply, Server } from '@dslog/resolver/exchange'
import type { Pause } from '@dslog/service/outage'
import type { Pace } from './pace.ts'

/** Longest wait for a turn, ms: what would wait longer is better asked another time. */
export const LONGEST_WAIT_MS = 10_000

/** What goes wrong because too much was asked, or might have. */
const LOST: ReadonlySet<string> = new Set(['timeout', 'mismatch'])
/** What says nothing about a server. */
const OURS: ReadonlySet<string> = new Set(['busy', 'aborted', 'forbidden-address', 'network'])

/** Counts questions by how they ended. */
export interface AskCounter {
  asked(transport: string, outcome: string): void
}

/** Wraps an exchange. */
export class PacedExchange implements Exchange {
  readonly #exchange: Exchange
  /** Whose way it is: what is lost on another's tells nothing of the server. */
  readonly #way: 'own' | 'proxy'
  readonly #pace: Pace
  readonly #counter: AskCounter
  readonly #sleep: Pause

  constructor(
    exchange: Exchange,
    pace: Pace,
    counter: AskCounter,
    sleep: Pause,
    way: 'own' | 'proxy' = 'own',
  ) {
    this.#exchange = exchange
    this.#way = way
    this.#pace = pace
    this.#counter = counter
    this.#sleep = sleep
  }

  async ask(server: Server, question: Question, options: AskOptions = {}): Promise<Reply> {
    const place = placeOf(server)
    if (this.#pace.serverWait(place) > LONGEST_WAIT_MS) {
      throw new ResolverError('busy', `${place} has been asked enough for now`, { server })
    }
    const wait = this.#pace.takeServer(place)
    if (wait > 0) await this.#sleep(wait, options.signal)
    const { transport = 'udp' } = options
    const askedAt = this.#pace.now
    try {
      const reply = await this.#exchange.ask(server, question, options)
      // A datagram that did not do is a reason to ask more slowly, as one that was lost.
      this.#report(place, transport === 'udp' && reply.transport === 'tcp', askedAt)
      this.#counter.asked(reply.transport, 'answered')
      return reply
    } catch (error) {
      const code = error instanceof ResolverError ? error.code : 'fault'
      if (!OURS.has(code)) this.#report(place, LOST.has(code), askedAt)
      this.#counter.asked(transport, code)
      throw error
    }
  }

  close(): Promise<void> {
    return this.#exchange.close()
  }

  #report(place: string, lost: boolean, askedAt: number): void {
    if (this.#way === 'own') this.#pace.report(place, lost, askedAt)
  }
}

/** A server's address, with its port where that is its own. */
export function placeOf({ address, port }: Server): string {
  if (port === undefined) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
