/** The pages of the explorer, each by an address that can be given away, and what its heading says. */
export const PAGES: readonly (readonly [hash: string, heading: string])[] = [
  ['#/', 'Did anyone swap the keys of a domain?'],
  ['#/name/odd.fi.', 'odd.fi.'],
  ['#/zone/@', 'Keys of the DNS root'],
  ['#/zone/fi.', 'Keys of fi.'],
  ['#/entry/1', 'Entry 1'],
  ['#/watch', 'Watch a name'],
  ['#/watch/bank.fi.', 'Watch a name'],
  ['#/changes', 'Changes'],
  ['#/log', 'The log'],
  ['#/verify', 'Verify a proof file'],
  ['#/by-hand', 'Verify by hand'],
  ['#/trust', 'Whom you trust'],
]
