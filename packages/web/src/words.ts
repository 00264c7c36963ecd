/** Numbers of DNS, dates and changes in words. */
import { DAY, HOUR } from '@dslog/schema/time'
import { algorithmText, digestText } from '@dslog/dnssec/words'
import { counted } from '@dslog/verify/counted'
import type { Change } from '@dslog/verify/describe'
import type { EntryModel, LinkModel } from './protocol.ts'

/** A DS in presentation form, in parts. */
export function dsParts(ds: string): {
  tag: string
  algorithm: string
  digest: string
  hex: string
} {
  const [tag = '', algorithm = '', digestType = '', hex = ''] = ds.split(' ')
  return {
    tag,
    algorithm: algorithmText(Number(algorithm)),
    digest: digestText(Number(digestType)),
    hex,
  }
}

/** A key by its tag: what people compare with their own. */
export function keyText(ds: string): string {
  const { algorithm, tag } = dsParts(ds)
  return `key ${tag} (${algorithm})`
}

const DATE = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' })
const SHORT = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  timeZone: 'UTC',
})
const MOMENT = new Intl.DateTimeFormat('en-GB', {
  dateStyle: 'medium',
  timeStyle: 'short',
  timeZone: 'UTC',
})

export function dateText(ms: number): string {
  return formatted(DATE, ms)
}

/** A time of these days, for where there is little room. */
export function shortTimeText(ms: number): string {
  return formatted(SHORT, ms)
}

export function timeText(ms: number): string {
  return isDate(ms) ? `${MOMENT.format(ms)} UTC` : formatted(MOMENT, ms)
}

/** The same for programs; nothing where no Date can hold it. */
export function isoText(ms: number): string | undefined {
  return isDate(ms) ? new Date(ms).toISOString() : undefined
}

function formatted(format: Intl.DateTimeFormat, ms: number): string {
  return isDate(ms) ? format.format(ms) : `${ms} ms after 1970`
}

/** An entry may name a moment that is later than any Date (ECMA-262 §21.4.1.1). */
function isDate(ms: number): boolean {
  return !Number.isNaN(new Date(ms).getTime())
}

const YEAR_MS = 365.25 * DAY

/** A span of time, roughly. */
export function spanText(ms: number): string {
  if (ms >= 2 * YEAR_MS) return counted(Math.floor(ms / YEAR_MS), 'year')
  const units = [
    [DAY, 'day'],
    [HOUR, 'hour'],
    [60_000, 'minute'],
    [1000, 'second'],
  ] as const
  for (const [unit, name] of units) if (ms >= unit) return counted(Math.floor(ms / unit), name)
  return 'a moment'
}

/** A tree older than this may be withheld news: even a quiet log changes within a week. */
const OLD_TREE_MS = 7 * DAY

/** How far clocks may differ, ms. */
const CLOCK_SKEW_MS = 300_000

/** What is to be said of the time at which a tree was closed: too old, or still to come. */
export function datingWords(time: number, now: number): string {
  if (now - time > OLD_TREE_MS) {
    return `The tree is ${spanText(now - time)} old. Nothing was logged since, or the log does not show it to you.`
  }
  if (time - now > CLOCK_SKEW_MS) {
    return `The tree is dated ${spanText(time - now)} ahead of the clock here: either that clock is wrong or the log's.`
  }
  return ''
}

/** What changed, in a headline. */
export function changeTitle({ change, outOfOrder }: EntryModel, first: boolean): string {
  if (change === undefined) return 'An entry'
  if (outOfOrder === true) return 'Another signed state, out of order'
  if (change.kind === 'removed') return 'DNSSEC switched off'
  if (change.kind === 'added') return first ? 'First seen with DNSSEC' : 'DNSSEC switched on again'
  return replacedTitle(change)
}

function replacedTitle({ came, kept, went }: Change): string {
  if (came.length === 0 && went.length === 0) return 'The same keys, signed by another zone'
  if (went.length === 0) return came.length === 1 ? 'A key was added' : 'Keys were added'
  if (came.length === 0) return went.length === 1 ? 'A key was withdrawn' : 'Keys were withdrawn'
  return kept.length === 0 ? 'All keys replaced' : 'A key was replaced'
}

/** Whether every key went at once, and others came. */
export function isSwap({ came, kept, kind }: Change): boolean {
  return kind === 'replaced' && kept.length === 0 && came.length > 0
}

/** What it may mean, where that is not plain. */
export function changeMeaning({ change, outOfOrder, zone }: EntryModel): string {
  if (outOfOrder === true) {
    return (
      `The signature of ${zone ?? 'the zone'} is good, but dated before the one it was logged after. ` +
      'Nobody signs into the past by routine: if you run this domain, ask your registrar.'
    )
  }
  if (change?.kind === 'removed') {
    return `${zone ?? 'The zone'} proved that it names no key any more: resolvers no longer check this domain.`
  }
  if (change !== undefined && isSwap(change)) {
    return 'Every key went at once. A planned key change overlaps; the owner knows whether this was meant.'
  }
  return ''
}

/** Of keys that the public pins of an owner do not allow; nothing of none. */
export function notPinnedWords(ds: readonly string[]): string {
  if (ds.length === 0) return ''
  return `The owner has not pinned ${[...new Set(ds.map(keyText))].join(' and ')}.`
}

/** The chain of signatures under an entry, one sentence a link. */
export function chainWords(entry: EntryModel): string[] {
  const { chain = [], expiration, inception, signer, zone } = entry
  if (signer === undefined || inception === undefined || expiration === undefined) return []
  const own =
    entry.type === 'zone-keys'
      ? `Signed by its own key ${signer}`
      : `Signed by ${zoneText(zone)} with its key ${signer}`
  return [
    `${own}, valid from ${dateText(inception)} to ${dateText(expiration)}.`,
    ...chain.map((link) => linkWords(link)),
  ]
}

function linkWords({ anchor, index, keys, signer, zone }: LinkModel): string {
  const tags = keys.map(({ tag }) => tag).join(', ')
  const head = `The keys of ${zoneText(zone)} are ${tags} (entry ${index}), signed by ${signer}`
  return anchor === undefined
    ? `${head}, which the zone above vouches for.`
    : `${head}; the trust anchor of DNSSEC vouches for ${anchor}.`
}

// Scripts whose letters look alike. Others are written side by side: Latin with those of East Asia.
const ALIKE = [
  /\p{Script=Latin}/u,
  /\p{Script=Cyrillic}/u,
  /\p{Script=Greek}/u,
  /\p{Script=Armenian}/u,
] as const

/** Whether a label has letters of several scripts that look alike. */
export function mixesScripts(label: string): boolean {
  return ALIKE.filter((script) => script.test(label)).length > 1
}

/** A name within a sentence, whose full stop is not the name's. */
export function nameText(name: string): string {
  return name === '.' ? 'the DNS root' : name.replace(/\.$/, '')
}

export function zoneText(zone: string | undefined): string {
  return zone === '.' ? 'the DNS root' : (zone ?? 'the zone')
}
