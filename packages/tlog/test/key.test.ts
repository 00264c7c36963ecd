import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, equal, fromUtf8, toBase64, utf8 } from '../src/bytes.ts'
import { TlogError } from '../src/error.ts'
import {
  KEY_TYPE,
  formatSkey,
  formatVkey,
  isKeyName,
  keyId,
  parseSkey,
  parseVkey,
  signerKey,
  verifierKey,
} from '../src/key.ts'
import { codeOf } from './codes.ts'
import { LOG_KEY, LOG_PQ_KEY, WITNESS_KEYS, testKey, withByte } from './keys.ts'
import { present, readJson } from './vectors.ts'

const SPEC = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'

const BAD: readonly (string | undefined)[] = ['bad-key', 'unsupported-key']

/** Whether a vkey, given by its bytes, is refused. */
function refused(bytes: Uint8Array): boolean {
  let text: string
  try {
    text = fromUtf8(bytes)
  } catch {
    return true
  }
  return BAD.includes(codeOf(() => parseVkey(text)))
}

describe('verifier keys', () => {
  test('the example of the specification', () => {
    const key = parseVkey(SPEC)
    expect(key).toMatchObject({ name: 'example.com/foo', id: '530d903a', type: KEY_TYPE.ed25519 })
    expect(formatVkey(key)).toBe(SPEC)
    expect(keyId(key.name, key.type, key.publicKey)).toBe('530d903a')
  })

  test.each([LOG_KEY, WITNESS_KEYS[0]].map(formatVkey).concat(SPEC))(
    'every proper substring of %s is refused',
    (vkey) => {
      for (let start = 0; start < vkey.length; start++) {
        for (let end = start; end <= vkey.length; end++) {
          if (end - start === vkey.length) continue
          expect(BAD, `${start}, ${end}`).toContain(codeOf(() => parseVkey(vkey.slice(start, end))))
        }
      }
    },
  )

  test('so is every prefix and suffix of an ML-DSA-44 key', () => {
    const vkey = formatVkey(LOG_PQ_KEY)
    for (let n = 0; n < vkey.length; n++) {
      expect(BAD).toContain(codeOf(() => parseVkey(vkey.slice(0, n))))
      expect(BAD).toContain(codeOf(() => parseVkey(vkey.slice(n + 1))))
    }
  })

  test.each([LOG_KEY, WITNESS_KEYS[0], LOG_PQ_KEY].map(formatVkey).concat(SPEC))(
    'with any one byte incremented, decremented or flipped in case it is refused: %#',
    (vkey) => {
      const bytes = utf8(vkey)
      for (let at = 0; at < bytes.length; at++) {
        for (const change of [
          (b: number) => b + 1,
          (b: number) => b - 1,
          (b: number) => b ^ 0x20,
        ]) {
          expect(refused(withByte(bytes, at, change)), `byte ${at}`).toBe(true)
        }
      }
    },
  )

  test('keys of the types nobody here verifies are refused as such', () => {
    for (const type of [0x00, 0x02, 0x03, 0x05, 0x07, 0xfa, 0xff]) {
      const material = toBase64(concat(Uint8Array.of(type), LOG_KEY.publicKey))
      expect(codeOf(() => parseVkey(`log.example+01020304+${material}`))).toBe('unsupported-key')
    }
  })

  test('what is nearly a key is refused', () => {
    const [name, id, material] = SPEC.split('+') as [string, string, string]
    for (const text of [
      '',
      '+',
      '++',
      `${name}+${id}`,
      `${name}+${id}+`,
      `${name}+${id.toUpperCase()}+${material}`,
      `${name}+${id}00+${material}`,
      `${name}+${id}+${material}\n`,
      ` ${SPEC}`,
      `${name} x+${id}+${material}`,
      `${name}+${id}+${toBase64(Uint8Array.of(KEY_TYPE.ed25519))}`,
      `${name}+${id}+${toBase64(concat(Uint8Array.of(KEY_TYPE.mldsa44), LOG_KEY.publicKey))}`,
    ]) {
      expect(
        codeOf(() => parseVkey(text)),
        `key ${text}`,
      ).toBe('bad-key')
    }
  })

  test('the id binds name, type and key', () => {
    const { publicKey } = LOG_KEY
    const ids = [
      keyId('a', KEY_TYPE.ed25519, publicKey),
      keyId('b', KEY_TYPE.ed25519, publicKey),
      keyId('a', KEY_TYPE.cosignature, publicKey),
      keyId('a', KEY_TYPE.ed25519, WITNESS_KEYS[0].publicKey),
    ]
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('a made-up key survives writing and reading', () => {
    const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter(isKeyName)
    const types = fc.constantFrom(KEY_TYPE.ed25519, KEY_TYPE.cosignature)
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(names, types, bytes, (name, type, publicKey) => {
        const key = verifierKey(name, type, publicKey)
        expect(parseVkey(formatVkey(key))).toEqual(key)
      }),
    )
  })

  test('anything else throws nothing but TlogError', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(BAD).toContain(codeOf(() => parseVkey(text)))
      }),
    )
  })
})

