/**
 * What happens to the DS of a name, as stories: each goes on step by step, and says after each what a
 * validator must find. Between two steps the reader asks `Internet.evidence`, submits, crawls, looks
 * for alerts; the clock goes on by `step` before each change.
 *
 *     for (const { what, finding } of STORIES.replaced(net, owner)) { … net.evidence(owner) … }
 *
 * A story needs a zone above the owner; it leaves the zone in the state it says last.
 */
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import type { DnssecErrorCode } from '@dslog/dnssec/error'
import {
  labelCount,
  lastLabels,
  nameFromText,
  nameToText,
  wildcardOf,
  type Name,
} from '@dslog/dnssec/name'
import { FLAG_SEP, TYPE } from '@dslog/dnssec/records'
import { DAY } from '@dslog/schema/time'
import { record, type Authority, type Internet } from './internet.ts'
import { dsOf, KSK, revoked, zoneKey, ZSK, type ZoneKey } from './key.ts'

/** What a validator must find after a step. */
export type Finding =
  | {
      readonly verdict: 'present'
      /** RDATA of the DS RRset, in any order. */
      readonly ds: readonly Uint8Array[]
      /** Signed, but of no use to resolvers. */
      readonly insecure?: boolean
    }
  | { readonly verdict: 'absent' }
  | { readonly verdict: 'unverifiable'; readonly code: DnssecErrorCode }

/** One step of a story. */
export interface Step {
  /** What happened, for people. */
  readonly what: string
  readonly finding: Finding
}

/** A story about the DS of `owner`. */
export type Story = (net: Internet, owner: Name) => Generator<Step, void, undefined>

/** How far the clock goes on before each step, in ms: past the inception of every signature before. */
export const STEP: number = DAY

/** A key-signing key of the owner of a story: the same for the same algorithm and generation. */
export function ownerKey(
  owner: Name,
  generation = 1,
  algorithm: number = ALGORITHM.ECDSAP256SHA256,
): ZoneKey {
  return zoneKey({ algorithm, flags: KSK, seed: `${nameToText(owner)} ${generation}` })
}

/** The DS of such a key. */
export function ownerDs(owner: Name, generation?: number, algorithm?: number): Uint8Array {
  return dsOf(owner, ownerKey(owner, generation, algorithm))
}

/** The stage of a story: the zone above the owner, and the steps. */
class Stage {
  readonly owner: Name
  readonly zone: Authority
  readonly #net: Internet

  constructor(net: Internet, owner: Name) {
    this.owner = owner
    this.zone = net.parentOf(owner)
    this.#net = net
  }

  /** The DS of one of the owner's keys. */
  ds(generation: number, algorithm?: number): Uint8Array {
    return ownerDs(this.owner, generation, algorithm)
  }

  /** Time passes, something is done, and the zone is signed. */
  step(what: string, finding: Finding, change: () => void): Step {
    this.#net.clock.advance(STEP)
    change()
    this.zone.sign()
    return { what, finding }
  }

  /** The zone delegates the owner with these DS records. */
  delegated(what: string, ...ds: Uint8Array[]): Step {
    const finding: Finding = ds.length > 0 ? { verdict: 'present', ds } : ABSENT
    return this.step(what, finding, () => this.zone.delegate(this.owner, ds))
  }
}

const ABSENT: Finding = { verdict: 'absent' }

/** Delegated, and never signed. */
function* unsigned(net: Internet, owner: Name): ReturnType<Story> {
  yield new Stage(net, owner).delegated('delegated without a DS')
}

/** Delegated, then signed. */
function* signed(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  yield stage.delegated('delegated without a DS')
  yield stage.delegated('a DS is added', stage.ds(1))
}

/** The owner rolls over its key: both DS for a while. */
function* replaced(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  yield stage.delegated('delegated with a DS', stage.ds(1))
  yield stage.delegated('a second DS is added', stage.ds(1), stage.ds(2))
  yield stage.delegated('the first DS is removed', stage.ds(2))
}

