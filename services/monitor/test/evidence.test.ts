import { describe, expect, test } from 'vitest'
import { toHex, utf8 } from '@dslog/tlog/bytes'
import { formatCheckpoint } from '@dslog/tlog/checkpoint'
import { signerOf } from '@dslog/tlog/cosignature'
import { TlogError } from '@dslog/tlog/error'
import { EMPTY_ROOT, type Hash, leafHash, sha256 } from '@dslog/tlog/hash'
import { KEY_TYPE } from '@dslog/tlog/key'
import { signNote } from '@dslog/tlog/note'
import { TreeReader } from '@dslog/tlog/reader'
import { encodeBundle, tilePath } from '@dslog/tlog/tile'
import { rootOf } from '@dslog/tlog/tree'
import { encodeEntry } from '@dslog/schema/entry'
import { LyingLog } from '@dslog/testbed/lyinglog'
import { testKey } from '@dslog/testbed/notekey'
import {
  type Breach,
  BreachError,
  decodeFinding,
  encodeFinding,
  type Finding,
  type FindingKind,
  identityOf,
  isFinal,
  verifyFinding,
} from '../src/evidence.ts'

const mapHead = (covers: number, mapRoot: Hash = EMPTY_ROOT): Uint8Array =>
  encodeEntry({
    type: 'map-head',
    covers,
    mapRoot,
    keyCount: covers,
    previous: covers === 0 ? undefined : covers - 1,
    time: covers,
  })

const WITNESS = testKey('witness.example', KEY_TYPE.cosignature, 3)
const LOG = new LyingLog()
LOG.append(mapHead(0), Uint8Array.of(1, 1, 0), utf8('unknown'), mapHead(3, sha256(utf8('lie'))))
const NOTE = LOG.sign()
const LEAVES = LOG.entries.map(leafHash)

async function pathOf(index: number): Promise<Hash[]> {
  const source = {
    tile: async (level: number, tile: number, width: number) =>
      LOG.files.get(tilePath({ level, index: tile, width }))!,
  }
  return new TreeReader(source, LOG.size, { root: rootOf(LEAVES) }).inclusionProof(index)
}

function noteOf(leaves: readonly Hash[]): string {
  const { length: size } = leaves
  const text = formatCheckpoint({ origin: LOG.origin, size, root: rootOf(leaves), extensions: [] })
  return signNote(text, [signerOf(LOG.key, () => 0)])
}

const AT_1 = {
  checkpoint: NOTE,
  index: 1,
  entry: LOG.entries[1]!,
  path: await pathOf(1),
  reason: 'why',
}
const AT_3 = { ...AT_1, index: 3, entry: LOG.entries[3]!, path: await pathOf(3) }

/** One good piece of each kind. */
const FINDINGS: readonly Finding[] = [
  { kind: 'fork', evidence: { smaller: NOTE, larger: noteOf([...LEAVES.slice(1), LEAVES[0]!]) } },
  {
    kind: 'fork',
    evidence: {
      smaller: noteOf([LEAVES[1]!]),
      larger: NOTE,
      prefix: { leaf: LEAVES[1]!, path: AT_1.path },
    },
  },
  { kind: 'rollback', evidence: { seen: NOTE, served: noteOf(LEAVES.slice(0, 2)) } },
  {
    kind: 'bad-entry',
    evidence: {
      checkpoint: NOTE,
      index: 1,
      entry: utf8('other'),
      leaf: LEAVES[1]!,
      path: AT_1.path,
    },
  },
  {
    kind: 'bad-bundle',
    evidence: { checkpoint: NOTE, index: 0, width: 4, data: Uint8Array.of(0, 9, 1) },
  },
  { kind: 'bad-tile', evidence: { checkpoint: NOTE, detail: 'tile 0/0 is not the tree’s' } },
  { kind: 'bad-encoding', evidence: AT_1 },
  { kind: 'bad-evidence', evidence: AT_1 },
  { kind: 'bad-admission', evidence: { ...AT_1, expected: utf8('another') } },
  { kind: 'bad-map', evidence: { ...AT_3, expected: mapHead(3) } },
  {
    kind: 'no-map-head',
    evidence: {
      checkpoint: noteOf(LEAVES.slice(0, 1).concat(leafHash(utf8('x')))),
      index: 1,
      entry: utf8('x'),
      path: [LEAVES[0]!],
      reason: 'why',
    },
  },
  {
    kind: 'no-map-head',
    evidence: { checkpoint: noteOf([]), index: 0, entry: utf8(''), path: [], reason: 'why' },
  },
]

const NAMED = FINDINGS.map((finding, i): [string, Finding] => [`${finding.kind} ${i}`, finding])
const breachOf = (finding: Finding): Breach => finding as Breach

