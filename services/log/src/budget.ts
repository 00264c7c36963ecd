/**
 * How much work the log does for one source. Reading evidence and checking its signatures is the one
 * thing that anybody can make the log do much of, and what does not verify costs as much as what does. So a
 * source has a budget, in time of one core: what is read and each signature verified for it is charged,
 * a signature at the price of its algorithm, whether or not it was good, and the budget grows back with
 * time. Prices rather than a stop watch: under load a watch would charge a source for the work of others.
 *
 * The operator's own crawler shows the operator's token and has no budget.
 */
import { ALGORITHM, type SignatureBackend } from '@dslog/dnssec/backend/backend'
import type { Clock } from '@dslog/service/clock'

/** Core time that a source gets back per second, in ms: a quarter of a core, some 900 observations. */
export const REFILL_MS_PER_SECOND = 250
/** Most that it can have, in ms of core time: what a crawler of some TLDs needs after an outage. */
export const FULL_BUDGET_MS = 5_000
/** Sources that are remembered. Those forgotten, the longest unseen ones, have a full budget again. */
export const MAX_SOURCES = 20_000

/** Time of one core for a signature, in ms, as measured with node:crypto. */
const PRICE: ReadonlyMap<number, number> = new Map([
  [ALGORITHM.ECDSAP256SHA256, 0.07],
  [ALGORITHM.ECDSAP384SHA384, 0.5],
  [ALGORITHM.ED25519, 0.1],
  [ALGORITHM.ED448, 0.3],
])
/** RSA with 2,048 bits; keys of 4,096, which are rare, cost three times as much. */
const RSA_PRICE = 0.03

/**
 * Time of one core for 1,000 characters of evidence, in ms: measured on observations of five records whose signatures were
 * not checked. It is spent on the thread that answers readers.
 */
const READING_PRICE = 0.2

interface Account {
  left: number
  at: number
}

/** The budgets of all sources. */
export class VerifyBudget {
  readonly #clock: Clock
  readonly #full: number
  readonly #accounts = new Map<string, Account>()

  /** @param full most that a source can have, ms of core time */
  constructor(clock: Clock, full: number = FULL_BUDGET_MS) {
    this.#clock = clock
    this.#full = full
  }

  /** Whether a source has anything left. It may then overdraw by what one observation costs. */
  allows(source: string): boolean {
    return this.#account(source).left > 0
  }

  /** Seconds until a source that has spent everything has something again. */
  retryAfter(source: string): number {
    const { left } = this.#account(source)
    return left > 0 ? 0 : Math.ceil((1 - left) / REFILL_MS_PER_SECOND)
  }

  /** Lets a source pay for evidence of so many characters that is read, before anybody knows whether it proves anything. */
  chargeReading(source: string, characters: number): void {
    this.#account(source).left -= (characters / 1000) * READING_PRICE
  }

  /** A backend whose work a source pays for. */
  charged(source: string, backend: SignatureBackend): SignatureBackend {
    return {
      digest: (type, data) => backend.digest(type, data),
      verify: (algorithm, ...rest) => {
        this.#account(source).left -= PRICE.get(algorithm) ?? RSA_PRICE
        return backend.verify(algorithm, ...rest)
      },
    }
  }

  #account(source: string): Account {
    const now = this.#clock()
    const known = this.#accounts.get(source) ?? { left: this.#full, at: now }
    const grown = (Math.max(0, now - known.at) * REFILL_MS_PER_SECOND) / 1000
    known.left = Math.min(this.#full, known.left + grown)
    known.at = now
    // The one seen last goes to the end.
    this.#accounts.delete(source)
    this.#accounts.set(source, known)
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= MAX_SOURCES) break
      this.#accounts.delete(oldest)
    }
    return known
  }
}
