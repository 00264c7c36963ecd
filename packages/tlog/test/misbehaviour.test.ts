import { describe, expect, test } from 'vitest'
import { equal, utf8 } from '../src/bytes.ts'
import { formatCheckpoint } from '../src/checkpoint.ts'
import { signerOf } from '../src/cosignature.ts'
import { EMPTY_ROOT, leafHash } from '../src/hash.ts'
import type { Hash } from '../src/hash.ts'
import type { SignerKey } from '../src/key.ts'
import { MisbehaviourError, prefixRoot, verifyMisbehaviour } from '../src/misbehaviour.ts'
import type { Misbehaviour, PrefixProof } from '../src/misbehaviour.ts'
import { signNote } from '../src/note.ts'
import { encodeBundle } from '../src/tile.ts'
import { codeOf } from './codes.ts'
import { LOG_KEY, LOG_ORIGIN, LOG_PQ_KEY, NOW, testKey } from './keys.ts'
import { leaves, mth, path } from './reference.ts'

const LEAVES = leaves(40)
const OTHER = LEAVES.map((leaf, i) => (i === 3 ? leafHash(utf8('other')) : leaf))

function note(all: readonly Hash[], key: SignerKey = LOG_KEY, origin = LOG_ORIGIN): string {
  const text = formatCheckpoint({ origin, size: all.length, root: mth(all), extensions: [] })
  return signNote(text, [signerOf(key, () => NOW)])
}

function prefixIn(all: readonly Hash[], size: number): PrefixProof {
  return { leaf: all[size]!, path: path(size, all) }
}

function verdict(misbehaviour: Misbehaviour): string | undefined {
  return codeOf(() => verifyMisbehaviour(misbehaviour, [LOG_KEY, LOG_PQ_KEY]))
}

describe('the root of a prefix', () => {
  test('comes out of the inclusion of the leaf after it, for every pair of sizes up to 40', () => {
    for (let to = 1; to <= LEAVES.length; to++) {
      const all = LEAVES.slice(0, to)
      for (let from = 0; from < to; from++) {
        const root = prefixRoot(prefixIn(all, from), from, to, mth(all))
        expect(equal(root, mth(LEAVES.slice(0, from)))).toBe(true)
      }
    }
  })

  test('not out of a proof that does not lead to the root', () => {
    const all = LEAVES.slice(0, 13)
    const proof = prefixIn(all, 5)
    expect(codeOf(() => prefixRoot(proof, 5, 13, EMPTY_ROOT))).toBe('bad-proof')
    expect(codeOf(() => prefixRoot(proof, 6, 13, mth(all)))).toBe('bad-proof')
    expect(codeOf(() => prefixRoot(proof, 13, 13, mth(all)))).toBe('bad-proof')
    const changed = { ...proof, path: [...proof.path].reverse() }
    expect(codeOf(() => prefixRoot(changed, 5, 13, mth(all)))).toBe('bad-proof')
  })
})

