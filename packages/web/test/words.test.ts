import { describe, expect, it } from 'vitest'
import { TlogError } from '@dslog/tlog/error'
import { HttpError } from '@dslog/tlog/http'
import { LateError } from '@dslog/tlog/late'
import { MisbehaviourError } from '@dslog/tlog/misbehaviour'
import type { TrustedCheckpoint } from '@dslog/tlog/policy'
import { DAY, MINUTE } from '@dslog/schema/time'
import { VerifyError } from '@dslog/verify/error'
import type { EntryModel } from '../src/protocol.ts'
import {
  changeMeaning,
  changeTitle,
  dateText,
  datingWords,
  dsParts,
  isoText,
  keyText,
  mixesScripts,
  shortTimeText,
  spanText,
  timeText,
} from '../src/words.ts'
import { failureOf, InputError } from '../src/worker/words.ts'

const HEX = 'AB'.repeat(32)

function entry(more: Partial<EntryModel>): EntryModel {
  return { index: 7, type: 'ds', raw: '', records: [], zone: 'fi.', ...more }
}

function change(kind: 'added' | 'replaced' | 'removed', came: number, went: number, kept = 0) {
  const list = (count: number, letter: string) =>
    Array.from({ length: count }, (_, i) => `${letter}${i}`)
  return entry({
    change: { kind, came: list(came, 'c'), went: list(went, 'w'), kept: list(kept, 'k') },
  })
}

describe('changes in words', () => {
  it.each([
    [change('added', 1, 0), true, 'First seen with DNSSEC'],
    [change('added', 1, 0), false, 'DNSSEC switched on again'],
    [change('removed', 0, 2), false, 'DNSSEC switched off'],
    [change('replaced', 1, 0, 1), false, 'A key was added'],
    [change('replaced', 2, 0, 1), false, 'Keys were added'],
    [change('replaced', 0, 1, 1), false, 'A key was withdrawn'],
    [change('replaced', 0, 2, 1), false, 'Keys were withdrawn'],
    [change('replaced', 1, 1, 1), false, 'A key was replaced'],
    [change('replaced', 1, 1), false, 'All keys replaced'],
    [change('replaced', 0, 0, 1), false, 'The same keys, signed by another zone'],
    [
      { ...change('replaced', 1, 1), outOfOrder: true },
      false,
      'Another signed state, out of order',
    ],
    [entry({}), false, 'An entry'],
  ] as const)('%#', (model, first, title) => {
    expect(changeTitle(model, first)).toBe(title)
  })

  it('mean something where it matters, and nothing is claimed of the rest', () => {
    expect(changeMeaning(change('replaced', 1, 1))).toContain('the owner knows')
    expect(changeMeaning({ ...change('removed', 0, 1), absence: 'no DS' })).toContain('fi. proved')
    expect(changeMeaning({ ...change('replaced', 1, 0), outOfOrder: true })).toContain(
      'dated before',
    )
    expect(changeMeaning(change('added', 1, 0))).toBe('')
    expect(changeMeaning(change('replaced', 1, 1, 1))).toBe('')
  })

  it('name keys as people compare them', () => {
    expect(keyText(`12345 13 2 ${HEX}`)).toBe('key 12345 (ECDSA P-256)')
    expect(dsParts(`1 253 9 ${HEX}`)).toEqual({
      tag: '1',
      algorithm: 'algorithm 253',
      digest: 'digest type 9',
      hex: HEX,
    })
  })

  it.each([
    [999, 'a moment'],
    [1000, '1 second'],
    [59 * MINUTE, '59 minutes'],
    [7_200_000, '2 hours'],
    [400 * DAY, '400 days'],
  ])('%d ms are %s', (ms, words) => {
    expect(spanText(ms)).toBe(words)
  })
})