/** What a coerced registry does: another DS from one moment to the next, and back. */
function* swapped(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  yield stage.delegated('delegated with a DS', stage.ds(1))
  yield stage.delegated('the DS is swapped for another', stage.ds(666))
  yield stage.delegated('the DS is put back', stage.ds(1))
}

/** The owner gives up DNSSEC, and takes it up again. */
function* insecure(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  yield stage.delegated('delegated with a DS', stage.ds(1))
  yield stage.delegated('the DS is removed')
  yield stage.delegated('a DS is added again', stage.ds(2))
}

/** The name leaves the zone, and comes back. */
function* gone(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  yield stage.delegated('delegated with a DS', stage.ds(1))
  yield stage.step('the delegation is removed', ABSENT, () => stage.zone.undelegate(owner))
  yield stage.delegated('somebody else registers the name', stage.ds(2))
}

/** The name is left as an empty non-terminal: nothing at it, but names below it. */
function* emptyNonTerminal(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  const below = nameFromText('below', owner)
  yield stage.delegated('delegated with a DS', stage.ds(1))
  yield stage.step('only a name below it is left', ABSENT, () => {
    stage.zone.undelegate(owner)
    stage.zone.delegate(below, [ownerDs(below)])
  })
}

/** The name leaves the zone, which answers for it with a wildcard. */
function* wildcard(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  const { zone } = stage
  const nearest = lastLabels(owner, Math.max(labelCount(zone.name), labelCount(owner) - 1))
  yield stage.delegated('delegated with a DS', stage.ds(1))
  yield stage.step('a wildcard answers in its place', ABSENT, () => {
    zone.undelegate(owner)
    zone.add(record(wildcardOf(nearest), 'TXT', '"for sale"'))
  })
}

/** The owner changes its algorithm, with both for a while. */
function* algorithmChange(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  const before = stage.ds(1, ALGORITHM.ECDSAP256SHA256)
  const after = stage.ds(1, ALGORITHM.ED25519)
  yield stage.delegated('delegated with a DS for ECDSA', before)
  yield stage.delegated('a DS for Ed25519 is added', before, after)
  yield stage.delegated('the DS for ECDSA is removed', after)
}

/** The DS is for an algorithm that nobody knows: resolvers treat the name as unsigned. */
function* unusable(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  const strange = stage.ds(1).slice()
  strange[2] = 253
  yield stage.delegated('delegated with a DS', stage.ds(1))
  const finding: Finding = { verdict: 'present', ds: [strange], insecure: true }
  yield stage.step('the DS is replaced by one of a private algorithm', finding, () => {
    stage.zone.delegate(owner, [strange])
  })
}

/** The parent rolls over its zone-signing key, then its key-signing key; the DS stays as it is. */
function* parentRoll(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  const { zone } = stage
  const ds = [stage.ds(1)]
  const finding: Finding = { verdict: 'present', ds }
  const algorithm = zone.keys[0]!.algorithm
  const [zsk, ksk] = [zone.makeKey(ZSK, algorithm, 2), zone.makeKey(KSK, algorithm, 2)]
  const isKsk = ({ flags }: ZoneKey): boolean => (flags & FLAG_SEP) !== 0
  const oldKsk = zone.keys.filter(isKsk)
  const oldZsk = zone.keys.filter((key) => !isKsk(key))
  const hangFrom = (): void => zone.parent?.delegate(zone.name, zone.dsRecords())

  yield stage.delegated('delegated with a DS', ...ds)
  yield stage.step('the parent publishes a new zone-signing key', finding, () =>
    zone.setKeys([...oldKsk, ...oldZsk], [zsk]),
  )
  yield stage.step('the parent signs with it', finding, () =>
    zone.setKeys([...oldKsk, zsk], oldZsk),
  )
  yield stage.step('the parent signs its keys with two key-signing keys', finding, () => {
    zone.setKeys([...oldKsk, ksk, zsk])
    hangFrom()
  })
  yield stage.step('the parent revokes the old one', finding, () => {
    zone.setKeys([...oldKsk.map(revoked), ksk, zsk])
    hangFrom()
  })
  yield stage.step('the parent removes the old one', finding, () => zone.setKeys([ksk, zsk]))
}

