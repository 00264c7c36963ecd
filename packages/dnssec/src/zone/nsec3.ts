/**
 * The chain of NSEC3 records of a whole zone (RFC 5155 §7.1): every name with authority and every
 * empty non-terminal between it and the apex is hashed, each hash has a record that names the next
 * hash, the last the first, and each says which types its name has. With opt-out, delegations
 * without DS, and the empty non-terminals that lead to such only, may be left out (§6).
 *
 * Signatures are checked by zone.ts. What a few records out of the chain prove is nsec3.ts's business.
 */
import { ByteReader } from '@dslog/tlog/binary'
import { equal } from '@dslog/tlog/bytes'
import { TlogError } from '@dslog/tlog/error'
import { DnssecError } from '../error.ts'
import { labelCount, lastLabels, nextCloser, parentOf, wildcardOf, type Name } from '../name.ts'
import {
  MAX_ITERATIONS,
  NSEC3_OPT_OUT,
  NSEC3_SHA1,
  nsec3Hash,
  nsec3Link,
  type Nsec3Link,
} from '../nsec3.ts'
import { toBase32Hex } from '../presentation/binary.ts'
import { TYPE, type Nsec3 } from '../records.ts'
import type { DenialChain } from './chain.ts'
import {
  bitmapFault,
  bitmapTypes,
  zoneError,
  type ZoneContents,
  type ZoneNode,
} from './contents.ts'
import { lastNotAbove, parentKey } from './order.ts'

/** How names are hashed. */
type Parameters = Pick<Nsec3, 'algorithm' | 'flags' | 'iterations' | 'salt'>

type Link = Nsec3Link<{ readonly owner: Name; readonly rdata: Uint8Array; readonly node: ZoneNode }>

/** A name that has to be in the chain. */
interface Hashed {
  readonly name: Name
  /** None for an empty non-terminal. */
  readonly node: ZoneNode | undefined
  /** False if opt-out may leave it out. */
  readonly isRequired: boolean
}

const NO_TYPES: ReadonlySet<number> = new Set()

/**
 * Checks every chain that the NSEC3PARAM records of the apex name; records of other chains, which
 * are being built up or taken down, are left alone (RFC 5155 §10.4).
 * @returns the chains, none if the zone has no NSEC3PARAM that can be used
 * @throws DnssecError `bad-zone` that names the record that is missing or wrong, `bad-record`,
 *   `too-many-iterations`
 */
export function checkNsec3Chains(contents: ZoneContents): DenialChain[] {
  const { apex, hashes } = contents
  const links: Link[] = hashes.flatMap((node) =>
    node.sets.get(TYPE.NSEC3)!.rdatas.flatMap((rdata) => {
      const link = nsec3Link({ owner: node.name, rdata, node }, apex.name)
      return link === undefined ? [] : [link]
    }),
  )
  return (apex.sets.get(TYPE.NSEC3PARAM)?.rdatas ?? [])
    .map((rdata) => parseParameters(rdata))
    .filter(({ algorithm, flags }) => algorithm === NSEC3_SHA1 && flags === 0)
    .map((parameters) => {
      const own = links.filter(
        ({ iterations, salt }) =>
          iterations === parameters.iterations && equal(salt, parameters.salt),
      )
      return checkChain(contents, parameters, own)
    })
}

/** RFC 5155 §4.2. */
function parseParameters(rdata: Uint8Array): Parameters {
  try {
    const reader = new ByteReader(rdata)
    const [algorithm, flags, iterations] = [reader.u8(), reader.u8(), reader.u16()]
    const salt = reader.bytes(reader.u8())
    reader.done()
    return { algorithm, flags, iterations, salt }
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new DnssecError('bad-record', `malformed NSEC3PARAM record: ${cause.message}`, { cause })
  }
}

