/** Base64 of Node: the text that @dslog/tlog/bytes makes everywhere, in half the time. */

/** Canonical base64 of bytes. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
