/**
 * What the fields of all HTTP APIs are made of, as JSON Schema (TypeBox).
 *
 * Bytes are base64 (RFC 4648 section 4, padded), hashes 44 characters of it; names are in
 * presentation form with a trailing dot; times are milliseconds since the Unix epoch; sizes and
 * indices are safe integers.
 */
import Type from 'typebox'

export const Uint = (description: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description })
export const Time = (description: string) => Uint(`${description}, ms since the Unix epoch`)
export const Base64 = (description: string) =>
  Type.String({ contentEncoding: 'base64', description })
export const Hash = (description: string) =>
  Type.String({ contentEncoding: 'base64', minLength: 44, maxLength: 44, description })
export const DomainName = Type.String({
  description: 'Domain name, ending in a dot',
  maxLength: 1024,
})
export const DsText = Type.String({ description: '`<key tag> <algorithm> <digest type> <HEX>`' })
