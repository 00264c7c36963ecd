import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromHex, utf8 } from '../src/bytes.ts'
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from '../src/checkpoint.ts'
import type { Checkpoint } from '../src/checkpoint.ts'
import { signerOf, timestampOf, verifierOf } from '../src/cosignature.ts'
import { asHash, hashFromBase64, sha256 } from '../src/hash.ts'
import { ed25519Signer, signNote } from '../src/note.ts'
import { verifyConsistency } from '../src/proof.ts'
import { codeOf } from './codes.ts'
import { LOG_KEY, LOG_ORIGIN, LOG_PQ_KEY, NOW, WITNESS_KEYS } from './keys.ts'
import { present, readJson } from './vectors.ts'

const ROOT = sha256(utf8('root'))
const CHECKPOINT: Checkpoint = { origin: LOG_ORIGIN, size: 42, root: ROOT, extensions: [] }
const TEXT = formatCheckpoint(CHECKPOINT)
const now = (): number => NOW

describe('text', () => {
  test('the example of the specification', () => {
    const text = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
`
    const checkpoint = parseCheckpoint(text)
    expect(checkpoint).toEqual({
      origin: 'example.com/behind-the-sofa',
      size: 20852163,
      root: hashFromBase64('CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='),
      extensions: [],
    })
    expect(formatCheckpoint(checkpoint)).toBe(text)
  })

  test('every checkpoint survives writing and reading, with sizes up to 2^53-1', () => {
    const line = fc.string({ unit: 'grapheme', minLength: 1 }).filter((s) => !s.includes('\n'))
    const size = fc.oneof(
      fc.maxSafeNat(),
      fc.constantFrom(0, 2 ** 31, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER),
    )
    const root = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asHash)
    const checkpoints = fc.record({ origin: line, size, root, extensions: fc.array(line) })
    fc.assert(
      fc.property(checkpoints, (checkpoint) => {
        expect(parseCheckpoint(formatCheckpoint(checkpoint))).toEqual(checkpoint)
      }),
    )
  })

  test('every prefix is refused', () => {
    for (let n = 0; n < TEXT.length; n++) {
      expect(codeOf(() => parseCheckpoint(TEXT.slice(0, n)))).toBe('bad-checkpoint')
    }
  })

  test('malformed texts', () => {
    const [origin, size, root] = TEXT.trim().split('\n') as [string, string, string]
    for (const text of [
      `\n${size}\n${root}\n`,
      `${origin}\n\n${root}\n`,
      `${origin}\n0${size}\n${root}\n`,
      `${origin}\n+${size}\n${root}\n`,
      `${origin}\n-1\n${root}\n`,
      `${origin}\n1.0\n${root}\n`,
      `${origin}\n1e3\n${root}\n`,
      `${origin}\n0x10\n${root}\n`,
      `${origin}\n ${size}\n${root}\n`,
      `${origin}\n٤٢\n${root}\n`,
      `${origin}\n9007199254740992\n${root}\n`,
      `${origin}\n${size}\n${root} \n`,
      `${origin}\n${size}\n${root.slice(0, -1)}\n`,
      `${origin}\n${size}\n${root.replace(/.=$/, 'B=')}\n`,
      `${origin}\n${size}\nAAAA\n`,
      `${origin}\n${size}\n${root}\n\n`,
      `${origin}\n${size}\n${root}\nextension\n\nextension\n`,
      `${origin}\n${size}\n${root}\nextension`,
    ]) {
      expect(
        codeOf(() => parseCheckpoint(text)),
        `text ${JSON.stringify(text)}`,
      ).toBe('bad-checkpoint')
    }
  })

  test('what has no text is the caller’s bug', () => {
    for (const wrong of [
      { size: -1 },
      { size: 1.5 },
      { size: 2 ** 53 },
      { origin: '' },
      { origin: 'a\nb' },
      { extensions: [''] },
    ]) {
      expect(() => formatCheckpoint({ ...CHECKPOINT, ...wrong })).toThrow(RangeError)
    }
  })
})

describe('signed', () => {
  test('an opened checkpoint says what it is and who signed', () => {
    const note = signNote(
      TEXT,
      [LOG_KEY, LOG_PQ_KEY, WITNESS_KEYS[0]].map((k) => signerOf(k, now)),
    )
    const opened = openCheckpoint(note, [LOG_KEY, LOG_PQ_KEY].map(verifierOf))
    expect(opened.checkpoint).toEqual(CHECKPOINT)
    expect(opened.verified.map(({ key }) => key)).toEqual([LOG_KEY, LOG_PQ_KEY])
    expect(opened.verified.map(timestampOf)).toEqual([undefined, NOW / 1000])
    expect(opened.unverified.map(({ name }) => name)).toEqual(['w0.example'])
  })

  test('a signed text that is no checkpoint is refused', () => {
    const note = signNote('a\nb\nc\n', [ed25519Signer(LOG_KEY)])
    expect(codeOf(() => openCheckpoint(note, [verifierOf(LOG_KEY)]))).toBe('bad-checkpoint')
  })

  test('extension lines are kept where the log signed them, refused where nobody or only a witness did', () => {
    const text = formatCheckpoint({ ...CHECKPOINT, extensions: ['more'] })
    const [w0] = WITNESS_KEYS
    const note = signNote(
      text,
      [LOG_KEY, LOG_PQ_KEY, w0].map((k) => signerOf(k, now)),
    )
    expect(openCheckpoint(note, [verifierOf(LOG_KEY)]).checkpoint.extensions).toEqual(['more'])
    const open =
      (...keys: Parameters<typeof verifierOf>[0][]) =>
      () =>
        openCheckpoint(note, keys.map(verifierOf))
    expect(codeOf(open(LOG_KEY, LOG_PQ_KEY))).toBeUndefined()
    expect(codeOf(open(LOG_PQ_KEY))).toBe('bad-checkpoint')
    expect(codeOf(open(LOG_PQ_KEY, w0))).toBe('bad-checkpoint')
    // The reason: the post-quantum signature holds for other extension lines just as well.
    const forged = note.replace('\nmore\n', '\nless\n')
    expect(codeOf(() => openCheckpoint(forged, [verifierOf(LOG_PQ_KEY)]))).toBe('bad-checkpoint')
    expect(codeOf(() => openCheckpoint(forged, [LOG_KEY, LOG_PQ_KEY].map(verifierOf)))).toBe(
      'bad-signature',
    )
  })
})

interface RealCheckpoint {
  name: string
  vkeys: string[]
  checkpoint: string
}

describe.skipIf(!present)('vectors', () => {
  const real = present ? readJson<RealCheckpoint[]>('checkpoints/real-checkpoints.json') : []
  const supported = real.filter(({ name }) => !/0x02|0x05/.test(name))
  const unsupported = real.filter(({ name }) => /0x02|0x05/.test(name))

  test('checkpoints/real-checkpoints.json: four logs we verify, two we do not', () => {
    expect([supported.length, unsupported.length]).toEqual([4, 2])
  })

  test.each(supported)('$name', ({ name, vkeys, checkpoint }) => {
    const opened = openCheckpoint(checkpoint, vkeys.map(verifierOf))
    const { origin, size } = opened.checkpoint
    expect(checkpoint.startsWith(`${origin}\n${size}\n`)).toBe(true)
    expect(formatCheckpoint(opened.checkpoint)).toBe(opened.text)
    expect(opened.unverified).toEqual([])
    const cosigners = opened.verified.filter((v) => timestampOf(v) !== undefined)
    expect(cosigners.map((v) => [v.name, timestampOf(v)])).toEqual(
      name.startsWith('armored-witness')
        ? [
            ['ArmoredWitness-weathered-rain', 0x67191ac7],
            ['ArmoredWitness-floral-sky', 0x67191ac3],
          ]
        : [],
    )
  })

  test.each(unsupported)('$name: nobody here verifies that type', ({ vkeys, checkpoint }) => {
    for (const vkey of vkeys) expect(codeOf(() => verifierOf(vkey))).toBe('unsupported-key')
    expect(codeOf(() => openCheckpoint(checkpoint, []))).toBe('unverified')
    expect(codeOf(() => openCheckpoint(checkpoint, [verifierOf(LOG_KEY)]))).toBe('unverified')
  })

  test('witness/monkeys-consistency.json: two checkpoints and the proof between them', () => {
    const v = readJson<{
      log_vkey: string
      old_checkpoint: string
      new_checkpoint: string
      consistency_proof_hex: string[]
    }>('witness/monkeys-consistency.json')
    const verifiers = [verifierOf(v.log_vkey)]
    const older = openCheckpoint(v.old_checkpoint, verifiers).checkpoint
    const newer = openCheckpoint(v.new_checkpoint, verifiers).checkpoint
    expect([older.size, newer.size]).toEqual([5, 8])
    const proof = v.consistency_proof_hex.map((hex) => asHash(fromHex(hex)))
    expect(
      codeOf(() => verifyConsistency(older.size, newer.size, proof, older.root, newer.root)),
    ).toBeUndefined()
    expect(
      codeOf(() => verifyConsistency(older.size, newer.size, proof, newer.root, older.root)),
    ).toBe('bad-proof')
  })
})
