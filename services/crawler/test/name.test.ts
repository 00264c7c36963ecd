/** Names out of the configuration. */
import { expect, test } from 'vitest'
import { nameToText } from '@dslog/dnssec/name'
import { CrawlerError } from '../src/error.ts'
import { configuredName } from '../src/name.ts'

const read = (text: string): string => nameToText(configuredName(text, 'opt-out', 'SETTING'))

test.each([
  ['se', 'se.'],
  ['Co.UK.', 'co.uk.'],
  ['.', '.'],
  ['рф', 'xn--p1ai.'],
])('%s is %s', (text, name) => expect(read(text)).toBe(name))

test.each(['', 'a..b', '.se', `${'x'.repeat(64)}.se`, 'a'.repeat(300), 'a\\999.se', 'ж/'])(
  '%j is none, and the error says where it stands',
  (text) => {
    expect(() => read(text)).toThrow(CrawlerError)
    expect(() => read(text)).toThrow(/^SETTING: /)
  },
)
