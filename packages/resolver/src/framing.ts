/**
 * DNS messages on a stream (RFC 1035 §4.2.2, RFC 7766 §8): each behind its length in two bytes.
 */

const LENGTH_BYTES = 2

/** A message with its length in front, as one write: two would be two packets. */
export function frame(message: Uint8Array): Uint8Array {
  if (message.length > 0xffff) throw new RangeError(`a message of ${message.length} bytes`)
  const out = new Uint8Array(LENGTH_BYTES + message.length)
  out[0] = message.length >> 8
  out[1] = message.length & 0xff
  out.set(message, LENGTH_BYTES)
  return out
}

/** Puts messages together from chunks cut anywhere. Holds one message at most, so 64 KiB. */
export class Deframer {
  readonly #head = new Uint8Array(LENGTH_BYTES)
  #body: Uint8Array | undefined
  #filled = 0

  /** Is nothing of a next message here? Then the stream may end. */
  get isBetween(): boolean {
    return this.#body === undefined && this.#filled === 0
  }

  /** Takes a chunk; the messages that it completes, each an array of its own. */
  push(chunk: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = []
    let at = 0
    while (at < chunk.length) {
      const into = this.#body ?? this.#head
      const size = Math.min(into.length - this.#filled, chunk.length - at)
      into.set(chunk.subarray(at, at + size), this.#filled)
      this.#filled += size
      at += size
      if (this.#filled < into.length) break
      this.#filled = 0
      if (this.#body === undefined) {
        const length = into[0]! * 256 + into[1]!
        if (length === 0) messages.push(new Uint8Array(0))
        else this.#body = new Uint8Array(length)
      } else {
        messages.push(into)
        this.#body = undefined
      }
    }
    return messages
  }
}
