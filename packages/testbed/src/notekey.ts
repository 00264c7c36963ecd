/** Keys of those who sign checkpoints, the same each time. */
import { type KeyType, signerKey, type SignerKey } from '@dslog/tlog/key'

/** A key whose seed is one byte, 32 times. */
export function testKey(name: string, type: KeyType, seed: number): SignerKey {
  return signerKey(name, type, new Uint8Array(32).fill(seed))
}