describe('key names', () => {
  test('Unicode spaces, plus and control characters cannot be in them', () => {
    const spaces = [
      0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
    ]
    for (const code of [...spaces, 0x00, 0x09, 0x0a, 0x0d, 0x1f, 0x2b, 0xd800]) {
      expect(isKeyName(`a${String.fromCharCode(code)}b`), `${code}`).toBe(false)
    }
    expect(isKeyName('')).toBe(false)
  })

  test('everything else can, as in Go: also a byte-order mark and a zero-width space', () => {
    for (const code of [0x21, 0x7f, 0xe9, 0x180e, 0x200b, 0xfeff]) {
      expect(isKeyName(`a${String.fromCharCode(code)}b`), `${code}`).toBe(true)
    }
  })

  test('an ML-DSA-44 key needs one of at most 255 bytes', () => {
    const { publicKey } = LOG_PQ_KEY
    expect(verifierKey('n'.repeat(255), KEY_TYPE.mldsa44, publicKey).name).toHaveLength(255)
    const long = 'n'.repeat(256)
    expect(() => verifierKey(long, KEY_TYPE.mldsa44, publicKey)).toThrow(RangeError)
    const id = keyId(long, KEY_TYPE.mldsa44, publicKey)
    const vkey = formatVkey({ name: long, id, type: KEY_TYPE.mldsa44, publicKey })
    expect(codeOf(() => parseVkey(vkey))).toBe('bad-key')
    expect(verifierKey(long, KEY_TYPE.ed25519, LOG_KEY.publicKey).name).toBe(long)
  })
})

describe('signer keys', () => {
  test.each([LOG_KEY, ...WITNESS_KEYS])(
    '$name of type $type survives writing and reading',
    (key) => {
      expect(parseSkey(formatSkey(key))).toEqual(key)
      const { seed: _, ...verifier } = key
      expect(parseVkey(formatVkey(key))).toEqual(verifier)
    },
  )

  test('every prefix and every changed byte is refused', () => {
    const skey = formatSkey(LOG_KEY)
    for (let n = 0; n < skey.length; n++) {
      expect(BAD).toContain(codeOf(() => parseSkey(skey.slice(0, n))))
      const changed = fromUtf8(withByte(utf8(skey), n, (b) => b ^ 1))
      expect(BAD, `byte ${n}`).toContain(codeOf(() => parseSkey(changed)))
    }
  })

  test('no error message holds the secret', () => {
    const skey = formatSkey(LOG_KEY)
    const secret = toBase64(LOG_KEY.seed).slice(2, 20)
    for (const broken of [skey.slice(0, -1), skey.replace(LOG_KEY.id, '00000000'), `${skey}=`]) {
      try {
        parseSkey(broken)
        expect.unreachable()
      } catch (error) {
        expect(error).toBeInstanceOf(TlogError)
        expect(String(error)).not.toContain(secret)
      }
    }
  })

  test('a seed of another length is the caller’s bug', () => {
    expect(() => signerKey('a', KEY_TYPE.ed25519, new Uint8Array(31))).toThrow(RangeError)
    expect(() => verifierKey('a b', KEY_TYPE.ed25519, LOG_KEY.publicKey)).toThrow(RangeError)
    expect(() => verifierKey('a', KEY_TYPE.mldsa44, LOG_KEY.publicKey)).toThrow(RangeError)
  })

  test('the same seed under two types is one public key with two ids', () => {
    const a = testKey('x', KEY_TYPE.ed25519, 7)
    const b = testKey('x', KEY_TYPE.cosignature, 7)
    expect(equal(a.publicKey, b.publicKey)).toBe(true)
    expect(a.id).not.toBe(b.id)
  })
})

describe.skipIf(!present)('vectors', () => {
  test('note/note-cases.json: good and bad verifier keys', () => {
    const { vkeys_valid, vkeys_invalid } = readJson<{
      vkeys_valid: string[]
      vkeys_invalid: string[]
    }>('note/note-cases.json')
    for (const vkey of vkeys_valid) expect(formatVkey(parseVkey(vkey))).toBe(vkey)
    for (const vkey of vkeys_invalid) expect(BAD).toContain(codeOf(() => parseVkey(vkey)))
    for (const vkey of vkeys_valid) {
      for (let start = 0; start < vkey.length; start++) {
        for (let end = start; end <= vkey.length; end++) {
          if (end - start < vkey.length) expect(refused(utf8(vkey.slice(start, end)))).toBe(true)
        }
      }
      for (let at = 0; at < vkey.length; at++) {
        expect(refused(withByte(utf8(vkey), at, (b) => b + 1))).toBe(true)
      }
    }
  })

  test('cosignature/mldsa44-cosignature.json: the seed gives the public key of filippo.io/mldsa', () => {
    const v = readJson<Record<'log_skey' | 'log_vkey' | 'witness_skey' | 'witness_vkey', string>>(
      'cosignature/mldsa44-cosignature.json',
    )
    for (const [skey, vkey] of [
      [v.log_skey, v.log_vkey],
      [v.witness_skey, v.witness_vkey],
    ] as const) {
      expect(formatVkey(parseSkey(skey))).toBe(vkey)
      expect(formatSkey(parseSkey(skey))).toBe(skey)
    }
  })
})
