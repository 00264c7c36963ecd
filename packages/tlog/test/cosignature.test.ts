import { shake128 } from '@noble/hashes/sha3.js'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import { describe, expect, test } from 'vitest'
import { concat, fromBase64, fromHex, toHex, u64be, utf8 } from '../src/bytes.ts'
import { formatCheckpoint } from '../src/checkpoint.ts'
import {
  signSubtree,
  signerOf,
  timestampOf,
  verifierOf,
  verifySubtree,
} from '../src/cosignature.ts'
import type { Subtree } from '../src/cosignature.ts'
import { EMPTY_ROOT, asHash, sha256 } from '../src/hash.ts'
import { KEY_TYPE, formatVkey, parseSkey, parseVkey, verifierKey } from '../src/key.ts'
import { ed25519Verifier, openNote, parseNote, signNote } from '../src/note.ts'
import { codeOf } from './codes.ts'
import { LOG_KEY, LOG_ORIGIN, LOG_PQ_KEY, NOW, WITNESS_KEYS, withByte } from './keys.ts'
import { nightly, present, readJson } from './vectors.ts'

const [W0, , W2] = WITNESS_KEYS
const SECONDS = NOW / 1000
const now = (): number => NOW + 999
const ROOT = sha256(utf8('root'))
const TEXT = formatCheckpoint({ origin: LOG_ORIGIN, size: 42, root: ROOT, extensions: [] })
const TEXT_BYTES = utf8(TEXT)

describe('0x04, Ed25519', () => {
  const signature = signerOf(W0, now).sign(TEXT_BYTES)
  const verifier = verifierOf(W0)

  test('is a timestamp and an Ed25519 signature over two lines and the text', () => {
    expect(signature).toHaveLength(8 + 64)
    expect(signature.subarray(0, 8)).toEqual(u64be(SECONDS))
    const message = utf8(`cosignature/v1\ntime ${SECONDS}\n${TEXT}`)
    const plain = ed25519Verifier(verifierKey(W0.name, KEY_TYPE.ed25519, W0.publicKey))
    expect(plain.verify(message, signature.subarray(8))).toBe(true)
    expect(verifier.verify(TEXT_BYTES, signature)).toBe(true)
  })

  test('every changed byte of text or signature, timestamp included, is noticed', () => {
    for (let at = 0; at < signature.length; at++) {
      const changed = withByte(signature, at, (b) => b ^ 1)
      expect(verifier.verify(TEXT_BYTES, changed), `byte ${at}`).toBe(false)
    }
    for (let at = 0; at < TEXT_BYTES.length; at++) {
      const changed = withByte(TEXT_BYTES, at, (b) => b ^ 1)
      expect(verifier.verify(changed, signature), `byte ${at}`).toBe(false)
    }
  })

  test('every other length is refused', () => {
    for (let n = 0; n < signature.length; n++) {
      expect(verifier.verify(TEXT_BYTES, signature.subarray(0, n))).toBe(false)
    }
    expect(verifier.verify(TEXT_BYTES, concat(signature, Uint8Array.of(0)))).toBe(false)
  })

  test('a timestamp above 2^53-1 is refused', () => {
    const high = concat(new Uint8Array(8).fill(0xff), signature.subarray(8))
    expect(verifier.verify(TEXT_BYTES, high)).toBe(false)
  })

  test('covers extension lines', () => {
    const more = utf8(`${TEXT}more\n`)
    const cosigned = signerOf(W0, now).sign(more)
    expect(verifier.verify(more, cosigned)).toBe(true)
    expect(verifier.verify(TEXT_BYTES, cosigned)).toBe(false)
  })

  test('a plain signature of the same key is none, and the other way round', () => {
    const plainKey = { ...W0, ...verifierKey(W0.name, KEY_TYPE.ed25519, W0.publicKey) }
    const plain = signerOf(plainKey, now).sign(TEXT_BYTES)
    expect(verifier.verify(TEXT_BYTES, plain)).toBe(false)
    expect(verifier.verify(TEXT_BYTES, concat(u64be(SECONDS), plain))).toBe(false)
    expect(verifierOf(plainKey).verify(TEXT_BYTES, signature)).toBe(false)
    expect(verifierOf(plainKey).verify(TEXT_BYTES, plain)).toBe(true)
  })
})

