/** The rules one by one, each in the cases that its line of the table has, and at its edges. */
import { describe, expect, it } from 'vitest'
import { ALGORITHM } from '@dslog/dnssec/backend/backend'
import { nameFromText, ROOT } from '@dslog/dnssec/name'
import { DAY, HOUR } from '@dslog/schema/time'
import { dsOf } from '@dslog/testbed/key'
import { ownerKey } from '@dslog/testbed/stories'
import { A, at, B, ds, key, OWNER, said, sighting, state, unusable, verdicts, X } from './tale.ts'

const OLD_SERVERS = { first: at(-30), last: at(8), ns: ['ns.old.'] }
const moved = (days: number) => ({
  servers: [OLD_SERVERS, { first: at(days), last: at(days + 1), ns: ['ns.new.'] }],
})
const DAYS_72H = 3

describe('R1: a DS that no pin allows', () => {
  it.each([
    ['added', [state(0, [A]), state(10, [A, X])]],
    ['in place of all', [state(0, [A]), state(10, [X])]],
    ['after nothing', [state(0, [X])]],
    ['after a removal', [state(0, [A]), state(10, []), state(11, [X])]],
    ['of a kind that resolvers cannot use', [state(0, [A]), state(10, [unusable(X)])]],
  ])('%s', (_, states) => {
    expect(verdicts(states, { intent: { pins: [A] } })[0]).toMatchObject({
      rule: 'R1',
      level: 'CRITICAL',
      hold: 0,
    })
  })

  it('counts though the child asks for it', () => {
    const child = { sightings: [sighting([A], [key(1), key(2)], { wanted: [[B]] })] }
    expect(said([state(0, [A]), state(10, [B])], { child, intent: { pins: [A] } })).toEqual([
      'R1 CRITICAL',
    ])
  })

  it('does not count for a DS that was there before the pins', () => {
    expect(said([state(0, [A, B]), state(10, [A])], { intent: { pins: [A] } })).toEqual(['R9 INFO'])
  })

  it('is not what an acknowledged key leads to', () => {
    const states = [state(0, [A]), state(10, [B])]
    expect(said(states, { intent: { acknowledged: [B] } })).toEqual(['R5 INFO'])
    expect(said(states, { intent: { acknowledged: [A] } })).toEqual(['R7 HIGH'])
  })
})

describe('R2 and R3: all DS are gone', () => {
  const gone = [state(0, [A]), state(10, [])]

  it('is HIGH after ten minutes, unannounced', () => {
    expect(verdicts(gone)[0]).toMatchObject({ rule: 'R2', level: 'HIGH', hold: 600_000 })
  })

  it('is CRITICAL with pins', () => {
    expect(said(gone, { intent: { pins: [A] } })).toEqual(['R2 CRITICAL'])
  })

  it.each([
    [DAYS_72H - 0.01, 'R2 CRITICAL'],
    [-DAYS_72H + 0.01, 'R2 CRITICAL'],
    [DAYS_72H + 0.01, 'R2 HIGH'],
    [-DAYS_72H - 0.01, 'R2 HIGH'],
  ])('with name servers that changed %d days off', (off, expected) => {
    expect(said(gone, { child: moved(10 + off) })).toEqual([expected])
  })

  it('is the same for a set that resolvers cannot use', () => {
    expect(said([state(0, [A]), state(10, [unusable(A)])])).toEqual(['R2 HIGH'])
  })

  it('is NOTICE if the child asked for it, INFO with pins', () => {
    const child = { sightings: [sighting([A], [key(1)], { deletes: true })] }
    expect(verdicts(gone, { child })[0]).toMatchObject({ rule: 'R3', level: 'NOTICE', hold: HOUR })
    expect(said(gone, { child, intent: { pins: [A] } })).toEqual(['R3 INFO'])
  })

  it('is not announced by a CDS under other keys', () => {
    const child = { sightings: [sighting([X], [key(666)], { deletes: true })] }
    expect(said(gone, { child })).toEqual(['R2 HIGH'])
  })

  it('is announced by a window for going unsigned, and by no other', () => {
    const window = { begins: at(9), ends: at(11), unsigned: true }
    expect(said(gone, { intent: { windows: [window] } })).toEqual(['R3 NOTICE'])
    expect(said(gone, { intent: { windows: [{ ...window, unsigned: false }] } })).toEqual([
      'R2 HIGH',
    ])
    expect(said(gone, { intent: { windows: [{ ...window, ends: at(9.5) }] } })).toEqual(['R2 HIGH'])
    expect(said(gone, { intent: { windows: [{ ...window, begins: at(10.5) }] } })).toEqual([
      'R2 HIGH',
    ])
  })

  it('is nothing new for a name whose set nobody could use', () => {
    expect(said([state(0, [unusable(A)]), state(10, [])])).toEqual([])
    expect(said([state(0, []), state(10, [unusable(A)])])).toEqual(['R5 INFO'])
  })
})