/** The parent changes its algorithm: everything is signed with both for a while (RFC 6781 §4.1.4). */
function* parentAlgorithm(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  const { zone } = stage
  const ds = [stage.ds(1)]
  const finding: Finding = { verdict: 'present', ds }
  const before = zone.keys
  const other =
    before[0]!.algorithm === ALGORITHM.ED25519 ? ALGORITHM.ECDSAP256SHA256 : ALGORITHM.ED25519
  const after = before.map(({ flags }) => zone.makeKey(flags, other))
  const hangFrom = (): void => zone.parent?.delegate(zone.name, zone.dsRecords())

  yield stage.delegated('delegated with a DS', ...ds)
  yield stage.step('the parent signs with both algorithms', finding, () =>
    zone.setKeys([...before, ...after]),
  )
  yield stage.step('the parent’s own DS names both', finding, hangFrom)
  yield stage.step('the parent signs with the new algorithm only', finding, () => {
    zone.setKeys(after)
    hangFrom()
  })
}

/** A registry is coerced and dates the signature of another DS back: new to the log, and out of order. */
function* backdated(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  const { zone } = stage
  const ds = [stage.ds(666)]
  yield stage.delegated('delegated with a DS', stage.ds(1))
  yield stage.step('another DS, its signature dated back', { verdict: 'present', ds }, () => {
    const { inception, expiration } = zone.window()
    const back = inception - (3 * DAY) / 1000
    zone.delegate(owner, ds)
    zone.makeOdd(owner, TYPE.DS, { window: { inception: back, expiration } })
  })
  yield stage.step('the first DS again', { verdict: 'present', ds: [stage.ds(1)] }, () => {
    zone.makeOdd(owner, TYPE.DS, undefined)
    zone.delegate(owner, [stage.ds(1)])
  })
}

/** The signature of a DS that was never changed is wrong in one way after the other. */
function* faulty(net: Internet, owner: Name): ReturnType<Story> {
  const stage = new Stage(net, owner)
  const { zone } = stage
  const day = DAY / 1000
  const odd = (what: string, code: DnssecErrorCode, change: () => void): Step =>
    stage.step(what, { verdict: 'unverifiable', code }, change)
  yield stage.delegated('delegated with a DS', stage.ds(1))
  yield odd('its signature is left to expire', 'expired', () => {
    const { inception } = zone.window()
    const window = { inception: inception - 9 * day, expiration: inception - day }
    zone.makeOdd(owner, TYPE.DS, { window })
  })
  yield odd('its signature is of the future', 'not-yet-valid', () => {
    const { inception, expiration } = zone.window()
    zone.makeOdd(owner, TYPE.DS, { window: { inception: inception + day, expiration } })
  })
  yield odd('its signature does not verify', 'bad-signature', () =>
    zone.makeOdd(owner, TYPE.DS, 'bad'),
  )
  yield odd('its signature is left out', 'no-signature', () =>
    zone.makeOdd(owner, TYPE.DS, 'missing'),
  )
  const finding: Finding = { verdict: 'present', ds: [stage.ds(1)] }
  yield stage.step('everything is well again', finding, () =>
    zone.makeOdd(owner, TYPE.DS, undefined),
  )
}

/** The name of a story. */
export type StoryName =
  | 'unsigned'
  | 'signed'
  | 'replaced'
  | 'swapped'
  | 'insecure'
  | 'gone'
  | 'emptyNonTerminal'
  | 'wildcard'
  | 'algorithmChange'
  | 'unusable'
  | 'parentRoll'
  | 'parentAlgorithm'
  | 'backdated'
  | 'faulty'

/** All stories by name. */
export const STORIES: Readonly<Record<StoryName, Story>> = {
  unsigned,
  signed,
  replaced,
  swapped,
  insecure,
  gone,
  emptyNonTerminal,
  wildcard,
  algorithmChange,
  unusable,
  parentRoll,
  parentAlgorithm,
  backdated,
  faulty,
}
