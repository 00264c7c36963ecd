/**
 * Random streams of observations, and the logs they make: several owners, live and from archives, signed
 * now or dated back, shown again, removed, under keys that roll.
 */
import fc from 'fast-check'
import { nodeBackend } from '@dslog/dnssec/backend/node'
import type { RR } from '@dslog/dnssec/records'
import { isBelow, type Name, nameFromText } from '@dslog/dnssec/name'
import { DAY, HOUR } from '@dslog/schema/time'
import type { Candidate, Moment } from '@dslog/verify/candidate'
import { VerifyError } from '@dslog/verify/error'
import { rememberingBackend } from '@dslog/resolver/remember'
import { anchorOfRoot, day, madeUpDs, Registry } from './registry.ts'
import { live, past, TestLog, type TestLogOptions } from './testlog.ts'

/** Archives are of the year before the log began. */
const ARCHIVE_DAYS = 365

export const OWNERS: readonly Name[] = ['a.fi.', 'b.fi.', 'a.com.', 'x.y.com.', 'fi.', 'com.'].map(
  (text) => nameFromText(text),
)

export type Step =
  /** A state is seen: one of three DS sets, or that there is none. */
  | {
      readonly kind: 'state'
      readonly owner: number
      readonly state: number
      /** Hours since it was signed. */
      readonly age: number
      /** Whether the keys come along. */
      readonly keys: boolean
    }
  | {
      readonly kind: 'archive'
      readonly owner: number
      readonly state: number
      readonly at: number
    }
  /** Something is shown once more. */
  | { readonly kind: 'replay'; readonly which: number }
  | { readonly kind: 'roll'; readonly zone: number }
  | { readonly kind: 'wait'; readonly hours: number }
  | { readonly kind: 'tree' }

const owner = fc.nat(OWNERS.length - 1)
const state = fc.nat(3)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('state' as const),
      owner,
      state,
      age: fc.oneof(fc.nat(3), fc.nat(20 * 24)),
      keys: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('archive' as const),
      owner,
      state,
      at: fc.nat(ARCHIVE_DAYS),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('replay' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('roll' as const), zone: fc.nat(2) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), hours: fc.nat(24 * 20) }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'tree' as const }) },
)

/** A stream of steps. */
export function stream(maxLength: number): fc.Arbitrary<Step[]> {
  return fc.array(step, { minLength: 10, maxLength })
}

/** What was handed to the fold, to hand it to another. */
export interface Handed {
  readonly candidates: readonly Candidate[]
  readonly moment: Moment
}

/** Registries of a root and two zones, made once. */
const registries = new Map<string, Registry>()
function registry(zone: string, generation: number): Registry {
  const id = `${zone} ${generation}`
  const made = registries.get(id) ?? new Registry(zone, generation)
  registries.set(id, made)
  return made
}

const ROOT = registry('.', 1)
const ZONES = ['fi.', 'com.']
export const STREAM_OPTIONS: TestLogOptions = {
  anchors: [anchorOfRoot(ROOT)],
  backend: rememberingBackend(nodeBackend()),
  time: day(0),
}

/** Plays a stream into a log, which ends with a MAP_HEAD. */
export async function play(
  steps: readonly Step[],
  options: Partial<TestLogOptions> = {},
): Promise<{ log: TestLog; handed: (Handed | 'tree')[] }> {
  const log = await TestLog.create({ ...STREAM_OPTIONS, ...options })
  const handed: (Handed | 'tree')[] = []
  const generations = new Map(ZONES.map((zone) => [zone, 1]))
  const shown: { owner: Name; records: RR[]; moment?: Moment }[] = []
  let now = day(0)

  async function tree(): Promise<void> {
    now += 1000
    await log.mapHead(now)
    handed.push('tree')
  }

  async function show(owner: Name, records: readonly RR[], moment: Moment): Promise<void> {
    let candidates: Candidate[]
    try {
      candidates = await log.observer(moment).delegation(owner, records)
    } catch (error) {
      if (error instanceof VerifyError) return
      throw error
    }
    handed.push({ candidates, moment })
    await log.admit(candidates, moment)
  }

  function bag(
    owner: Name,
    n: number,
    at: number,
    age: number,
    keys: boolean,
    isPast: boolean,
  ): RR[] {
    const zone = ZONES.find((text) => isBelow(owner, nameFromText(text)))
    const window = (back: number) => ({
      inception: Math.floor((at - back) / 1000),
      expiration: Math.floor((at + 10 * DAY) / 1000),
    })
    const signer = zone === undefined ? ROOT : registry(zone, isPast ? 1 : generations.get(zone)!)
    const own = window(age * HOUR)
    const what = n === 3 ? signer.noDs(owner, own) : signer.ds(owner, [madeUpDs(n + 1)], own)
    if (!keys) return what
    const above = ROOT.dnskeys(window(DAY))
    if (signer === ROOT) return [...what, ...above]
    const link = ROOT.delegation(signer, window(DAY))
    return [...what, ...signer.dnskeys(window(DAY)), ...link, ...above]
  }

  for (const each of steps) {
    now += HOUR
    switch (each.kind) {
      case 'state': {
        const owner = OWNERS[each.owner]!
        const records = bag(owner, each.state, now, each.age, each.keys, false)
        shown.push({ owner, records })
        await show(owner, records, live(now))
        break
      }
      case 'archive': {
        const owner = OWNERS[each.owner]!
        const at = day(each.at - ARCHIVE_DAYS - 1)
        const moment = past(at)
        const records = bag(owner, each.state, at, 2, true, true)
        shown.push({ owner, records, moment })
        await show(owner, records, moment)
        break
      }
      case 'replay': {
        const again = shown[each.which % Math.max(1, shown.length)]
        if (again !== undefined) await show(again.owner, again.records, again.moment ?? live(now))
        break
      }
      case 'roll': {
        const zone = ZONES[each.zone % ZONES.length]!
        generations.set(zone, generations.get(zone)! + 1)
        break
      }
      case 'wait':
        now += each.hours * HOUR
        break
      case 'tree':
        await tree()
        break
    }
  }
  await tree()
  return { log, handed }
}