function checkChain(contents: ZoneContents, parameters: Parameters, links: Link[]): DenialChain {
  const { apex } = contents
  const { salt, iterations } = parameters
  if (iterations > MAX_ITERATIONS) {
    throw new DnssecError('too-many-iterations', `NSEC3 of ${iterations} iterations`)
  }
  if (links.length === 0) throw zoneError(apex.name, TYPE.NSEC3, 'missing, and with it all others')

  const hashOf = (name: Name): string =>
    toBase32Hex(nsec3Hash(name, salt, iterations)).toLowerCase()
  const hashed = new Map(hashedNames(contents).map((entry) => [hashOf(entry.name), entry]))
  links.sort((a, b) => (a.from < b.from ? -1 : 1))
  const hashes = links.map((link) => link.from)
  for (const [i, link] of links.entries()) {
    const owner = link.source.owner
    if (hashes[i - 1] === link.from) throw zoneError(owner, TYPE.NSEC3, 'more than one')
    const entry = hashed.get(link.from)
    if (entry === undefined) {
      throw zoneError(owner, TYPE.NSEC3, 'the hash of no name that the zone holds')
    }
    const types = entry.node === undefined ? NO_TYPES : bitmapTypes(entry.node)
    const fault = bitmapFault(link.types, types)
    if (fault !== undefined) throw zoneError(entry.name, TYPE.NSEC3, `the bitmap ${fault}`)
  }

  const over = (hash: string): Link => links.at(lastNotAbove(hashes, hash))!
  for (const [hash, { name, isRequired }] of hashed) {
    const link = over(hash)
    if (link.from === hash) continue
    if (isRequired) throw zoneError(name, TYPE.NSEC3, 'missing')
    if ((link.flags & NSEC3_OPT_OUT) === 0) {
      throw zoneError(name, TYPE.NSEC3, 'missing, and the record over its hash is not opt-out')
    }
  }
  for (const [i, link] of links.entries()) {
    const following = hashes[(i + 1) % hashes.length]
    if (link.to === following) continue
    const what = `names ${link.to} as the next hash, but that is ${following}`
    throw zoneError(link.source.owner, TYPE.NSEC3, what)
  }

  return {
    type: TYPE.NSEC3,
    isOptOut: links.some((link) => (link.flags & NSEC3_OPT_OUT) !== 0),
    proofOf(owner) {
      const hash = hashOf(owner)
      const match = over(hash)
      if (match.from === hash) return [match.source.node]
      let encloser = owner
      for (let labels = labelCount(owner) - 1; ; labels--) {
        encloser = lastLabels(owner, labels)
        const own = hashOf(encloser)
        const link = over(own)
        if (link.from !== own) continue
        const next = over(hashOf(nextCloser(owner, encloser)))
        const wildcard = over(hashOf(wildcardOf(encloser)))
        return [...new Set([link, next, wildcard].map((found) => found.source.node))]
      }
    },
  }
}

/** All names that may be in the chain: those with authority, and the empty non-terminals above them. */
function hashedNames({ apex, names }: ZoneContents): Hashed[] {
  const all = new Map<string, Hashed>()
  for (const node of names) {
    const isRequired = !node.isCut || node.sets.has(TYPE.DS)
    all.set(node.key, { name: node.name, node, isRequired })
  }
  // Canonical order puts a name behind those above it, so every empty one met here has no records.
  const withRecords = [...all]
  for (const [own, { name, isRequired }] of withRecords) {
    let above = name
    for (let key = upTo(own, apex); key !== undefined; key = upTo(key, apex)) {
      above = parentOf(above)
      const found = all.get(key)
      if (found !== undefined && (found.node !== undefined || found.isRequired || !isRequired)) {
        break
      }
      all.set(key, { name: above, node: undefined, isRequired })
    }
  }
  return [...all.values()]
}

/** The key above, while it is below the apex. */
function upTo(key: string, apex: ZoneNode): string | undefined {
  if (key === apex.key) return undefined
  const above = parentKey(key)
  return above === apex.key ? undefined : above
}
