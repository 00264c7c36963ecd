import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  MAX_PATH_HASHES,
  MAX_TLOG_PROOF_BYTES,
  formatTlogProof,
  parseTlogProof,
  verifyTlogProof,
} from '../src/bundle.ts'
import type { TlogProof } from '../src/bundle.ts'
import { equal, fromBase64, utf8 } from '../src/bytes.ts'
import { formatCheckpoint } from '../src/checkpoint.ts'
import { signerOf } from '../src/cosignature.ts'
import { asHash, hashFromBase64, sha256 } from '../src/hash.ts'
import { formatVkey } from '../src/key.ts'
import { signNote } from '../src/note.ts'
import { parsePolicy, policyOfLog } from '../src/policy.ts'
import { codeOf } from './codes.ts'
import { LOG_KEY, LOG_ORIGIN, NOW, WITNESS_KEYS, testKey, withByte } from './keys.ts'
import { leaves, mth, path } from './reference.ts'
import { present, readJson } from './vectors.ts'

const [W0, W1] = WITNESS_KEYS
const SIZE = 13
const INDEX = 6
const LEAVES = leaves(SIZE)
const STRANGER = testKey('stranger.example', W0.type, 90)
const POLICY = parsePolicy(
  `log ${formatVkey(LOG_KEY)}
witness w0 ${formatVkey(W0)}
witness w1 ${formatVkey(W1)}
group g all w0 w1
quorum g
`,
)
const CHECKPOINT = signNote(
  formatCheckpoint({ origin: LOG_ORIGIN, size: SIZE, root: mth(LEAVES), extensions: [] }),
  [LOG_KEY, W0, W1, STRANGER].map((key) => signerOf(key, () => NOW)),
)
const PROOF: TlogProof = {
  extra: utf8('whatever the application wants'),
  index: INDEX,
  path: path(INDEX, LEAVES),
  checkpoint: CHECKPOINT,
}
const FILE = formatTlogProof(PROOF)

const open = (file: string | Uint8Array, index = INDEX): unknown =>
  verifyTlogProof(parseTlogProof(file), LEAVES[index]!, POLICY)

describe('form', () => {
  test('is a header, lines, an empty line and the checkpoint as it was signed', () => {
    expect(FILE.split('\n').slice(0, 3)).toEqual([
      'c2sp.org/tlog-proof@v1',
      'extra d2hhdGV2ZXIgdGhlIGFwcGxpY2F0aW9uIHdhbnRz',
      `index ${INDEX}`,
    ])
    expect(FILE.endsWith(`\n\n${CHECKPOINT}`)).toBe(true)
    expect(parseTlogProof(FILE)).toEqual(PROOF)
    expect(parseTlogProof(utf8(FILE))).toEqual(PROOF)
  })

  test('every proof survives writing and reading', () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(asHash)
    const proofs = fc.record(
      {
        extra: fc.uint8Array({ minLength: 1 }),
        index: fc.maxSafeNat(),
        path: fc.array(hash, { maxLength: MAX_PATH_HASHES }),
        checkpoint: fc.string({ unit: 'grapheme', minLength: 1 }),
      },
      { requiredKeys: ['index', 'path', 'checkpoint'] },
    )
    fc.assert(
      fc.property(proofs, (proof) => {
        expect(parseTlogProof(formatTlogProof(proof))).toEqual(proof)
      }),
    )
  })

  test('what parses formats to the same bytes, whatever was changed', () => {
    const bytes = utf8(FILE)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = withByte(bytes, at, () => byte)
        try {
          expect(equal(utf8(formatTlogProof(parseTlogProof(changed))), changed)).toBe(true)
        } catch (error) {
          expect(error).toMatchObject({ name: 'TlogError', code: 'bad-proof-file' })
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('malformed files', () => {
    const hash = FILE.split('\n')[3]!
    const head = 'c2sp.org/tlog-proof@v1\n'
    for (const file of [
      '',
      head,
      `${head}index 0\n`,
      `${head}index 0\n\n`,
      `${head}index 0\n${hash}\n${CHECKPOINT.slice(0, 3)}`,
      `${head}\nindex 0\n\ncheckpoint\n`,
      `${head}index 00\n\ncheckpoint\n`,
      `${head}index 9007199254740992\n\ncheckpoint\n`,
      `${head}index  0\n\ncheckpoint\n`,
      `${head}index 0 \n\ncheckpoint\n`,
      `${head}Index 0\n\ncheckpoint\n`,
      `${head}extra \nindex 0\n\ncheckpoint\n`,
      `${head}extra AAAB=\nindex 0\n\ncheckpoint\n`,
      `${head}extra AAAA\nextra AAAA\nindex 0\n\ncheckpoint\n`,
      `${head}index 0\nextra AAAA\n\ncheckpoint\n`,
      `${head}index 0\n${hash} \n\ncheckpoint\n`,
      `${head}index 0\n${hash}\n`.repeat(2),
      `${head}index 0\n${`${hash}\n`.repeat(MAX_PATH_HASHES + 1)}\ncheckpoint\n`,
      `${head.replace('v1', 'v2')}index 0\n\ncheckpoint\n`,
      `\ufeff${FILE}`,
      FILE.replaceAll('\n', '\r\n'),
      `${head}index 0\n\n\ud800`,
    ]) {
      expect(
        codeOf(() => parseTlogProof(file)),
        `file ${JSON.stringify(file.slice(0, 60))}`,
      ).toBe('bad-proof-file')
    }
    expect(codeOf(() => parseTlogProof(new Uint8Array(MAX_TLOG_PROOF_BYTES + 1)))).toBe('too-large')
    expect(codeOf(() => parseTlogProof(Uint8Array.of(0xff)))).toBe('bad-proof-file')
  })

  test('anything else throws nothing but TlogError', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.string({ unit: 'binary' })), (input) => {
        expect(codeOf(() => parseTlogProof(input))).toBe('bad-proof-file')
      }),
    )
  })

  test('what no file can hold is the caller’s bug', () => {
    for (const wrong of [
      { index: -1 },
      { index: 2 ** 53 },
      { extra: new Uint8Array() },
      { checkpoint: '' },
      { path: Array.from({ length: 64 }, () => LEAVES[0]!) },
    ]) {
      expect(() => formatTlogProof({ ...PROOF, ...wrong })).toThrow(RangeError)
    }
  })
})

