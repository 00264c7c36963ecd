/** NSEC3 chains for tests: whole ones from names, and single links from hashes. */
import { fromHex } from '@dslog/tlog/bytes'
import { compareCanonical, nameFromText, nameToText, type Name } from '../src/name.ts'
import { nsec3Hash, nsec3Owner } from '../src/nsec3.ts'
import { toBase32Hex } from '../src/presentation/binary.ts'
import { TYPE, type RR } from '../src/records.ts'
import { KEY, ZONE } from './deny.ts'
import { NOW, record, signed, type SignOptions } from './sign.ts'

/** Parameters of a chain. */
export interface Options {
  salt?: string
  iterations?: number
  /** 1 is opt-out. */
  flags?: number
  algorithm?: number
}

function hashOf(name: Name, { salt = '', iterations = 0 }: Options): Uint8Array {
  return nsec3Hash(name, fromHex(salt), iterations)
}

/** The owner of a name's NSEC3, as text. */
export function owner3(name: string, options: Options = {}): string {
  return nameToText(nsec3Owner(hashOf(nameFromText(name), options), ZONE))
}

/** One record from `from` to `to`, hashes in text. */
export function link(
  from: string,
  to: string,
  types: string,
  options: Options = {},
  sign?: SignOptions,
): Promise<RR[]> {
  const { salt = '', iterations = 0, flags = 0, algorithm = 1 } = options
  const rdata = `${algorithm} ${flags} ${iterations} ${salt || '-'} ${to} ${types}`
  return signed([record(`${from}.example.`, 'NSEC3', rdata)], KEY, ZONE, sign)
}

/** The whole chain of these names and types, one NSEC3 each, each signed a second earlier than the last. */
export async function chain(names: Record<string, string>, options: Options = {}): Promise<RR[]> {
  const hashes = Object.keys(names)
    .map((name, i) => ({
      hash: toBase32Hex(hashOf(nameFromText(name), options)).toLowerCase(),
      types: names[name]!,
      inception: NOW - 100 - i,
    }))
    .sort((a, b) => (a.hash < b.hash ? -1 : 1))
  const records = await Promise.all(
    hashes.map(({ hash, types, inception }, i) => {
      const next = hashes[(i + 1) % hashes.length]!.hash
      return link(hash, next, types, options, { inception })
    }),
  )
  return records.flat()
}

/** The owner of the record of the bag that covers `name`. */
export function coverOf(bag: readonly RR[], name: string, options: Options = {}): string {
  const hash = hashOf(nameFromText(name), options)
  const target = nsec3Owner(hash, ZONE)
  const owners = bag
    .filter((r) => r.type === TYPE.NSEC3)
    .map((r) => r.owner)
    .sort(compareCanonical)
  const below = owners.filter((o) => compareCanonical(o, target) < 0)
  return nameToText((below.at(-1) ?? owners.at(-1))!)
}
