/**
 * Candidates without signatures: what a sequencer takes, made up. A root and top-level domains with
 * one key set each under an anchor of their own, and any number of names below them, each of which
 * may change its DS any number of times. The sequencer takes only evidence that has been verified, so
 * it never looks at these signatures; everything else about them is as it should be.
 */
import { createHash, randomBytes } from 'node:crypto'
import { ByteWriter } from '@dslog/tlog/binary'
import { concat } from '@dslog/tlog/bytes'
import { asHash, type Hash } from '@dslog/tlog/hash'
import type { Anchor } from '@dslog/dnssec/anchors'
import { ALGORITHM, DIGEST } from '@dslog/dnssec/backend/backend'
import { labelCount, type Name, nameFromText, ROOT } from '@dslog/dnssec/name'
import { TYPE } from '@dslog/dnssec/records'
import { keysId, stateId } from '@dslog/schema/identity'
import { DAY } from '@dslog/schema/time'
import type { KeysCandidate, StateCandidate } from '@dslog/verify/candidate'
import { randomFrom } from '@dslog/testbed/random'

/** Zones below the root that sign the names: as many as there are top-level domains. */
const ZONES = 1_500
/** The n-th zone has 1/n^1.2 as many names as the first: a few registries hold most of what is signed. */
const SKEW = 1.2
/** Signatures of P-256 and of RSA-2048, turn about: entries are 290 bytes long in the mean. */
const SIGNATURE_BYTES = [64, 256] as const
const TTL = 86_400
/** Seconds since the Unix epoch: 2024-01-01. */
const INCEPTION = 1_704_067_200
/** Everything is valid for twenty years. */
const WINDOW = { notBefore: INCEPTION * 1000, notAfter: (INCEPTION + 20 * 365 * 86_400) * 1000 }

/** When a log of these may begin, ms since the Unix epoch. */
export const START: number = WINDOW.notBefore + DAY

interface Zone {
  readonly name: Name
  readonly keysId: Hash
  readonly keys: readonly Uint8Array[]
  /** RDATA of a signature by those keys. */
  readonly rrsig: Uint8Array
}

/** The made-up world. */
export class Evidence {
  readonly anchors: readonly Anchor[]
  readonly #root: Zone
  readonly #zones: readonly Zone[]
  readonly #digest = digestOf('anchor')
  /** Which share of the names lies in this zone and those before it. */
  readonly #shares: readonly number[]

  constructor() {
    const from = WINDOW.notBefore
    const digest = this.#digest
    const fields = { tag: 1, algorithm: ALGORITHM.RSASHA256, digestType: DIGEST.SHA256 }
    this.anchors = [{ ...fields, digest, from }]
    this.#root = zoneOf(ROOT, 0)
    this.#zones = Array.from({ length: ZONES }, (_, i) => zoneOf(nameFromText(`tld${i}.`), i))
    this.#shares = sharesOf(ZONES)
  }

  /** Keys of the root and of every zone below it: what names hang from. */
  keys(): KeysCandidate[] {
    const root = this.#root
    const links = this.#zones.map((zone) => {
      const ds = [dsOf(zone.name, 0)]
      const rrsig = rrsigOf(root, TYPE.DS, 1, zone.keysId)
      return keysOf(zone, { zone: root.name, keysId: root.keysId, ds, rrsig })
    })
    return [keysOf(root, { tag: 1, digest: this.#digest }), ...links]
  }

  /** The name of this number. */
  name(index: number): Name {
    return nameFromText(`name-${index}.tld${this.#zoneOf(index)}.`)
  }

  /** The `version`-th DS of name `index`. */
  state(index: number, version: number): StateCandidate {
    const owner = this.name(index)
    const zone = this.#zones[this.#zoneOf(index)]!
    const ds = [dsOf(owner, version)]
    const rrsig = rrsigOf(zone, TYPE.DS, 2, ds[0]!.subarray(4))
    return {
      kind: 'state',
      owner,
      zone: zone.name,
      keysId: zone.keysId,
      stateId: stateId(owner, zone.name, ds),
      evidence: { ds, rrsig },
      orderKey: INCEPTION + version,
      window: WINDOW,
      insecure: false,
    }
  }

  #zoneOf(index: number): number {
    const share = randomFrom(index)()
    let [low, high] = [0, ZONES - 1]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#shares[middle]! > share) high = middle
      else low = middle + 1
    }
    return low
  }
}

function sharesOf(zones: number): number[] {
  const shares: number[] = []
  let sum = 0
  for (let n = 1; n <= zones; n++) {
    sum += n ** -SKEW
    shares.push(sum)
  }
  return shares.map((share) => share / sum)
}

function zoneOf(name: Name, index: number): Zone {
  const keys = [concat(Uint8Array.of(1, 1, 3, ALGORITHM.RSASHA256), digestOf(`key ${index}`))]
  const rrsig = templateOf(name, SIGNATURE_BYTES[index % SIGNATURE_BYTES.length]!)
  return { name, keys, keysId: keysId(name, keys), rrsig }
}

function keysOf(zone: Zone, link: KeysCandidate['link']): KeysCandidate {
  const { keys, name } = zone
  const rrsig = rrsigOf(zone, TYPE.DNSKEY, labelCount(name), zone.keysId)
  const head = { kind: 'keys', zone: name, keysId: zone.keysId, keys } as const
  return { ...head, rrsig, link, orderKey: INCEPTION, window: WINDOW }
}

/** A DS of digest type 2, no two alike. */
function dsOf(owner: Name, version: number): Uint8Array {
  const digest = createHash('sha256').update(owner).update(String(version)).digest()
  return concat(Uint8Array.of(1, 1, ALGORITHM.ECDSAP256SHA256, DIGEST.SHA256), digest)
}

/** The form of an RRSIG, its signature made of noise; for speed most of it is that of the zone's other signatures. */
function rrsigOf(zone: Zone, type: number, labels: number, mark: Uint8Array): Uint8Array {
  const rrsig = zone.rrsig.slice()
  rrsig[1] = type
  rrsig[3] = labels
  rrsig.set(mark, rrsig.length - mark.length)
  return rrsig
}

function templateOf(zone: Name, signatureBytes: number): Uint8Array {
  return new ByteWriter()
    .u16(TYPE.DS)
    .u8(ALGORITHM.RSASHA256)
    .u8(0)
    .u32(TTL)
    .u32(INCEPTION + 30 * 86_400)
    .u32(INCEPTION)
    .u16(1)
    .bytes(zone)
    .bytes(randomBytes(signatureBytes))
    .finish()
}

function digestOf(text: string): Hash {
  return asHash(new Uint8Array(createHash('sha256').update(text).digest()))
}
