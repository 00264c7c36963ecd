/**
 * The chain of NSEC records of a whole zone (RFC 4034 §4, RFC 4035 §2.3): every name with authority
 * has one, each names the next in canonical order, the last the apex, and each says which types its
 * owner has. Where the chain is closed, nothing was taken out of the zone and nothing put in.
 *
 * Signatures are checked by zone.ts. What a few records out of the chain prove is nsec.ts's business.
 */
import { commonAncestor, nameToText, wildcardOf, type Name } from '../name.ts'
import { parseNsec, TYPE } from '../records.ts'
import type { DenialChain } from './chain.ts'
import {
  bitmapFault,
  bitmapTypes,
  singleRdata,
  zoneError,
  type ZoneContents,
  type ZoneNode,
} from './contents.ts'
import { lastNotAbove, orderKey } from './order.ts'

/**
 * Checks the chain of a zone whose apex has an NSEC.
 * @throws DnssecError `bad-zone` that names the record that is missing or wrong, `bad-record`
 */
export function checkNsecChain({ apex, names }: ZoneContents): DenialChain {
  for (const [i, node] of names.entries()) {
    const rdata = singleRdata(node, TYPE.NSEC)
    const following = names[i + 1] ?? apex
    if (rdata === undefined) {
      const hint = following === apex ? ', and the zone ends here: it may be cut off' : ''
      throw zoneError(node.name, TYPE.NSEC, `missing${hint}`)
    }
    const nsec = parseNsec(rdata)
    const nextKey = orderKey(nsec.next)
    if (nextKey !== following.key) {
      throw zoneError(node.name, TYPE.NSEC, wrongNext(nsec.next, nextKey, names[i + 1]))
    }
    const fault = bitmapFault(nsec.types, bitmapTypes(node))
    if (fault !== undefined) throw zoneError(node.name, TYPE.NSEC, `the bitmap ${fault}`)
  }

  const keys = names.map((node) => node.key)
  const at = (name: Name): ZoneNode => names[lastNotAbove(keys, orderKey(name))] ?? apex
  return {
    type: TYPE.NSEC,
    isOptOut: false,
    proofOf(owner) {
      const node = at(owner)
      const { next } = parseNsec(singleRdata(node, TYPE.NSEC)!)
      // Both ends of the gap exist, so what the name shares with the nearer of them does too.
      const left = commonAncestor(owner, node.name)
      const right = commonAncestor(owner, next)
      const encloser = left.length > right.length ? left : right
      const isMatch = node.key === orderKey(owner)
      return isMatch ? [node] : [...new Set([node, at(wildcardOf(encloser))])]
    },
  }
}

function wrongNext(next: Name, nextKey: string, following: ZoneNode | undefined): string {
  const named = `names ${nameToText(next)} as the next name`
  if (following === undefined) {
    return `${named}, but the zone ends here: it is cut off, or that name was removed`
  }
  return nextKey > following.key
    ? `${named} and leaves out ${nameToText(following.name)}`
    : `${named}, which the zone does not hold`
}
