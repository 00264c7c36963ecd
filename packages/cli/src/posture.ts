/**
 * How well a delegation is protected, as far as the DNS shows: algorithms and digests of its DS records
 * (RFC 8624, 9905), whether keys are announced by CDS (RFC 7344), and whether certificates are bound to an
 * account (CAA `accounturi`, RFC 8657), without which a swapped DS is enough to get one.
 */
import { parseDs, type RR } from '@dslog/dnssec/records'
import { rdataToText } from '@dslog/dnssec/rdata'

/** Types that are asked for (IANA). */
export const POSTURE_TYPES = { CDS: 59, CAA: 257 } as const

/** A remark; `weak` where something should be changed. */
export interface Remark {
  readonly weak: boolean
  readonly text: string
}

/** Algorithms (IANA, DNS Security Algorithm Numbers). */
const ALGORITHMS: Readonly<Record<number, string>> = {
  5: 'RSASHA1',
  7: 'RSASHA1-NSEC3-SHA1',
  8: 'RSASHA256',
  10: 'RSASHA512',
  13: 'ECDSAP256SHA256',
  14: 'ECDSAP384SHA384',
  15: 'ED25519',
  16: 'ED448',
}
const SHA1_ALGORITHMS: ReadonlySet<number> = new Set([5, 7])
const DIGESTS: Readonly<Record<number, string>> = { 1: 'SHA-1', 2: 'SHA-256', 4: 'SHA-384' }
const SHA1_DIGEST = 1

/** Remarks on DS records. */
export function dsRemarks(rdatas: readonly Uint8Array[]): Remark[] {
  if (rdatas.length === 0) return [{ weak: true, text: 'not signed: no DS records' }]
  return rdatas.map((rdata) => {
    const { algorithm, digestType, tag } = parseDs(rdata)
    const how = ALGORITHMS[algorithm] ?? `algorithm ${algorithm}`
    const digest = DIGESTS[digestType] ?? `digest type ${digestType}`
    const weak = SHA1_ALGORITHMS.has(algorithm) || digestType === SHA1_DIGEST
    const unknown = !(algorithm in ALGORITHMS) || !(digestType in DIGESTS)
    const note = weak ? ': SHA-1 is to be replaced' : unknown ? ': resolvers may not know it' : ''
    return { weak: weak || unknown, text: `DS ${tag}: ${how}, ${digest}${note}` }
  })
}

/** Remarks on CDS records of the name. */
export function cdsRemarks(records: readonly RR[]): Remark[] {
  const found = records.filter(({ type }) => type === POSTURE_TYPES.CDS)
  if (found.length === 0) return [{ weak: false, text: 'CDS: none' }]
  return found.map(({ rdata }) => {
    // RFC 8078 section 4: algorithm 0 asks for the DS to be removed.
    const isDelete = rdata[2] === 0
    const text = isDelete ? 'asks the parent to remove the DS' : hexOf(rdata)
    return { weak: isDelete, text: `CDS: ${text}` }
  })
}

/** Remarks on CAA records of the name. */
export function caaRemarks(records: readonly RR[]): Remark[] {
  const found = records.filter(({ type }) => type === POSTURE_TYPES.CAA)
  if (found.length === 0) {
    return [{ weak: true, text: 'CAA: none: every authority may issue certificates' }]
  }
  return found.map(({ rdata, type }) => {
    const text = rdataToText(type, rdata)
    const issues = /^\d+ issue(wild)?\s/.test(text) && !/"\s*;?\s*"$/.test(text)
    const bound = /accounturi\s*=/i.test(text)
    const note = issues && !bound ? ': not bound to an account (accounturi, RFC 8657)' : ''
    return { weak: issues && !bound, text: `CAA: ${text}${note}` }
  })
}

function hexOf(rdata: Uint8Array): string {
  const { algorithm, digestType, tag } = parseDs(rdata)
  return `${tag} ${algorithm} ${digestType}, announced`
}
