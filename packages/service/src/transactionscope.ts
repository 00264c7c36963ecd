/**
 * Which transaction is around the code that runs, followed through all that it waits for. Until Node 24 following costs each
 * promise and each callback of the process some of its time, a tenth of an answer from memory: so nothing is followed while no
 * transaction is open.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

/** See the head of this file. */
export class TransactionScope {
  readonly #storage = new AsyncLocalStorage<{ isOpen: boolean }>()
  #open = 0

  /** Whether the code that runs is part of a transaction that is still open. */
  get isInside(): boolean {
    return this.#storage.getStore()?.isOpen === true
  }

  /** Runs the inside of a transaction. What it has left running when it ends is not inside any more. */
  async run<R>(fn: () => Promise<R>): Promise<R> {
    const scope = { isOpen: true }
    this.#open++
    return this.#storage.run(scope, async () => {
      try {
        return await fn()
      } finally {
        scope.isOpen = false
        if (--this.#open === 0) this.#storage.disable()
      }
    })
  }
}

/** Of all databases of the process. */
export const transactionScope: TransactionScope = new TransactionScope()