describe('R4: the name leaves the parent, or the parent takes it', () => {
  it('gone is NOTICE after an hour, HIGH with pins', () => {
    const states = [state(0, [A]), state(10, [], { absence: 'gone' })]
    expect(verdicts(states)[0]).toMatchObject({ rule: 'R4a', level: 'NOTICE', hold: HOUR })
    expect(said(states, { intent: { pins: [A] } })).toEqual(['R4a HIGH'])
  })

  it('answered by the parent is CRITICAL at once, announced or not', () => {
    const states = [state(0, [A]), state(10, [], { absence: 'parent' })]
    expect(verdicts(states)[0]).toMatchObject({ rule: 'R4b', level: 'CRITICAL', hold: 0 })
    const windows = [{ begins: at(9), ends: at(11), unsigned: true }]
    expect(said(states, { intent: { windows } })).toEqual(['R4b CRITICAL'])
  })

  it.each([
    ['no other name has shown', undefined, 'R4b CRITICAL'],
    ['this name is the first to show', 10, 'R4b CRITICAL'],
    ['others have shown for less than a week', 3.1, 'R4b CRITICAL'],
    ['others have shown for a week', 3, 'R4a NOTICE'],
  ])('answered by a wildcard that %s', (_, wildcardSince, expected) => {
    const states = [state(0, [A]), state(10, [], { absence: 'wildcard' })]
    const known = { ...(wildcardSince !== undefined && { wildcardSince }) }
    expect(said(states, known)).toEqual([expected])
    const pinned = expected.startsWith('R4b') ? 'R4b CRITICAL' : 'R4a HIGH'
    expect(said(states, { ...known, intent: { pins: [A] } })).toEqual([pinned])
  })

  it('an old wildcard excuses no other answer of the parent’s own', () => {
    const states = [state(0, [A]), state(10, [], { absence: 'parent' })]
    expect(said(states, { wildcardSince: 0 })).toEqual(['R4b CRITICAL'])
  })

  it('another zone signs the same DS', () => {
    expect(said([state(0, [A]), state(10, [A], { zone: ROOT })])).toEqual(['R4b CRITICAL'])
    expect(said([state(0, [A]), state(10, [], { zone: ROOT })])).toEqual(['R4b CRITICAL'])
  })

  it('an absence may be proven by any zone', () => {
    expect(said([state(0, [], { zone: ROOT }), state(10, [A])])).toEqual(['R5 INFO'])
  })

  it('opt-out leaves open whether the name is there', () => {
    expect(said([state(0, [A]), state(10, [], { absence: 'unknown' })])).toEqual(['R2 HIGH'])
  })
})

