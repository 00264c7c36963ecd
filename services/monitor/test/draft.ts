/** Alerts to be raised, for tests of what becomes of them. */
import { nameFromText } from '@dslog/dnssec/name'
import { dsNumber } from '@dslog/testbed/key'
import type { AlertDraft } from '../src/alert.ts'

/** What they are about, unless told. */
export const ENTRY = { origin: 'log.example', index: 7 }

/** One about a DS that matches no key; so far as nothing else is said. */
export function draft(more: Partial<AlertDraft> = {}): AlertDraft {
  return {
    subscription: 'one',
    rule: 'R6',
    level: 'HIGH',
    name: nameFromText('example.fi.'),
    entry: ENTRY,
    before: [dsNumber(1)],
    after: [dsNumber(2)],
    why: 'The new DS matches no key that example.fi serves.',
    at: 1_000,
    ...more,
  }
}
