/** What threads that verify signatures are told, and say. */
import { ByteReader, ByteWriter } from '@dslog/tlog/binary'

/** The arguments of `SignatureBackend.verify`. */
export interface Signature {
  readonly algorithm: number
  readonly publicKey: Uint8Array
  readonly data: Uint8Array
  readonly signature: Uint8Array
}

/** Some signatures, in one piece: to copy each array for itself would take as long as all the rest. */
export interface ToVerifier {
  readonly job: number
  readonly signatures: Uint8Array
}

/** Which of them are valid, in order. */
export interface FromVerifier {
  readonly job: number
  readonly valid: readonly boolean[]
}

export function encodeSignatures(all: readonly Signature[]): Uint8Array {
  const writer = new ByteWriter()
  for (const { algorithm, publicKey, data, signature } of all) {
    writer.u8(algorithm)
    for (const field of [publicKey, data, signature]) writer.u32(field.length).bytes(field)
  }
  return writer.finish()
}

export function decodeSignatures(bytes: Uint8Array): Signature[] {
  const reader = new ByteReader(bytes)
  const field = (): Uint8Array => reader.bytes(reader.u32())
  const all: Signature[] = []
  while (reader.remaining > 0) {
    all.push({ algorithm: reader.u8(), publicKey: field(), data: field(), signature: field() })
  }
  return all
}
