/**
 * How much work the log does for one source. Reading evidence and checking its signatures is the one
 * thing that anybody can make the log do much of, and what does not verify costs as much as what does. So a
 * source has a budget, in time of one core: what is read, the hashing that NSEC3 records ask for, and each
 * signature verified for it is charged, a signature at the price of its algorithm, whether or not it was
 * good, and the budget grows back with time. Prices rather than a stop watch: under load a watch would charge a source for the work of others.
 * What is left lies in memory that the threads share which do the work.
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
 * not checked.
 */
const READING_PRICE = 0.2

/** Time of one core for a block of SHA-1 of a name that is hashed for NSEC3 (RFC 5155 section 5), in ms, as measured. */
const HASHING_PRICE = 0.001

/** Most that a purse can hold, ms: what is counted, µs, has to fit into 32 bits. */
const MAX_PURSE_MS = 2_000_000

/** What a source has left, in memory that threads share: whoever works for it takes from the same purse. */
export class Purse {
  /** One number: core time, µs; below zero is debt. */
  readonly memory: Int32Array

  constructor(memory: Int32Array) {
    this.memory = memory
  }

  /** ms of core time. */
  get left(): number {
    return Atomics.load(this.memory, 0) / 1000
  }

  /** Pays, ms of core time. One can pay more than there is. */
  pay(ms: number): void {
    Atomics.sub(this.memory, 0, Math.round(ms * 1000))
  }

  /** Pays for reading evidence of so many characters, before anybody knows whether it proves anything. */
  payReading(characters: number): void {
    this.pay((characters / 1000) * READING_PRICE)
  }

  /** Pays for hashing names, so many blocks of SHA-1, likewise. */
  payHashing(blocks: number): void {
    this.pay(blocks * HASHING_PRICE)
  }

  /** A backend whose work is paid from here. */
  paying(backend: SignatureBackend): SignatureBackend {
    return {
      digest: (type, data) => backend.digest(type, data),
      verify: (algorithm, ...rest) => {
        this.pay(PRICE.get(algorithm) ?? RSA_PRICE)
        return backend.verify(algorithm, ...rest)
      },
    }
  }
}

interface Account {
  readonly purse: Purse
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
    this.#full = Math.min(full, MAX_PURSE_MS)
  }

  /** Seconds until a source that has spent everything has something again. */
  retryAfter(source: string): number {
    const { left } = this.purse(source)
    return left > 0 ? 0 : Math.ceil((1 - left) / REFILL_MS_PER_SECOND)
  }

  /** What a source has, with what has grown back. It may overdraw by what one observation costs. */
  purse(source: string): Purse {
    const now = this.#clock()
    const known = this.#accounts.get(source) ?? { purse: this.#fullPurse(), at: now }
    const { purse } = known
    const grown = (Math.max(0, now - known.at) * REFILL_MS_PER_SECOND) / 1000
    purse.pay(-Math.max(0, Math.min(grown, this.#full - purse.left)))
    known.at = now
    // The one seen last goes to the end.
    this.#accounts.delete(source)
    this.#accounts.set(source, known)
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= MAX_SOURCES) break
      this.#accounts.delete(oldest)
    }
    return purse
  }

  #fullPurse(): Purse {
    const purse = new Purse(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)))
    purse.pay(-this.#full)
    return purse
  }
}
