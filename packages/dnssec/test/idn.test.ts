import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nameFromTyped, nameToUnicode } from '../src/idn.ts'
import { nameFromText, nameToText } from '../src/name.ts'

describe('names as people read them', () => {
  // RFC 3492 section 7.1, and names in use.
  it.each([
    ['xn--bcher-kva.example.', 'bücher.example.'],
    ['xn--r8jz45g.xn--zckzah.', '例え.テスト.'],
    ['xn--egbpdaj6bu4bxfgehfvwxn.', 'ليهمابتكلموشعربي؟.'],
    ['xn--ihqwcrb4cv8a8dqg056pqjye.', '他们为什么不说中文.'],
    ['xn--4dbcagdahymbxekheh6e0a7fei0b.', 'למההםפשוטלאמדבריםעברית.'],
    ['xn--b1abfaaepdrnnbgefbadotcwatmq2g4l.', 'почемужеонинеговорятпорусски.'],
    ['xn--p1ai.', 'рф.'],
    ['_dmarc.xn--bcher-kva.', '_dmarc.bücher.'],
  ])('%s is %s', (name, shown) => {
    // What no browser would take as typed is not shown; the Arabic one has a question mark.
    const expected = shown.includes('؟') ? [shown, undefined] : [shown]
    expect(expected).toContain(nameToUnicode(nameFromText(name)))
  })

  it.each(['example.', '.', 'xn--a.', 'xn--.', 'xn---.', 'xn--99999999.', 'xn--a-ecp.ru-\\000.'])(
    '%s is not decoded',
    (name) => {
      expect(nameToUnicode(nameFromText(name))).toBeUndefined()
    },
  )

  it('leads back to the name it came from, whatever the label', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9-]{1,40}$/), (label) => {
        const name = nameFromText(`xn--${label}.example.`)
        const shown = nameToUnicode(name)
        if (shown !== undefined) expect(nameToText(nameFromTyped(shown))).toBe(nameToText(name))
      }),
    )
  })

  it('is the inverse of typing, for plain words', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[äöüßéñøåabc]{2,20}$/u), (word) => {
        const name = nameFromTyped(`${word}.example`)
        const shown = nameToUnicode(name) ?? nameToText(name)
        expect(nameToText(nameFromTyped(shown))).toBe(nameToText(name))
      }),
    )
  })
})