describe('R5: an added DS that is explained', () => {
  const rolled = [state(0, [A]), state(10, [A, B])]

  it.each([
    ['CDS', sighting([A], [key(1)], { wanted: [[A], [B]] })],
    [
      'CDNSKEY, whatever digest the parent took',
      sighting([A], [key(1)], { wanted: [key(1), key(2)] }),
    ],
    ['the key published before', sighting([A], [key(1), key(2)])],
  ])('by %s', (_, seen) => {
    const child = { sightings: [seen] }
    expect(verdicts(rolled, { child })[0]).toMatchObject({ rule: 'R5', level: 'INFO', hold: HOUR })
    expect(said([state(0, [A]), state(10, [B])], { child })).toEqual(['R5 INFO'])
  })

  it('needs every added DS explained', () => {
    const child = { sightings: [sighting([A], [key(1)], { wanted: [[B]] })] }
    expect(said([state(0, [A]), state(10, [B, X])], { child })).toEqual(['R7 HIGH'])
    expect(said([state(0, [A]), state(10, [A, B, X])], { child })).toEqual(['R6 HIGH'])
  })

  it('takes nothing that the new keys say', () => {
    const child = { sightings: [sighting([X], [key(666)], { wanted: [[X]] })] }
    expect(said([state(0, [A]), state(10, [X])], { child })).toEqual(['R7 HIGH'])
  })

  it('takes a pin, a window, an acknowledgement', () => {
    expect(said(rolled, { intent: { pins: [A, B] } })).toEqual(['R5 INFO'])
    expect(said(rolled, { intent: { acknowledged: [B] } })).toEqual(['R5 INFO'])
    const windows = [{ begins: at(10), ends: at(10), unsigned: false }]
    expect(said(rolled, { intent: { windows } })).toEqual(['R5 INFO'])
  })

  it('a first DS needs no explanation', () => {
    expect(said([state(0, [A])])).toEqual(['R5 INFO'])
    expect(said([state(0, [A]), state(10, []), state(17.1, [B])])).toEqual(['R5 INFO'])
  })
})

describe('R6: a DS without a key', () => {
  const added = [state(0, [A]), state(10, [A, X])]
  const served = [{ at: at(10.1), keys: [key(1)] }]

  it('is HIGH, whether somebody looked or not', () => {
    expect(verdicts(added)[0]).toMatchObject({ rule: 'R6', level: 'HIGH', hold: 900_000 })
    expect(said(added, { child: { served } })).toEqual(['R6 HIGH'])
  })

  it('is no less for a key that vouches only for itself', () => {
    expect(
      said(added, { child: { served: [{ at: at(10.1), keys: [key(1), key(666)] }] } }),
    ).toEqual(['R6 HIGH'])
  })

  it('is CRITICAL with other name servers', () => {
    expect(said(added, { child: moved(10.5) })).toEqual(['R6 CRITICAL'])
  })

  it('is CRITICAL if it is still absent after a week', () => {
    expect(said(added, { child: { served }, now: 16.9 })).toEqual(['R6 HIGH'])
    expect(said(added, { child: { served }, now: 17 })).toEqual(['R6 CRITICAL'])
    // Nobody has looked: it may be there.
    expect(said(added, { now: 17 })).toEqual(['R6 HIGH'])
  })

  it('is CRITICAL in place of the whole set', () => {
    expect(said([state(0, [A]), state(10, [X])], { child: { served } })).toEqual(['R6 CRITICAL'])
  })

  it('is told of a first DS too', () => {
    expect(said([state(10, [X])], { child: { served } })).toEqual(['R6 HIGH'])
  })

  it('takes no look from before the change', () => {
    const looks = [{ at: at(9), keys: [key(1)] }]
    expect(said([state(10, [X])], { child: { served: looks } })).toEqual(['R5 INFO'])
  })

  it('is over when the key appears, and stays over when it is rolled', () => {
    const appeared = [...served, { at: at(11), keys: [key(666)] }]
    expect(said([state(10, [X])], { child: { served: appeared } })).toEqual(['R5 INFO'])
    const rolled = { served: [...appeared, { at: at(12), keys: [key(2)] }] }
    expect(said([state(10, [X])], { child: rolled })).toEqual(['R5 INFO'])
    expect(said([state(10, [X])], { child: rolled, later: [state(11, [X, B])] })).toEqual([
      'R5 INFO',
    ])
    expect(said(added, { child: rolled, now: 17 })).toEqual(['R6 HIGH'])
  })

  it('takes no look from after the DS has gone', () => {
    const late = { served: [{ at: at(13), keys: [key(2)] }] }
    const first = [state(10, [A])]
    expect(said(first, { child: late, later: [state(11, [A, B])] })).toEqual(['R6 HIGH'])
    const gone = [state(11, [A, B]), state(12, [B])]
    expect(said(first, { child: late, later: gone })).toEqual(['R5 INFO'])
    // What was signed before it does not take its place.
    const old = state(12, [B], { outOfOrder: true })
    expect(said(first, { child: late, later: [old] })).toEqual(['R6 HIGH'])
  })

  it('is not still absent when it has gone', () => {
    const later = [state(16.9, [A])]
    expect(said(added, { child: { served }, now: 30, later })).toEqual(['R6 HIGH'])
    const stayed = [state(17, [A])]
    expect(said(added, { child: { served }, now: 30, later: stayed })).toEqual(['R6 CRITICAL'])
  })
})

