import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { setBackend } from '../src/backend.ts'
import { concat, fromUtf8, utf8 } from '../src/bytes.ts'
import { verifierOf } from '../src/cosignature.ts'
import { KEY_TYPE, isKeyName, parseVkey } from '../src/key.ts'
import {
  MAX_NOTE_BYTES,
  MAX_NOTE_SIGNATURES,
  ed25519Signer,
  ed25519Verifier,
  formatNote,
  formatSignatureLine,
  openNote,
  parseNote,
  parseSignatureLines,
  signNote,
} from '../src/note.ts'
import type { NoteSignature } from '../src/note.ts'
import { codeOf } from './codes.ts'
import { LOG_KEY, WITNESS_KEYS, testKey, withByte } from './keys.ts'
import { present, readJson } from './vectors.ts'

const ALICE = testKey('alice', KEY_TYPE.ed25519, 20)
const BOB = testKey('bob', KEY_TYPE.ed25519, 21)
const TEXT = 'one line\n\nand — a “second”\n'
const NOTE = signNote(TEXT, [ed25519Signer(ALICE)])
const [ALICE_LINE] = parseNote(NOTE).signatures as [NoteSignature]

describe('form', () => {
  test('a note is its text, an empty line and its signatures', () => {
    expect(NOTE).toMatch(/^one line\n\nand — a “second”\n\n— alice [A-Za-z0-9+/]+=*\n$/)
    const note = parseNote(NOTE)
    expect(note.text).toBe(TEXT)
    expect(note.signatures).toHaveLength(1)
    expect(formatNote(note)).toBe(NOTE)
    expect(parseNote(utf8(NOTE))).toEqual(note)
  })

  test('the last empty line separates, so a text may end in empty lines', () => {
    for (const text of ['\n', '\n\n', 'a\n\n\n', '— alice AAAAAAA=\n']) {
      const note = signNote(text, [ed25519Signer(ALICE)])
      expect(openNote(note, [ed25519Verifier(ALICE)]).text).toBe(text)
    }
  })

  test('every note survives writing and reading', () => {
    const line = fc.string({ unit: 'grapheme' }).filter((s) => !/\p{Cc}/u.test(s))
    const signature = fc.record({
      name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(isKeyName),
      id: fc.stringMatching(/^[0-9a-f]{8}$/),
      signature: fc.uint8Array({ minLength: 1, maxLength: 80 }),
    })
    fc.assert(
      fc.property(
        fc.array(line, { minLength: 1 }),
        fc.array(signature, { minLength: 1, maxLength: 20 }),
        (lines, signatures) => {
          const note = { text: lines.map((l) => `${l}\n`).join(''), signatures }
          expect(parseNote(formatNote(note))).toEqual(note)
        },
      ),
    )
  })

  test('what parses formats to the same bytes, whatever it was', () => {
    const bytes = utf8(NOTE)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = withByte(bytes, at, () => byte)
        try {
          expect(utf8(formatNote(parseNote(changed)))).toEqual(changed)
        } catch (error) {
          expect(error).toMatchObject({ name: 'TlogError', code: 'bad-note' })
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('anything else throws nothing but TlogError', () => {
    const bytes = fc.uint8Array({ maxLength: 200 })
    const text = fc.string({ unit: 'binary', maxLength: 200 })
    fc.assert(
      fc.property(fc.oneof(bytes, text), (input) => {
        expect(['bad-note', undefined]).toContain(codeOf(() => parseNote(input)))
      }),
    )
  })

  test('malformed notes', () => {
    const line = formatSignatureLine(ALICE_LINE)
    const base64 = line.split(' ')[2]!.trim()
    for (const [what, note] of Object.entries({
      'no signatures': 'a\n',
      'only the separator': 'a\n\n',
      'no text': `\n${line}`,
      'last line not ended': `a\n\n${line}`.slice(0, -1),
      'carriage return': `a\r\n\n${line}`,
      tab: `a\tb\n\n${line}`,
      nul: `a\0b\n\n${line}`,
      'hyphen for dash': `a\n\n${line.replace('—', '-')}`,
      'no space after the dash': `a\n\n${line.replace('— ', '—')}`,
      'two spaces': `a\n\n${line.replace('alice ', 'alice  ')}`,
      'space behind': `a\n\n${line.replace('\n', ' \n')}`,
      'no name': `a\n\n— ${base64}\n`,
      'no-break space in the name': `a\n\n— al\u00a0ice ${base64}\n`,
      'plus in the name': `a\n\n— al+ice ${base64}\n`,
      'no signature': `a\n\n— alice \n`,
      'key id alone': `a\n\n— alice AAAAAA==\n`,
      'not base64': `a\n\n— alice ${base64.replace(/^./, '!')}\n`,
      'base64 not canonical': `a\n\n— alice AAAAAAB=\n`,
      'base64 not padded': `a\n\n— alice AAAAAAA\n`,
      'a line between': `a\n\n${line}b\n${line}`,
      'lone surrogate': `a\ud800\n\n${line}`,
    })) {
      expect(
        codeOf(() => parseNote(note)),
        `note with ${what}`,
      ).toBe('bad-note')
    }
    expect(codeOf(() => parseNote(concat(Uint8Array.of(0xff), utf8(NOTE))))).toBe('bad-note')
    // Overlong and surrogate UTF-8.
    for (const octets of [
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
    ]) {
      expect(codeOf(() => parseNote(concat(Uint8Array.from(octets), utf8(NOTE))))).toBe('bad-note')
    }
  })

  test('a byte-order mark is part of the text', () => {
    const note = `\ufeff${NOTE}`
    expect(parseNote(utf8(note)).text).toBe(`\ufeff${TEXT}`)
    expect(codeOf(() => openNote(utf8(note), [ed25519Verifier(ALICE)]))).toBe('bad-signature')
  })

  test('limits', () => {
    const line = formatSignatureLine({ ...ALICE_LINE, name: 'stranger' })
    const with100 = NOTE + line.repeat(MAX_NOTE_SIGNATURES - 1)
    expect(openNote(with100, [ed25519Verifier(ALICE)]).unverified).toHaveLength(99)
    expect(codeOf(() => parseNote(with100 + line))).toBe('too-large')
    const tail = NOTE.slice(TEXT.length)
    const filler = MAX_NOTE_BYTES - utf8(tail).length - 1
    expect(parseNote(`${'x'.repeat(filler)}\n${tail}`).text).toHaveLength(filler + 1)
    expect(codeOf(() => parseNote(`${'x'.repeat(filler + 1)}\n${tail}`))).toBe('too-large')
    expect(codeOf(() => parseNote(new Uint8Array(MAX_NOTE_BYTES + 1)))).toBe('too-large')
  })

  test('a key name may be long: its signature is a stranger’s, not an error', () => {
    const long = formatSignatureLine({ ...ALICE_LINE, name: 'x'.repeat(1000) })
    expect(openNote(NOTE + long, [ed25519Verifier(ALICE)]).unverified).toHaveLength(1)
  })

  test('signature lines alone, as a witness sends them', () => {
    const line = formatSignatureLine(ALICE_LINE)
    expect(parseSignatureLines('')).toEqual([])
    expect(parseSignatureLines(line + line)).toEqual([ALICE_LINE, ALICE_LINE])
    for (const bad of ['\n', `${line}\n`, line.slice(0, -1), `\n${line}`, 'x\n']) {
      expect(
        codeOf(() => parseSignatureLines(bad)),
        `lines ${JSON.stringify(bad)}`,
      ).toBe('bad-note')
    }
    expect(codeOf(() => parseSignatureLines(line.repeat(101)))).toBe('too-large')
  })

  test('what cannot be a note is not written', () => {
    const make =
      (text: string, signatures = [ALICE_LINE]) =>
      () =>
        formatNote({ text, signatures })
    expect(make('no newline')).toThrow(RangeError)
    expect(make('')).toThrow(RangeError)
    expect(make('tab\t\n')).toThrow(RangeError)
    expect(make(TEXT, [])).toThrow(RangeError)
    expect(make(TEXT, [{ ...ALICE_LINE, name: 'a b' }])).toThrow(RangeError)
    expect(make(TEXT, [{ ...ALICE_LINE, signature: new Uint8Array() }])).toThrow(RangeError)
  })
})

describe('signatures', () => {
  const both = signNote(TEXT, [ed25519Signer(ALICE), ed25519Signer(BOB)])

  test('known keys are verified, others ignored', () => {
    const opened = openNote(both, [ed25519Verifier(BOB)])
    expect(opened.text).toBe(TEXT)
    expect(opened.verified.map(({ name, key }) => [name, key])).toEqual([['bob', BOB]])
    expect(opened.unverified.map(({ name }) => name)).toEqual(['alice'])
    expect(openNote(both, [ALICE, BOB].map(verifierOf)).verified).toHaveLength(2)
  })

  test('lines can be added to a signed note', () => {
    const { text, signatures } = parseNote(NOTE)
    const added = signNote(text, [ed25519Signer(BOB)], signatures)
    expect(openNote(added, [ALICE, BOB].map(verifierOf)).verified.map((v) => v.name)).toEqual([
      'bob',
      'alice',
    ])
  })

  test('no known key, no note', () => {
    expect(codeOf(() => openNote(both, []))).toBe('unverified')
    expect(codeOf(() => openNote(both, [ed25519Verifier(LOG_KEY)]))).toBe('unverified')
  })

  test('the right name with another id, or the right id with another name, is a stranger’s', () => {
    const otherKey = testKey('alice', KEY_TYPE.ed25519, 22)
    expect(codeOf(() => openNote(NOTE, [ed25519Verifier(otherKey)]))).toBe('unverified')
    const otherName = formatNote({ text: TEXT, signatures: [{ ...ALICE_LINE, name: 'alicia' }] })
    expect(codeOf(() => openNote(otherName, [ed25519Verifier(ALICE)]))).toBe('unverified')
  })

  test('one bad signature of a known key rejects a note that others signed well', () => {
    const bad = { ...ALICE_LINE, signature: withByte(ALICE_LINE.signature, 5, (b) => b ^ 1) }
    const note = signNote(TEXT, [ed25519Signer(BOB)], [bad])
    expect(codeOf(() => openNote(note, [ALICE, BOB].map(verifierOf)))).toBe('bad-signature')
    expect(openNote(note, [ed25519Verifier(BOB)]).verified).toHaveLength(1)
  })

  test('a repeated line counts once, but a second bad line of the same key still rejects', () => {
    const twice = formatNote({ text: TEXT, signatures: [ALICE_LINE, ALICE_LINE] })
    expect(openNote(twice, [ed25519Verifier(ALICE)]).verified).toHaveLength(1)
    const bad = { ...ALICE_LINE, signature: withByte(ALICE_LINE.signature, 63, (b) => b ^ 1) }
    const mixed = formatNote({ text: TEXT, signatures: [ALICE_LINE, bad] })
    expect(codeOf(() => openNote(mixed, [ed25519Verifier(ALICE)]))).toBe('bad-signature')
  })

  test('every changed bit of text, name, id or signature is noticed', () => {
    const bytes = utf8(NOTE)
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [0x01, 0x10, 0x80]) {
        const changed = withByte(bytes, at, (b) => b ^ bit)
        expect(
          codeOf(() => openNote(changed, [ed25519Verifier(ALICE)])),
          `byte ${at}`,
        ).toBeOneOf(['bad-note', 'bad-signature', 'unverified'])
      }
    }
  })

  test('every prefix is refused', () => {
    const bytes = utf8(NOTE)
    for (let n = 0; n < bytes.length; n++) {
      expect(codeOf(() => openNote(bytes.subarray(0, n), [ed25519Verifier(ALICE)]))).toBe(
        'bad-note',
      )
    }
  })

  test('two verifiers of the same name and id are the caller’s bug', () => {
    const verifier = ed25519Verifier(ALICE)
    expect(() => openNote(NOTE, [verifier, verifier])).toThrow(RangeError)
  })

  test('a key of another type has no plain verifier', () => {
    expect(() => ed25519Verifier(WITNESS_KEYS[0])).toThrow(RangeError)
    expect(() => ed25519Signer(WITNESS_KEYS[0])).toThrow(RangeError)
  })

  test('verification goes through the injected backend', () => {
    const asked: string[] = []
    const previous = setBackend({
      sha256: (data) => previous.sha256(data),
      sha256Into: (data, out, offset) => previous.sha256Into(data, out, offset),
      ed25519Verify: (publicKey, message, signature) => {
        asked.push(fromUtf8(message))
        return previous.ed25519Verify(publicKey, message, signature)
      },
    })
    try {
      expect(openNote(NOTE, [ed25519Verifier(ALICE)]).verified).toHaveLength(1)
    } finally {
      setBackend(previous)
    }
    expect(asked).toEqual([TEXT])
  })
})

interface NoteCase {
  desc: string
  vkeys: string[]
  note: string
  ok: boolean
  verified?: number
}

describe.skipIf(!present)('vectors: note/note-cases.json', () => {
  const cases = present ? readJson<{ cases: NoteCase[] }>('note/note-cases.json').cases : []

  test('are all there', () => {
    expect(cases).toHaveLength(13)
  })

  test.each(cases)('$desc', ({ vkeys, note, ok, verified }) => {
    const verifiers = vkeys.map((vkey) => ed25519Verifier(parseVkey(vkey)))
    if (ok) {
      const opened = openNote(note, verifiers)
      expect(opened.verified).toHaveLength(verified!)
      expect(formatNote(parseNote(note))).toBe(note)
    } else {
      expect(codeOf(() => openNote(note, verifiers))).toBeOneOf([
        'bad-note',
        'bad-signature',
        'unverified',
        'too-large',
      ])
    }
  })
})