describe('verifying', () => {
  test('a good proof gives the trusted checkpoint', () => {
    const trusted = verifyTlogProof(parseTlogProof(FILE), LEAVES[INDEX]!, POLICY, { now: NOW })
    expect(trusted.checkpoint.size).toBe(SIZE)
    expect(trusted.witnesses.map(({ name }) => name)).toEqual(['w0', 'w1'])
  })

  test('for every leaf of every tree up to 20', () => {
    const policy = policyOfLog(formatVkey(LOG_KEY))
    for (let size = 1; size <= 20; size++) {
      const all = leaves(size)
      const text = formatCheckpoint({
        origin: LOG_ORIGIN,
        size,
        root: mth(all),
        extensions: [],
      })
      const checkpoint = signNote(text, [signerOf(LOG_KEY, () => NOW)])
      for (let index = 0; index < size; index++) {
        const file = formatTlogProof({ index, path: path(index, all), checkpoint })
        expect(verifyTlogProof(parseTlogProof(file), all[index]!, policy).note).toBe(checkpoint)
        const other = all[(index + 1) % size]!
        if (size > 1) {
          expect(codeOf(() => verifyTlogProof(parseTlogProof(file), other, policy))).toBe(
            'bad-proof',
          )
        }
      }
    }
  })

  test('any changed byte is noticed, but in the extra line and in a line nobody needs', () => {
    const bytes = utf8(FILE)
    const extraStart = utf8('c2sp.org/tlog-proof@v1\nextra ').length
    const extraEnd = extraStart + 40
    const strangerStart = utf8(FILE.slice(0, FILE.indexOf('— stranger'))).length
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [0x01, 0x20]) {
        const code = codeOf(() => open(withByte(bytes, at, (b) => b ^ bit)))
        const free = (at >= extraStart && at < extraEnd) || at >= strangerStart
        if (!free) expect(code, `byte ${at}`).toBeDefined()
        else expect([undefined, 'bad-proof-file', 'bad-note'], `byte ${at}`).toContain(code)
      }
    }
  })

  test('every prefix is refused', () => {
    const needed = FILE.slice(0, FILE.indexOf('— stranger'))
    expect(codeOf(() => open(needed))).toBeUndefined()
    for (let n = 0; n < needed.length; n++) {
      expect(
        codeOf(() => open(needed.slice(0, n))),
        `${n}`,
      ).toBeDefined()
    }
  })

  test('another leaf, index or path does not verify', () => {
    expect(codeOf(() => open(FILE, INDEX + 1))).toBe('bad-proof')
    expect(codeOf(() => open(formatTlogProof({ ...PROOF, index: INDEX + 1 })))).toBe('bad-proof')
    expect(codeOf(() => open(formatTlogProof({ ...PROOF, index: SIZE })))).toBe('bad-proof')
    const longer = { ...PROOF, path: [...PROOF.path, LEAVES[0]!] }
    expect(codeOf(() => open(formatTlogProof(longer)))).toBe('bad-proof')
    const shorter = { ...PROOF, path: PROOF.path.slice(1) }
    expect(codeOf(() => open(formatTlogProof(shorter)))).toBe('bad-proof')
  })

  test('the policy is the verifier’s', () => {
    const lone = policyOfLog(formatVkey(LOG_KEY))
    const note = signNote(CHECKPOINT.slice(0, CHECKPOINT.indexOf('\n\n') + 1), [
      signerOf(LOG_KEY, () => NOW),
    ])
    const proof = { ...PROOF, checkpoint: note }
    expect(codeOf(() => verifyTlogProof(proof, LEAVES[INDEX]!, lone))).toBeUndefined()
    expect(codeOf(() => verifyTlogProof(proof, LEAVES[INDEX]!, POLICY))).toBe('quorum')
  })
})

describe.skipIf(!present)('vectors: tlog-proof.json', () => {
  interface Vectors {
    marshal: {
      index: number
      hashes: string[]
      checkpoint: string
      extra_b64?: string
      want: string
    }[]
    malformed: { desc: string; proof: string }[]
  }
  const { marshal, malformed } = present
    ? readJson<Vectors>('tlog-proof.json')
    : { marshal: [], malformed: [] }

  test('are all there', () => {
    expect([marshal.length, malformed.length]).toEqual([3, 10])
  })

  test.each(marshal)(
    'writes and reads index $index',
    ({ index, hashes, checkpoint, extra_b64, want }) => {
      const proof = {
        ...(extra_b64 === undefined ? {} : { extra: fromBase64(extra_b64) }),
        index,
        path: hashes.map(hashFromBase64),
        checkpoint,
      }
      expect(formatTlogProof(proof)).toBe(want)
      expect(parseTlogProof(want)).toEqual(proof)
      expect(codeOf(() => verifyTlogProof(proof, sha256(utf8('x')), POLICY))).toBe('bad-note')
    },
  )

  test.each(malformed)('refuses: $desc', ({ proof }) => {
    expect(codeOf(() => parseTlogProof(proof))).toBe('bad-proof-file')
  })
})
