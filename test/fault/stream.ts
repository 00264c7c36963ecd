/**
 * A stream of DS changes on a small signed internet, the same for everybody who makes it: the process that is killed, the
 * one after it, and the test, which knows from it what every observation said. A step is an hour, a change of one
 * delegation, and what an observer of it submits; now and then a zone rolls a key.
 */
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { Hash } from '@dslog/tlog/hash'
import type { Observation } from '@dslog/schema/api'
import { stateId } from '@dslog/schema/identity'
import { HOUR } from '@dslog/schema/time'
import { type Authority, Internet } from '@dslog/testbed/internet'
import { dsOf, KSK, ZSK } from '@dslog/testbed/key'
import { ownerKey } from '@dslog/testbed/stories'
import { randomFrom } from '@dslog/testbed/random'
import { observe } from '../testlog.ts'

/** Names whose delegations change: more than are submitted at once, so that what is concurrent is independent. */
const OWNERS_PER_ZONE = 4

/** One change, as submitted. */
export interface Step {
  readonly number: number
  readonly observation: Observation
  /** Identity of the state that it shows. */
  readonly stateId: Hash
}

/** See the head of this file. */
export class Stream {
  readonly net: Internet
  readonly #zones: readonly Authority[]
  readonly #random: () => number
  readonly #generations = new Map<Authority, number>()
  #next = 0

  constructor(seed = 1) {
    const algorithm = ALGORITHM.ED25519
    this.net = new Internet({ root: { algorithm } })
    this.#zones = [
      this.net.addZone('fi.', { algorithm }),
      this.net.addZone('se.', { algorithm, denial: { nsec3: {} } }),
      this.net.addZone('uk.', { algorithm }),
      this.net.addZone('co.uk.', { algorithm, split: false }),
    ]
    this.#random = randomFrom(seed)
  }

  /** The step of this number; those between are gone through, and not to be had any more. */
  step(number: number): Step {
    if (number < this.#next) throw new RangeError(`step ${number} is over`)
    for (;;) {
      const { ds, owner, zone } = this.#change()
      if (this.#next <= number) continue
      const observation = observe(this.net, owner)
      return { number, observation, stateId: stateId(owner, zone.name, ds) }
    }
  }

  #change(): { owner: Name; zone: Authority; ds: readonly Uint8Array[] } {
    const number = this.#next++
    const zone = this.#zones[number % this.#zones.length]!
    const turn = Math.floor(number / this.#zones.length) % OWNERS_PER_ZONE
    const owner = nameFromText(`name${turn}`, zone.name)
    this.net.clock.advance(HOUR)
    const kind = this.#random()
    const key = (): Uint8Array => dsOf(owner, ownerKey(owner, 1 + Math.floor(this.#random() * 6)))
    let ds: Uint8Array[] = []
    if (kind < 0.6) ds = [key()]
    else if (kind < 0.75) ds = unique([key(), key()])
    if (kind > 0.9) zone.undelegate(owner)
    else zone.delegate(owner, ds)
    if (number % 11 === 10) this.#roll(zone)
    return { owner, zone, ds }
  }

  /** A new key that signs the zone, from one hour to the next; the DS stays as it is. */
  #roll(zone: Authority): void {
    const generation = (this.#generations.get(zone) ?? 1) + 1
    this.#generations.set(zone, generation)
    const [first] = zone.keys
    if (first === undefined) throw new Error('a zone without keys')
    const ksk = zone.keys.filter(({ flags }) => flags === KSK)
    zone.setKeys([...ksk, zone.makeKey(ZSK, first.algorithm, generation)])
  }
}

function unique(set: readonly Uint8Array[]): Uint8Array[] {
  return [...new Map(set.map((rdata) => [rdata.join(), rdata])).values()]
}