describe('fork', () => {
  const smaller = note(OTHER.slice(0, 5))
  const larger = note(LEAVES.slice(0, 13))
  const prefix = prefixIn(LEAVES.slice(0, 13), 5)

  test('of trees of the same size', () => {
    const evidence = { smaller, larger: note(LEAVES.slice(0, 5)) }
    expect(verdict({ kind: 'fork', evidence })).toBeUndefined()
    expect(verdict({ kind: 'fork', evidence: { smaller, larger: smaller } })).toBe('bad-proof')
  })

  test('of trees of different size', () => {
    expect(verdict({ kind: 'fork', evidence: { smaller, larger, prefix } })).toBeUndefined()
    expect(verdict({ kind: 'fork', evidence: { smaller, larger } })).toBe('bad-proof')
    const swapped = { smaller: larger, larger: smaller, prefix }
    expect(verdict({ kind: 'fork', evidence: swapped })).toBe('bad-proof')
  })

  test('is not shown by trees that agree, nor by a proof from elsewhere', () => {
    const honest = { smaller: note(LEAVES.slice(0, 5)), larger, prefix }
    expect(verdict({ kind: 'fork', evidence: honest })).toBe('bad-proof')
    const elsewhere = prefixIn(OTHER.slice(0, 13), 5)
    const wrong = { smaller, larger, prefix: elsewhere }
    expect(verdict({ kind: 'fork', evidence: wrong })).toBe('bad-proof')
    const shifted = { smaller, larger, prefix: prefixIn(LEAVES.slice(0, 13), 4) }
    expect(verdict({ kind: 'fork', evidence: shifted })).toBe('bad-proof')
  })

  test('may be between two keys of the log, not between two logs', () => {
    const pq = note(LEAVES.slice(0, 5), LOG_PQ_KEY)
    expect(verdict({ kind: 'fork', evidence: { smaller, larger: pq } })).toBeUndefined()
    const stranger = testKey('other.example', LOG_KEY.type, 77)
    const forged = note(LEAVES.slice(0, 5), stranger)
    expect(verdict({ kind: 'fork', evidence: { smaller, larger: forged } })).toBe('unverified')
    const elsewhere = note(LEAVES.slice(0, 5), LOG_KEY, 'other.example')
    expect(verdict({ kind: 'fork', evidence: { smaller, larger: elsewhere } })).toBe('unknown-log')
    const other = testKey('other.example', LOG_KEY.type, 77)
    const twoLogs: Misbehaviour = {
      kind: 'fork',
      evidence: { smaller, larger: note(LEAVES.slice(0, 5), other, 'other.example') },
    }
    expect(codeOf(() => verifyMisbehaviour(twoLogs, [LOG_KEY, other]))).toBe('bad-proof')
  })
})

test('rollback: two notes of one log, the later smaller', () => {
  const seen = note(LEAVES.slice(0, 13))
  const served = note(LEAVES.slice(0, 5))
  expect(verdict({ kind: 'rollback', evidence: { seen, served } })).toBeUndefined()
  expect(verdict({ kind: 'rollback', evidence: { seen: served, served: seen } })).toBe('bad-proof')
  expect(verdict({ kind: 'rollback', evidence: { seen, served: seen } })).toBe('bad-proof')
})

test('bad-entry: the proof of the leaf, and an entry that is not it', () => {
  const all = LEAVES.slice(0, 13)
  const checkpoint = note(all)
  const evidence = {
    checkpoint,
    index: 6,
    entry: utf8('other'),
    leaf: all[6]!,
    path: path(6, all),
  }
  expect(verdict({ kind: 'bad-entry', evidence })).toBeUndefined()
  const honest = { ...evidence, entry: utf8('leaf 6') }
  expect(verdict({ kind: 'bad-entry', evidence: honest })).toBe('bad-proof')
  expect(verdict({ kind: 'bad-entry', evidence: { ...evidence, index: 7 } })).toBe('bad-proof')
  expect(verdict({ kind: 'bad-entry', evidence: { ...evidence, leaf: all[7]! } })).toBe('bad-proof')
})

test('bad-bundle and bad-tile: a note of the log, and for the bundle that it does not parse', () => {
  const checkpoint = note(LEAVES.slice(0, 13))
  const good = encodeBundle(Array.from({ length: 13 }, (_, i) => utf8(`leaf ${i}`)))
  const bundle = (data: Uint8Array): Misbehaviour => ({
    kind: 'bad-bundle',
    evidence: { checkpoint, index: 0, width: 13, data },
  })
  expect(verdict(bundle(good.subarray(1)))).toBeUndefined()
  expect(verdict(bundle(good))).toBe('bad-proof')
  const tile: Misbehaviour = { kind: 'bad-tile', evidence: { checkpoint, detail: 'tile 0/0' } }
  expect(verdict(tile)).toBeUndefined()
  expect(codeOf(() => verifyMisbehaviour(tile, [LOG_PQ_KEY]))).toBe('unverified')
})

test('the error is one of the package, and holds the value', () => {
  const misbehaviour: Misbehaviour = {
    kind: 'rollback',
    evidence: { seen: note(LEAVES), served: note([]) },
  }
  const error = new MisbehaviourError(misbehaviour, 'went back')
  expect(error).toMatchObject({ name: 'MisbehaviourError', code: 'misbehaviour', misbehaviour })
  expect(verdict(error.misbehaviour)).toBeUndefined()
})
