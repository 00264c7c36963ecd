/**
 * What a DS RRset says (RFC 4034 §5, RFC 4509 §3, RFC 6605 §2): which keys it names, and whether a
 * resolver can use it at all. A set with no usable algorithm or digest type is no error: resolvers
 * treat the delegation as unsigned (RFC 4035 §5.2), so the state is marked `insecure`.
 */
import { ByteWriter } from '@dslog/tlog/binary'
import { concat, equal } from '@dslog/tlog/bytes'
import {
  DIGEST,
  isDigestType,
  SUPPORTED,
  type DigestType,
  type SignatureBackend,
} from './backend/backend.ts'
import { DnssecError, wellFormed } from './error.ts'
import type { Name } from './name.ts'
import { parseDs, type Dnskey, type Ds } from './records.ts'

/**
 * Digests computed to find the keys a DS set names. Only pairs that agree in tag and algorithm cost
 * one, so an honest set needs one for each DS; colliding tags are how KeyTrap multiplies them.
 */
export const MAX_DIGEST_TRIES = 8

/** Tag, algorithm and digest type (RFC 4034 §5.1). */
const DS_FIXED_BYTES = 4

/** What identifies a key: a DS, or a trust anchor. */
export type KeyDigest = Pick<Ds, 'tag' | 'algorithm' | 'digestType' | 'digest'>

/** Can this DS be used: is its algorithm verified here, and its digest type computed? */
function isUsable(ds: Pick<KeyDigest, 'algorithm' | 'digestType'>): boolean {
  return SUPPORTED.has(ds.algorithm) && isDigestType(ds.digestType)
}

/**
 * The DS a resolver would use: unknown algorithms and digest types are skipped, and so is SHA-1 where
 * a stronger one stands beside it (RFC 4509 §3).
 */
export function usableDigests<T extends KeyDigest>(set: readonly T[]): T[] {
  const usable = set.filter(isUsable)
  const strong = usable.filter((ds) => ds.digestType !== DIGEST.SHA1)
  return strong.length > 0 ? strong : usable
}

/** The DS of a set that have the form of one; a resolver could not use the others. */
export function parseDsSet(rdatas: readonly Uint8Array[]): Ds[] {
  return rdatas.flatMap((rdata) => wellFormed(() => parseDs(rdata)) ?? [])
}

/** Do resolvers treat a delegation with this DS set as unsigned? */
export function isInsecureDsSet(rdatas: readonly Uint8Array[]): boolean {
  const isFit = (rdata: Uint8Array): boolean =>
    rdata.length >= DS_FIXED_BYTES && isUsable({ algorithm: rdata[2]!, digestType: rdata[3]! })
  return !rdatas.some(isFit)
}

/** The digest of a key for a DS: of owner and DNSKEY RDATA (RFC 4034 §5.1.4). */
export async function digestOfKey(
  type: DigestType,
  owner: Name,
  dnskeyRdata: Uint8Array,
  backend: SignatureBackend,
): Promise<Uint8Array> {
  return backend.digest(type, concat(owner, dnskeyRdata))
}

/** RDATA of every DS that names a key of `owner`: one for each digest type that is computed here. */
export async function dsRecordsOf(
  owner: Name,
  key: Dnskey,
  backend: SignatureBackend,
): Promise<Uint8Array[]> {
  return Promise.all(
    Object.values(DIGEST).map(async (type) => {
      const digest = await digestOfKey(type, owner, key.rdata, backend)
      return new ByteWriter().u16(key.tag).u8(key.algorithm).u8(type).bytes(digest).finish()
    }),
  )
}

/** Does the DS (or trust anchor) name this key of `owner`? */
export async function dsMatchesKey(
  ds: KeyDigest,
  owner: Name,
  key: Dnskey,
  backend: SignatureBackend,
): Promise<boolean> {
  if (ds.tag !== key.tag || ds.algorithm !== key.algorithm) return false
  if (!isDigestType(ds.digestType)) return false
  return equal(ds.digest, await digestOfKey(ds.digestType, owner, key.rdata, backend))
}

/** A key that a DS or trust anchor names, and which. */
export interface NamedKey<T extends KeyDigest> {
  readonly key: Dnskey
  readonly by: T
}

/**
 * The keys of `owner` that a DS set or a set of trust anchors names, each with the first that does.
 *
 * @throws DnssecError `too-many-tries` if there was none among as many as may be tried
 */
export async function namedKeys<T extends KeyDigest>(
  set: readonly T[],
  owner: Name,
  keys: readonly Dnskey[],
  backend: SignatureBackend,
): Promise<NamedKey<T>[]> {
  const named: NamedKey<T>[] = []
  const usable = usableDigests(set)
  let tries = 0
  for (const key of keys) {
    for (const by of usable) {
      if (by.tag !== key.tag || by.algorithm !== key.algorithm) continue
      if (++tries > MAX_DIGEST_TRIES) {
        if (named.length > 0) return named
        throw new DnssecError('too-many-tries', 'too many keys and DS share a key tag')
      }
      if (await dsMatchesKey(by, owner, key, backend)) {
        named.push({ key, by })
        break
      }
    }
  }
  return named
}