describe('why there is no proof', () => {
  const http = (status: number): HttpError =>
    new HttpError('https://log.example/x', {
      status,
      headers: new Headers(),
      body: new Uint8Array(),
    })

  it.each([
    [new TlogError('network', 'no connection'), 'unreachable'],
    [http(404), 'unreachable'],
    [http(429), 'unreachable'],
    [http(503), 'unreachable'],
    [new TlogError('bad-signature', 'wrong'), 'refused'],
    [new TlogError('quorum', 'too few'), 'refused'],
    [new TlogError('truncated', 'too short'), 'refused'],
    [new VerifyError('bogus', 'bad'), 'refused'],
    [new VerifyError('map', 'bad'), 'refused'],
    [new TlogError('bad-policy', 'line 1'), 'input'],
    [new InputError('no policy'), 'input'],
    [new RangeError('never'), 'bug'],
    ['a text', 'bug'],
  ])('%s', (error, kind) => {
    const failure = failureOf(error)
    expect(failure.kind).toBe(kind)
    expect(failure.words).toMatch(/^[A-Z].*[.?]$|^no policy$|^Not a policy: line 1$/)
    expect(failure.evidence).toBeUndefined()
  })

  it('is evidence where the log contradicts itself', () => {
    const fork = failureOf(
      new MisbehaviourError(
        { kind: 'fork', evidence: { smaller: 'one', larger: 'two' } },
        'forked',
      ),
    )
    expect(fork).toMatchObject({
      kind: 'caught',
      evidence: [
        { name: 'smaller.checkpoint', text: 'one' },
        { name: 'larger.checkpoint', text: 'two' },
      ],
    })
    const back = failureOf(
      new MisbehaviourError({ kind: 'rollback', evidence: { seen: 'new', served: 'old' } }, 'back'),
    )
    // A cache can do that: it is said.
    expect(back.words).toContain('A cache on the way can do that')
    expect(back.evidence).toHaveLength(2)
    const [seen, served] = [300, 200].map((size) => {
      const checkpoint = { origin: 'log.example', size, root: new Uint8Array(32) }
      return { note: `note ${size}`, checkpoint } as unknown as TrustedCheckpoint
    })
    const late = failureOf(new LateError(seen!, served!))
    expect(late.kind).toBe('unreachable')
    expect(late.words).toContain('it proves nothing')
    expect(late.evidence).toEqual([
      { name: 'seen-before.checkpoint', text: 'note 300' },
      { name: 'served-now.checkpoint', text: 'note 200' },
    ])
    const tile = failureOf(
      new MisbehaviourError(
        { kind: 'bad-tile', evidence: { checkpoint: 'c', detail: 'd' } },
        'tile',
      ),
    )
    expect(tile).toMatchObject({ kind: 'caught', evidence: [{ text: 'c' }] })
  })
})

describe('the time of a tree', () => {
  const NOW = Date.UTC(2026, 10, 28)
  it.each([
    [0, ''],
    [6 * DAY, ''],
    [-240_000, ''],
    [-DAY, 'The tree is dated 1 day ahead of the clock here'],
    [8 * DAY, 'The tree is 8 days old. Nothing was logged since, or the log does not show it'],
    [3 * 366 * DAY, 'The tree is 3 years old.'],
  ])('%i ms ago is remarked upon where it is odd', (ago, words) => {
    const said = datingWords(NOW - ago, NOW)
    if (words === '') expect(said).toBe('')
    else expect(said).toContain(words)
  })
})

describe('a moment that no Date can hold', () => {
  it('is told in milliseconds', () => {
    const last = 8.64e15
    expect(isoText(last)).toBe('+275760-09-13T00:00:00.000Z')
    expect(timeText(last)).toMatch(/UTC$/)
    expect(isoText(last + 1)).toBeUndefined()
    for (const text of [timeText, dateText, shortTimeText]) {
      expect(text(Number.MAX_SAFE_INTEGER)).toBe('9007199254740991 ms after 1970')
    }
  })
})

describe('scripts', () => {
  it.each([
    ['bank', false],
    ['bаnk', true], // Cyrillic а
    ['банк', false],
    ['αpple', true], // Greek α
    ['bücher-24', false],
    ['日本vpn', false],
    ['яндекс1', false],
  ])('of %s are mixed: %s', (label, mixed) => {
    expect(mixesScripts(label)).toBe(mixed)
  })
})