describe('R7 and R8: the whole set is another', () => {
  const replaced = [state(0, [A]), state(10, [B])]

  it('is HIGH', () => {
    expect(verdicts(replaced)[0]).toMatchObject({ rule: 'R7', level: 'HIGH', hold: 900_000 })
    expect(said(replaced, { child: moved(8) })).toEqual(['R8 HIGH'])
    expect(said(replaced, { child: moved(6) })).toEqual(['R7 HIGH'])
  })

  it('is CRITICAL if the name servers go back', () => {
    const servers = [...moved(10).servers, { first: at(12), last: at(12), ns: ['ns.old.'] }]
    expect(said(replaced, { child: { servers } })).toEqual(['R8 CRITICAL'])
    const late = [...moved(10).servers, { first: at(13.1), last: at(14), ns: ['ns.old.'] }]
    expect(said(replaced, { child: { servers: late } })).toEqual(['R8 HIGH'])
  })

  it('is the same with some days of nothing between', () => {
    expect(said([state(0, [A]), state(10, []), state(16.9, [B])])).toEqual(['R7 HIGH'])
  })
})

describe('R9: only less than before', () => {
  it('is INFO', () => {
    expect(said([state(0, [A, B]), state(10, [B])])).toEqual(['R9 INFO'])
    expect(said([state(0, [A, B]), state(10, [B])], { intent: { pins: [A, B] } })).toEqual([
      'R9 INFO',
    ])
  })

  it('is a loss if what is left is of no use', () => {
    expect(said([state(0, [A, unusable(B)]), state(10, [unusable(B)])])).toEqual(['R2 HIGH'])
  })
})

describe('R10: there and back', () => {
  it.each([
    ['a swap', [state(0, [A]), state(10, [X]), state(11, [A])]],
    ['an addition', [state(0, [A]), state(10, [A, X]), state(11, [A])]],
    ['a removal', [state(0, [A]), state(10, []), state(11, [A])]],
    ['two steps', [state(0, [A]), state(10, []), state(11, [X]), state(12, [A])]],
    [
      'the second time',
      [state(0, [A]), state(10, [X]), state(11, [A]), state(20, [X]), state(21, [A])],
    ],
  ])('is CRITICAL at once: %s', (_, states) => {
    const [verdict] = verdicts(states)
    expect(verdict).toMatchObject({ rule: 'R10', level: 'CRITICAL', hold: 0 })
    expect(verdict?.others).toContain(states.at(-2)?.index)
  })

  it('ends after 72 hours', () => {
    expect(said([state(0, [A]), state(10, [X]), state(13, [A])])).toEqual(['R10 CRITICAL'])
    expect(said([state(0, [A]), state(10, [X]), state(13.01, [A])])).toEqual(['R7 HIGH'])
  })

  it('is no such thing if what was there meanwhile is explained', () => {
    const states = [state(0, [A]), state(10, [A, B]), state(11, [A])]
    const child = { sightings: [sighting([A], [key(1), key(2)])] }
    expect(said(states, { child })).toEqual(['R9 INFO'])
    expect(said(states, { intent: { acknowledged: [B] } })).toEqual(['R9 INFO'])
    expect(said(states, { intent: { pins: [A, B] } })).toEqual(['R9 INFO'])
  })

  it('does not count a name that was gone', () => {
    const states = [state(0, [A]), state(10, [], { absence: 'gone' }), state(11, [A])]
    expect(said(states)).toEqual(['R5 INFO'])
  })

  it('is not the second time of what was there meanwhile', () => {
    const states = [state(0, [A]), state(10, [X]), state(11, [A]), state(12, [X])]
    expect(said(states)).toEqual(['R7 HIGH'])
    expect(said([...states, state(13, [A])])).toEqual(['R10 CRITICAL'])
  })

  it('passes over what was never in force', () => {
    const states = [state(0, [A]), state(10, [X], { outOfOrder: true }), state(11, [A, B])]
    expect(said(states)).toEqual(['R6 HIGH'])
  })
})