describe('0x06, ML-DSA-44', () => {
  const signature = signerOf(W2, now).sign(TEXT_BYTES)
  const verifier = verifierOf(W2)

  test('is a timestamp and a signature over names, sizes and root, byte for byte', () => {
    expect(signature).toHaveLength(8 + 2420)
    const message = concat(
      utf8('subtree/v1\n\0'),
      Uint8Array.of(W2.name.length),
      utf8(W2.name),
      u64be(SECONDS),
      Uint8Array.of(LOG_ORIGIN.length),
      utf8(LOG_ORIGIN),
      u64be(0),
      u64be(42),
      ROOT,
    )
    expect(ml_dsa44.verify(signature.subarray(8), message, W2.publicKey)).toBe(true)
    expect(verifier.verify(TEXT_BYTES, signature)).toBe(true)
  })

  test('is deterministic', () => {
    expect(signerOf(W2, now).sign(TEXT_BYTES)).toEqual(signature)
    expect(signerOf(W2, () => NOW + 1000).sign(TEXT_BYTES)).not.toEqual(signature)
  })

  test('every changed byte of the text is noticed', () => {
    for (let at = 0; at < TEXT_BYTES.length; at++) {
      const changed = withByte(TEXT_BYTES, at, (b) => b ^ 1)
      expect(verifier.verify(changed, signature), `byte ${at}`).toBe(false)
    }
  })

  test('changed bytes of the signature are noticed', () => {
    for (let at = 0; at < signature.length; at += at < 64 ? 1 : 37) {
      const changed = withByte(signature, at, (b) => b ^ 1)
      expect(verifier.verify(TEXT_BYTES, changed), `byte ${at}`).toBe(false)
    }
  })

  test('every other length is refused', () => {
    for (const n of [0, 7, 8, 72, 2420, 2427]) {
      expect(verifier.verify(TEXT_BYTES, signature.subarray(0, n))).toBe(false)
    }
    expect(verifier.verify(TEXT_BYTES, concat(signature, Uint8Array.of(0)))).toBe(false)
  })

  test('binds the cosigner’s name, which Ed25519 does not', () => {
    const renamed = verifierKey('other.example', W2.type, W2.publicKey)
    expect(verifierOf(renamed).verify(TEXT_BYTES, signature)).toBe(false)
    const edRenamed = verifierKey('other.example', W0.type, W0.publicKey)
    expect(verifierOf(edRenamed).verify(TEXT_BYTES, signerOf(W0, now).sign(TEXT_BYTES))).toBe(true)
  })

  test('does not cover extension lines', () => {
    expect(verifier.verify(utf8(`${TEXT}more\n`), signature)).toBe(true)
  })

  test('a text that is no checkpoint, or whose origin is too long, has no signature', () => {
    expect(verifier.verify(utf8('text\n'), signature)).toBe(false)
    expect(verifier.verify(Uint8Array.of(0xff, 0x0a), signature)).toBe(false)
    const signer = signerOf(W2, now)
    expect(codeOf(() => signer.sign(utf8('text\n')))).toBe('bad-checkpoint')
    const sized = (n: number): Uint8Array =>
      utf8(formatCheckpoint({ origin: 'o'.repeat(n), size: 1, root: ROOT, extensions: [] }))
    expect(verifier.verify(sized(255), signer.sign(sized(255)))).toBe(true)
    expect(() => signer.sign(sized(256))).toThrow(RangeError)
    expect(verifier.verify(sized(256), signature)).toBe(false)
  })

  test('a log signs with it as a witness does', () => {
    const note = signNote(TEXT, [signerOf(LOG_PQ_KEY, now), signerOf(LOG_KEY, now)])
    const opened = openNote(note, [verifierOf(formatVkey(LOG_PQ_KEY))])
    expect(opened.verified.map((v) => [v.name, timestampOf(v)])).toEqual([[LOG_ORIGIN, SECONDS]])
  })

  test('a key name of more than one byte a letter is measured in bytes', () => {
    const name = 'é'.repeat(127)
    const key = { ...W2, ...verifierKey(name, W2.type, W2.publicKey) }
    expect(verifierOf(key).verify(TEXT_BYTES, signerOf(key, now).sign(TEXT_BYTES))).toBe(true)
    expect(() => verifierKey(`${name}é`, W2.type, W2.publicKey)).toThrow(RangeError)
  })
})

