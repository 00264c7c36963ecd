/** A log whose next tree can be held between its commit and its signature: while it is on its way. */
import type { LogOptions } from '../src/log.ts'

/** A gate in front of the signer row. */
export class Hold {
  #held: Promise<void> | undefined
  #open: () => void = () => {}
  #arrive: () => void = () => {}

  /** Puts the gate between a log and its record of what was signed. */
  readonly wrap = (options: LogOptions): LogOptions => {
    const { signerRow } = options
    return {
      ...options,
      signerRow: {
        read: () => signerRow.read(),
        advance: async (from, to) => {
          this.#arrive()
          await this.#held
          await signerRow.advance(from, to)
        },
      },
    }
  }

  /** From now on trees wait; resolves when one does. */
  close(): Promise<void> {
    this.#held = new Promise((resolve) => (this.#open = resolve))
    return new Promise((resolve) => (this.#arrive = resolve))
  }

  /** Lets them through. */
  open(): void {
    this.#held = undefined
    this.#open()
  }
}
