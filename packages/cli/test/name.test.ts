import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nameToText } from '@dslog/dnssec/name'
import { readName } from '../src/name.ts'

const text = (name: string) => nameToText(readName(name))

describe('names as people type them', () => {
  it.each([
    ['fi.', 'fi.'],
    ['fi', 'fi.'],
    ['Example.ORG', 'example.org.'],
    ['.', '.'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example.'],
    ['bücher.example', 'xn--bcher-kva.example.'],
    ['BÜCHER.example.', 'xn--bcher-kva.example.'],
    ['例え.テスト', 'xn--r8jz45g.xn--zckzah.'],
    ['例え。テスト。', 'xn--r8jz45g.xn--zckzah.'],
    ['①', '1.'],
    ['１.２.３.４', '1.2.3.4.'],
    ['a\\.b.example', 'a\\.b.example.'],
    ['0/25.2.0.192.in-addr.arpa', '0/25.2.0.192.in-addr.arpa.'],
    ['_dmarc.bücher.example', '_dmarc.xn--bcher-kva.example.'],
  ])('%s is %s', (typed, name) => {
    expect(text(typed)).toBe(name)
  })

  it.each([
    '',
    '..',
    'a..b',
    `${'a'.repeat(64)}.example`,
    'ü/x.example',
    'ü?x',
    'ü:80',
    'ü#x',
    'x@ü',
    'ü\\000',
    'ü x',
    'ü%41',
    'xn--ü.example',
    'https://example.org',
    'example.org/x',
    'example.org:443',
    'somebody@example.org',
    'example.org\\:443',
  ])('%j is none', (typed) => {
    expect(() => readName(typed)).toThrow(/not (a|an internationalised) domain name/)
  })

  it('never loses a part of what was typed', () => {
    // Whatever is accepted reads back as itself.
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (typed) => {
        let name
        try {
          name = readName(typed)
        } catch {
          return
        }
        expect(readName(nameToText(name))).toEqual(name)
        // Some characters stand for several, a dot among them; the others keep every label.
        const labels = (of: string) =>
          of
            .normalize('NFKC')
            .replaceAll(/\\(\d{3}|.)/g, 'x')
            .split(/[.。]/)
            .filter(Boolean).length
        expect(labels(nameToText(name))).toBe(labels(typed))
      }),
    )
  })
})
