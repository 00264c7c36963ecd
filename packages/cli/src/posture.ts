/**
 * How well a delegation is protected, as far as the DNS shows: algorithms and digests of its DS records
 * (RFC 8624, 9905), whether keys are announced by CDS (RFC 7344), and whether certificates are bound to an
 * account (CAA `accounturi`, RFC 8657), without which a swapped DS is enough to get one.
 */
import { ALGORITHM, DIGEST, isDigestType, SUPPORTED } from '@dslog/dnssec/backend/backend'
import { parseDsSet } from '@dslog/dnssec/ds'
import { dsToText, type RR, TYPE } from '@dslog/dnssec/records'
import { rdataToText } from '@dslog/dnssec/rdata'
import { algorithmText, digestText } from '@dslog/dnssec/words'

/** A remark; `weak` where something should be changed. */
export interface Remark {
  readonly weak: boolean
  readonly text: string
}

const SHA1_ALGORITHMS: ReadonlySet<number> = new Set([
  ALGORITHM.RSASHA1,
  ALGORITHM.RSASHA1_NSEC3_SHA1,
])

/** Remarks on DS records. */
export function dsRemarks(rdatas: readonly Uint8Array[]): Remark[] {
  if (rdatas.length === 0) return [{ weak: true, text: 'not signed: no DS records' }]
  return rdatas.map((rdata) => {
    const [ds] = parseDsSet([rdata])
    // A zone may sign whatever it likes.
    if (ds === undefined) return { weak: true, text: `DS ${dsToText(rdata)}: of no use to anybody` }
    const { algorithm, digestType, tag } = ds
    const weak = SHA1_ALGORITHMS.has(algorithm) || digestType === DIGEST.SHA1
    const unknown = !SUPPORTED.has(algorithm) || !isDigestType(digestType)
    const note = weak ? ': SHA-1 is to be replaced' : unknown ? ': resolvers may not know it' : ''
    const how = `${algorithmText(algorithm)}, ${digestText(digestType)}`
    return { weak: weak || unknown, text: `DS ${tag}: ${how}${note}` }
  })
}

/** Remarks on CDS records of the name. */
export function cdsRemarks(records: readonly RR[]): Remark[] {
  const found = records.filter(({ type }) => type === TYPE.CDS)
  if (found.length === 0) return [{ weak: false, text: 'CDS: none' }]
  return found.map(({ rdata }) => {
    // RFC 8078 section 4: algorithm 0 asks for the DS to be removed.
    const isDelete = rdata[2] === 0
    const text = isDelete ? 'asks the parent to remove the DS' : `${dsToText(rdata)}, announced`
    return { weak: isDelete, text: `CDS: ${text}` }
  })
}

/** Remarks on CAA records of the name. */
export function caaRemarks(records: readonly RR[]): Remark[] {
  const found = records.filter(({ type }) => type === TYPE.CAA)
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