describe.each(NAMED)('%s', (_, finding) => {
  test('comes back from JSON as it was', () => {
    expect(decodeFinding(finding.kind, encodeFinding(finding))).toEqual(finding)
  })

  test('verifies with the key of the log alone', () => {
    verifyFinding(finding, [LOG.key])
    expect(() => verifyFinding(finding, [WITNESS, new LyingLog('other').key])).toThrow(TlogError)
    expect(() => verifyFinding(finding, [])).toThrow(TlogError)
  })

  test('is nothing without any of its parts', () => {
    const evidence = JSON.parse(encodeFinding(finding)) as Record<string, unknown>
    const optional = ['prefix', 'expected']
    for (const name of Object.keys(evidence).filter((field) => !optional.includes(field))) {
      const { [name]: part, ...rest } = evidence
      for (const wrong of [{}, { [name]: null }, { [name]: typeof part === 'string' ? 7 : 'x' }]) {
        const json = JSON.stringify({ ...rest, ...wrong })
        expect(() => decodeFinding(finding.kind, json)).toThrow(TlogError)
      }
    }
  })

  test('verifies no more with any of its hashes changed', () => {
    const json = encodeFinding(finding)
    for (const [hash] of json.matchAll(/[A-Za-z0-9+/]{43}=/g)) {
      const other = hash.startsWith('A') ? `B${hash.slice(1)}` : `A${hash.slice(1)}`
      const changed = json.replaceAll(hash, other)
      expect(() => verifyFinding(decodeFinding(finding.kind, changed), [LOG.key])).toThrow(
        TlogError,
      )
    }
  })

  test('has one identity, whoever else has signed its notes', () => {
    const signed = JSON.parse(
      encodeFinding(finding).replaceAll(/— log.*?\\n/g, (line) => `${line}— w.example AAAAAAAA\\n`),
    ) as Finding['evidence']
    const cosigned = decodeFinding(finding.kind, JSON.stringify(signed))
    expect(toHex(identityOf(cosigned, 2))).toBe(toHex(identityOf(finding, 2)))
  })
})

test('different findings have different identities', () => {
  const [, second] = FINDINGS.filter(({ kind }) => kind === 'no-map-head')
  const identities = FINDINGS.filter((finding) => finding !== second).map((finding) =>
    toHex(identityOf(finding, 2)),
  )
  expect(new Set(identities).size).toBe(identities.length)
  const tile = FINDINGS.find(({ kind }) => kind === 'bad-tile')!
  expect(toHex(identityOf(tile, 3))).not.toBe(toHex(identityOf(tile, 2)))
})

describe('evidence is not', () => {
  const breach = (kind: Breach['kind'], change: Partial<Breach['evidence']>): Breach => {
    const { evidence } = breachOf(FINDINGS.find((finding) => finding.kind === kind)!)
    return { kind, evidence: { ...evidence, ...change } }
  }

  test.each<[string, Breach]>([
    ['an entry that decodes, for one that does not', breach('bad-encoding', AT_3)],
    ['a tree that ends with a MAP_HEAD', breach('no-map-head', AT_3)],
    ['an entry that is not the last', breach('no-map-head', AT_1)],
    ['an entry that is what was expected', breach('bad-map', { expected: LOG.entries[3]! })],
    ['an entry of another place', breach('bad-admission', { index: 2 })],
    ['an entry beyond the tree', breach('bad-admission', { index: 4 })],
    ['an entry that is not in the tree', breach('bad-evidence', { entry: utf8('x') })],
  ])('%s', (_, finding) => {
    expect(() => verifyFinding(finding, [LOG.key])).toThrow(TlogError)
  })

  test('of a kind that is not known, or no JSON', () => {
    expect(() => decodeFinding('toString', '{}')).toThrow(TlogError)
    expect(() => decodeFinding('unheard-of', '{}')).toThrow(TlogError)
    for (const json of ['', 'null', '[]', '{', '7']) {
      expect(() => decodeFinding('bad-map', json)).toThrow(TlogError)
    }
  })

  test('a bundle that parses', () => {
    const data = encodeBundle(LOG.entries)
    const finding: Finding = {
      kind: 'bad-bundle',
      evidence: { checkpoint: NOTE, index: 0, width: 4, data },
    }
    expect(() => verifyFinding(finding, [LOG.key])).toThrow(TlogError)
  })
})

test('what no later tree can take back is final', () => {
  const final = new Set(FINDINGS.map(({ kind }) => kind).filter(isFinal))
  const expected: FindingKind[] = [
    'fork',
    'bad-encoding',
    'bad-evidence',
    'bad-admission',
    'bad-map',
    'no-map-head',
  ]
  expect([...final]).toEqual(expected)
})

test('a breach says where and why', () => {
  const breach = breachOf(FINDINGS.find(({ kind }) => kind === 'bad-map')!)
  expect(new BreachError(breach)).toMatchObject({ message: 'entry 3: why', breach })
})
