/** What is news to the log, and what is not. */
import { describe, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { stateId } from '@dslog/schema/identity'
import { compareWithLog, markOf, type SeenState } from '../src/compare.ts'
import type { LoggedState } from '../src/logged.ts'

const OWNER = nameFromText('example.org.')
const ZONE = nameFromText('org.')
const DS = Uint8Array.of(0, 1, 13, 2, 5)

function seen(ds: readonly Uint8Array[], inception = 100): SeenState {
  const signed = ds.length > 0
  return { owner: OWNER, zone: ZONE, stateId: stateId(OWNER, ZONE, ds), signed, inception }
}

function logged(ds: readonly Uint8Array[]): LoggedState {
  const { inception, signed, stateId: state, zone } = seen(ds)
  return { inception, signed, state, zone }
}

describe('what is seen', () => {
  test('for the first time is new if it is signed', () => {
    expect(compareWithLog(seen([DS]), undefined, undefined)).toBe('new')
    expect(compareWithLog(seen([]), undefined, undefined)).toBe('unsigned')
  })

  test('as the log has it is the same, whatever its signature', () => {
    expect(compareWithLog(seen([DS], 500), logged([DS]), undefined)).toBe('same')
    expect(compareWithLog(seen([]), logged([]), undefined)).toBe('same')
  })

  test('otherwise is new', () => {
    expect(compareWithLog(seen([]), logged([DS]), undefined)).toBe('new')
    expect(compareWithLog(seen([DS]), logged([]), undefined)).toBe('new')
    expect(compareWithLog(seen([DS, Uint8Array.of(1)]), logged([DS]), undefined)).toBe('new')
  })

  test('and was answered for is settled, until it is signed anew', () => {
    const old = seen([Uint8Array.of(9)], 50)
    expect(compareWithLog(old, logged([DS]), markOf(old))).toBe('settled')
    expect(compareWithLog({ ...old, inception: 51 }, logged([DS]), markOf(old))).toBe('new')
    expect(compareWithLog(seen([]), logged([DS]), markOf(old))).toBe('new')
  })
})
