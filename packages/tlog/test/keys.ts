/** Keys made from fixed seeds, and what tests of signed texts share. */
import { KEY_TYPE, signerKey } from '../src/key.ts'
import type { KeyType, SignerKey } from '../src/key.ts'

/** A key whose seed is one byte, 32 times. */
export function testKey(name: string, type: KeyType, seed: number): SignerKey {
  return signerKey(name, type, new Uint8Array(32).fill(seed))
}

export const LOG_ORIGIN = 'log.example/ds'
export const LOG_KEY = testKey(LOG_ORIGIN, KEY_TYPE.ed25519, 1)
export const LOG_PQ_KEY = testKey(LOG_ORIGIN, KEY_TYPE.mldsa44, 2)
export const WITNESS_KEYS = [
  testKey('w0.example', KEY_TYPE.cosignature, 10),
  testKey('w1.example', KEY_TYPE.cosignature, 11),
  testKey('w2.example', KEY_TYPE.mldsa44, 12),
] as const

/** 2024-11-16T00:00:00Z, in milliseconds. */
export const NOW = 1_731_715_200_000

/** A copy with one byte changed. */
export function withByte(
  bytes: Uint8Array,
  at: number,
  change: (byte: number) => number,
): Uint8Array {
  const copy = bytes.slice()
  copy[at] = change(copy[at]!)
  return copy
}
