/**
 * The cryptographic primitives a server replaces. By default they are noble's, which run everywhere; a Node service sets
 * its own once at start, because `crypto.hash` hashes four times as fast and because node:crypto decides Ed25519
 * verification exactly as Go does, noble only nearly.
 *
 * Importing this file also gives @noble/ed25519 the SHA-512 its synchronous functions need.
 */
import { hashes, verify } from '@noble/ed25519'
import { sha256, sha512 } from '@noble/hashes/sha2.js'

/** What an implementation provides. None of these may keep, change or return its arguments. */
export interface Backend {
  /** SHA-256 of `data`: 32 bytes in an array of their own. */
  sha256(data: Uint8Array): Uint8Array

  /**
   * Writes the 32 bytes of SHA-256(`data`) to `out[offset]` … `out[offset + 31]`; the caller has made sure they fit.
   * This is the hot path of tree building (two calls a leaf): `data` is a leaf input 0x00 ‖ entry or a 65-byte node
   * input 0x01 ‖ left ‖ right, `out` a tile or a bucket, and nothing needs to be allocated. `out` may be the array that
   * `data` is a view of: all of `data` is read before the first byte is written.
   */
  sha256Into(data: Uint8Array, out: Uint8Array, offset: number): void

  /**
   * Whether `signature` (64 bytes) is `publicKey`'s (32 bytes) over `message`, by RFC 8032 without ZIP-215's
   * leniencies. False, never an exception, for whatever is malformed.
   */
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
}

hashes.sha512 = sha512

const noble: Backend = {
  sha256: (data) => sha256(data),
  sha256Into: (data, out, offset) => {
    out.set(sha256(data), offset)
  },
  ed25519Verify: (publicKey, message, signature) => {
    try {
      // The default would be ZIP-215, which accepts hundreds of edge cases that Go's witnesses refuse.
      return verify(signature, message, publicKey, { zip215: false })
    } catch {
      return false
    }
  },
}

let current: Backend = noble

/** The primitives in use. */
export function backend(): Backend {
  return current
}

/** Replaces the primitives for the whole process; returns those used before. */
export function setBackend(next: Backend): Backend {
  const previous = current
  current = next
  return previous
}
