/** A small history that has everything a proof can be about: keys that roll, states that come and go. */
import { nodeBackend } from '@dslog/dnssec/backend/node'
import { type Name, nameFromText } from '@dslog/dnssec/name'
import type { RR } from '@dslog/dnssec/records'
import type { Verifier } from '@dslog/verify/evidence'
import { rememberingBackend } from '@dslog/resolver/remember'
import { PublishedLog } from './published.ts'
import { anchorOfRoot, day, days, madeUpDs, Registry } from './registry.ts'
import { live, past, TestLog } from './testlog.ts'

const ROOT = new Registry('.')
const FI = new Registry('fi.')
const FI_ROLLED = new Registry('fi.', 2)
const COM = new Registry('com.')

/** Has a DS, another under rolled keys, none, and one again. */
export const VICTIM: Name = nameFromText('victim.fi.')
/** Has one entry, of an archive. */
export const ARCHIVED: Name = nameFromText('archived.com.')
/** Was never logged. */
export const NOBODY: Name = nameFromText('nobody.fi.')

export const ANCHORS = [anchorOfRoot(ROOT)]
export const VERIFIER: Verifier = { anchors: ANCHORS, backend: rememberingBackend(nodeBackend()) }

export interface Staged {
  readonly log: TestLog
  readonly published: PublishedLog
  /** The tree before, one MAP_HEAD ago, and proofs about the victim made of it. */
  readonly before: PublishedLog
  readonly earlier: Awaited<ReturnType<PublishedLog['nameProof']>>
}

function bag(signer: Registry, at: number, what: RR[]): RR[] {
  const window = days(at - 1, at + 13)
  return [
    ...ROOT.dnskeys(window),
    ...ROOT.delegation(signer, window),
    ...signer.dnskeys(window),
    ...what,
  ]
}

/** Plays it. The tree is of 21 leaves or so: paths have every shape. */
export async function stage(): Promise<Staged> {
  const log = await TestLog.create({ ...VERIFIER, time: day(0) })
  const ds = (signer: Registry, owner: Name, n: number, at: number) =>
    signer.ds(owner, [madeUpDs(n)], days(at - 1, at + 13))
  await log.observe(ARCHIVED, bag(COM, -50, ds(COM, ARCHIVED, 3, -50)), past(day(-50)))
  await log.observe(VICTIM, bag(FI, 1, ds(FI, VICTIM, 1, 1)), live(day(1)))
  await log.mapHead(day(2))
  await log.observe(VICTIM, bag(FI_ROLLED, 20, ds(FI_ROLLED, VICTIM, 2, 20)), live(day(20)))
  await log.observe(
    nameFromText('other.fi.'),
    bag(FI_ROLLED, 20, ds(FI_ROLLED, nameFromText('other.fi.'), 8, 20)),
    live(day(20)),
  )
  await log.mapHead(day(21))
  const before = new PublishedLog(log.entries, ANCHORS, { log })
  const earlier = await before.nameProof(1, VICTIM)
  const gone = FI_ROLLED.noDs(VICTIM, days(42, 60))
  await log.observe(VICTIM, bag(FI_ROLLED, 45, gone), live(day(45)))
  await log.observe(VICTIM, bag(FI_ROLLED, 46, ds(FI_ROLLED, VICTIM, 1, 46)), live(day(46)))
  await log.mapHead(day(47))
  return { log, before, earlier, published: new PublishedLog(log.entries, ANCHORS, { log }) }
}