describe('R12: SHA-1 alone', () => {
  const sha1 = ds(1, 1)
  const old = dsOf(OWNER, { ...ownerKey(OWNER, 1), algorithm: ALGORITHM.RSASHA1 })

  it('is a warning after a day, beside what the change is', () => {
    expect(verdicts([state(0, [sha1])])[1]).toMatchObject({
      rule: 'R12',
      level: 'WARNING',
      hold: DAY,
    })
    expect(said([state(0, [old])])).toEqual(['R5 INFO', 'R12 WARNING'])
    expect(said([state(0, [sha1, A])])).toEqual(['R5 INFO'])
  })

  it('is said once', () => {
    expect(said([state(0, [sha1]), state(1, [ds(2, 1)])])).toEqual(['R7 HIGH'])
  })
})

describe('R13: out of order', () => {
  const late = (set: readonly Uint8Array[], days: number) =>
    state(20, set, { outOfOrder: true, inception: at(days) / 1000 })

  it('is HIGH, NOTICE if it is older than all', () => {
    expect(verdicts([state(0, [A]), late([X], 0.5)])[0]).toMatchObject({
      rule: 'R13',
      level: 'HIGH',
      hold: 0,
    })
    expect(said([state(0, [A]), late([X], -1)])).toEqual(['R13 NOTICE'])
    expect(said([state(0, [A], { inception: undefined }), late([X], -1)])).toEqual(['R13 HIGH'])
  })

  it('is CRITICAL against the pins', () => {
    expect(said([state(0, [A]), late([X], -1)], { intent: { pins: [A] } })).toEqual([
      'R13 CRITICAL',
    ])
    expect(said([state(0, [A]), late([], 1)], { intent: { pins: [A] } })).toEqual(['R13 CRITICAL'])
    expect(said([state(0, [A]), late([B], 1)], { intent: { pins: [A, B] } })).toEqual([
      'R13 NOTICE',
    ])
  })
})

describe('R16: the same in other words', () => {
  const known = { child: { sightings: [sighting([A], [key(1), key(2)])] } }

  it('is another digest of a key that was validated', () => {
    expect(said([state(0, [A]), state(10, [ds(1, 4)])], known)).toEqual([])
    expect(
      said([state(0, [A]), state(10, [A, ds(1, 4)])], { ...known, intent: { pins: [A] } }),
    ).toEqual([])
  })

  it('is not a digest that nobody can compare', () => {
    expect(said([state(0, [A]), state(10, [ds(1, 4)])])).toEqual(['R7 HIGH'])
  })

  it('is not the same tag and algorithm', () => {
    const rogue = A.slice()
    rogue[rogue.length - 1]! ^= 1
    expect(said([state(0, [A]), state(10, [rogue])], known)).toEqual(['R7 HIGH'])
    expect(said([state(0, [A]), state(10, [A, rogue])], known)).toEqual(['R6 HIGH'])
  })

  it('is a state seen again', () => {
    expect(said([state(0, [A]), state(10, [A])])).toEqual([])
    expect(said([state(0, []), state(10, [], { zone: nameFromText('x.fi.') })])).toEqual([])
  })
})