describe('subtrees', () => {
  const subtree: Subtree = { origin: LOG_ORIGIN, start: 256, end: 512, hash: ROOT }

  test('are signed without a time unless they start at 0', () => {
    expect(verifySubtree(W2, subtree, signSubtree(W2, subtree))).toBe(0)
    const whole = { ...subtree, start: 0 }
    expect(verifySubtree(W2, whole, signSubtree(W2, whole, SECONDS))).toBe(SECONDS)
    expect(verifySubtree(W2, whole, signSubtree(W2, whole))).toBe(0)
    expect(() => signSubtree(W2, subtree, SECONDS)).toThrow(RangeError)
  })

  test('a time on one that does not start at 0 is refused, however well it is signed', () => {
    const message = concat(
      utf8('subtree/v1\n\0'),
      Uint8Array.of(W2.name.length),
      utf8(W2.name),
      u64be(1),
      Uint8Array.of(LOG_ORIGIN.length),
      utf8(LOG_ORIGIN),
      u64be(256),
      u64be(512),
      ROOT,
    )
    const { secretKey } = ml_dsa44.keygen(W2.seed)
    const signature = concat(u64be(1), ml_dsa44.sign(message, secretKey))
    expect(codeOf(() => verifySubtree(W2, subtree, signature))).toBe('bad-signature')
  })

  test('another origin, start, end, hash or cosigner does not verify', () => {
    const signature = signSubtree(W2, subtree)
    for (const other of [
      { origin: 'other' },
      { start: 0 },
      { end: 511 },
      { hash: EMPTY_ROOT },
      { start: 512, end: 768 },
    ]) {
      expect(codeOf(() => verifySubtree(W2, { ...subtree, ...other }, signature))).toBe(
        'bad-signature',
      )
    }
    expect(codeOf(() => verifySubtree(LOG_PQ_KEY, subtree, signature))).toBe('bad-signature')
    expect(codeOf(() => verifySubtree(W0, subtree, signature))).toBe('bad-signature')
  })

  test('a range that is no subtree is neither signed nor verified', () => {
    const signature = signSubtree(W2, subtree)
    for (const range of [
      { start: 256, end: 256 },
      { start: 512, end: 256 },
      { start: 255, end: 257 },
      { start: 128, end: 384 },
      { start: -256, end: 0 },
      { start: 2 ** 53, end: 2 ** 53 + 2 },
    ]) {
      expect(() => signSubtree(W2, { ...subtree, ...range })).toThrow(RangeError)
      expect(codeOf(() => verifySubtree(W2, { ...subtree, ...range }, signature))).toBe(
        'bad-signature',
      )
    }
    expect(() => signSubtree(W0, subtree)).toThrow(RangeError)
  })

  test('a checkpoint’s signature is that of the subtree [0, size)', () => {
    const signature = signerOf(W2, now).sign(TEXT_BYTES)
    const whole = { origin: LOG_ORIGIN, start: 0, end: 42, hash: ROOT }
    expect(verifySubtree(W2, whole, signature)).toBe(SECONDS)
  })
})

