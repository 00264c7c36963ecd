/**
 * A signature backend that remembers what it has verified: a name that did not change since it was asked
 * last costs a hash, not a signature check (1 µs for 70 µs with P-256). Key, signed data and signature
 * must be equal to the byte, and the signed data holds owner, RDATA and the fields of the RRSIG; whether
 * the time is within the window and the key is still the zone's is decided outside, each time.
 */
import type { SignatureBackend } from '@dslog/dnssec/backend/backend'
import { sha256Text } from '@dslog/service/crypto'
import { ByteWriter } from '@dslog/tlog/binary'
import { Generations } from '@dslog/tlog/generations'

/** Signatures remembered unless told; each takes about 100 bytes. */
const MAX_REMEMBERED = 500_000

/** Remembers signatures that verify; never those that do not, which strangers can make without end. */
export function rememberingBackend(
  backend: SignatureBackend,
  limit: number = MAX_REMEMBERED,
): SignatureBackend {
  const valid = new Generations<string, true>(limit)
  return {
    digest: (type, data) => backend.digest(type, data),
    async verify(algorithm, publicKey, data, signature) {
      // With lengths in front no field can run into the next.
      const head = new ByteWriter().u8(algorithm).u16(publicKey.length).u32(data.length)
      const id = sha256Text(head.bytes(publicKey).bytes(data).bytes(signature).view())
      if (valid.get(id) === true) return true
      const isValid = await backend.verify(algorithm, publicKey, data, signature)
      if (isValid) valid.set(id, true)
      return isValid
    },
  }
}