describe.skipIf(!present)('vectors', () => {
  interface Mldsa44 {
    log_skey: string
    log_vkey: string
    witness_skey: string
    witness_vkey: string
    signed_checkpoint: string
    subtree: {
      cosigner: string
      origin: string
      start: number
      end: number
      hash_hex: string
      timestamp: number
      timestamped_signature_b64: string
    }
  }
  const v = present ? readJson<Mldsa44>('cosignature/mldsa44-cosignature.json') : undefined

  test('cosignature/mldsa44-cosignature.json: log and witness on a checkpoint', () => {
    const { signed_checkpoint, log_vkey, witness_vkey } = v!
    const opened = openNote(signed_checkpoint, [log_vkey, witness_vkey].map(verifierOf))
    expect(opened.verified.map(({ name }) => name)).toEqual([
      'ds.example.test/log1',
      'witness.example.test/pq',
    ])
    for (const signature of opened.verified) expect(timestampOf(signature)).toBeGreaterThan(1.6e9)
    const changed = signed_checkpoint.replace('\n20852163\n', '\n20852164\n')
    expect(codeOf(() => openNote(changed, [verifierOf(log_vkey)]))).toBe('bad-signature')
  })

  test('cosignature/mldsa44-cosignature.json: our keys sign what their verifiers read', () => {
    const { signed_checkpoint, log_skey, log_vkey } = v!
    const { text } = parseNote(signed_checkpoint)
    const note = signNote(text, [signerOf(parseSkey(log_skey), now)])
    expect(openNote(note, [verifierOf(log_vkey)]).verified).toHaveLength(1)
  })

  test('cosignature/mldsa44-cosignature.json: a subtree', () => {
    const { subtree, witness_vkey } = v!
    const key = parseVkey(witness_vkey)
    expect(key.name).toBe(subtree.cosigner)
    const { origin, start, end } = subtree
    const what = { origin, start, end, hash: asHash(fromHex(subtree.hash_hex)) }
    const signature = fromBase64(subtree.timestamped_signature_b64)
    expect(verifySubtree(key, what, signature)).toBe(0)
    expect(codeOf(() => verifySubtree(key, { ...what, end: end + 1 }, signature))).toBe(
      'bad-signature',
    )
  })

  // The ML-DSA-44 we sign with, against the digests of C2SP's CCTV over many keys and signatures.
  const rounds = nightly ? [100, 10_000] : [100]
  test.each(rounds)('mldsa/accumulated.json: %i rounds', { timeout: 600_000 }, (n) => {
    const digests = readJson<Record<string, Record<string, string>>>('mldsa/accumulated.json')
    const seeds = shake128.create({})
    const all = shake128.create({})
    for (let round = 0; round < n; round++) {
      const { publicKey, secretKey } = ml_dsa44.keygen(seeds.xof(32))
      const signature = ml_dsa44.sign(new Uint8Array(), secretKey, { extraEntropy: false })
      all.update(publicKey).update(signature)
    }
    expect(toHex(all.xof(32))).toBe(digests['ML-DSA-44']![n])
  })

  test.each(['ML-DSA-44.json', 'ML-DSA-44.alt.json'])(
    'mldsa/ML-DSA/benchmark/%s: messages that take every number of rejections',
    (file) => {
      const messages = readJson<string[]>(`mldsa/ML-DSA/benchmark/${file}`)
      expect(messages).toHaveLength(188)
      const { publicKey, secretKey } = ml_dsa44.keygen(new Uint8Array(32))
      for (const message of messages) {
        const signature = ml_dsa44.sign(utf8(message), secretKey, { extraEntropy: false })
        expect(ml_dsa44.verify(signature, utf8(message), publicKey)).toBe(true)
        const other = utf8(`${message} `)
        expect(ml_dsa44.verify(signature, other, publicKey)).toBe(false)
      }
    },
  )
})
