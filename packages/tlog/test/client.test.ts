import { describe, expect, test } from 'vitest'
import { equal, fromUtf8, utf8 } from '../src/bytes.ts'
import { DEFAULT_AHEAD } from '../src/ahead.ts'
import { LogClient } from '../src/client.ts'
import type { LogClientOptions, LogEntry } from '../src/client.ts'
import { leafHash } from '../src/hash.ts'
import { HttpError } from '../src/http.ts'
import type { Fetch } from '../src/http.ts'
import { formatVkey } from '../src/key.ts'
import { LateError } from '../src/late.ts'
import { MisbehaviourError, verifyMisbehaviour } from '../src/misbehaviour.ts'
import type { Misbehaviour } from '../src/misbehaviour.ts'
import { MAX_NOTE_BYTES } from '../src/note.ts'
import { checkPolicy, parsePolicy, policyOfLog } from '../src/policy.ts'
import type { TrustedCheckpoint } from '../src/policy.ts'
import { verifyInclusion } from '../src/proof.ts'
import { bundlePath, encodeBundle, tilePath } from '../src/tile.ts'
import { codeOf, codeOfAsync } from './codes.ts'
import { LOG_KEY, LOG_PQ_KEY, NOW, WITNESS_KEYS, testKey } from './keys.ts'
import { testHttp } from './edges.ts'
import { TestLog, entryOf } from './log.ts'

const POLICY = policyOfLog(formatVkey(LOG_KEY))

function clientOf(
  log: TestLog,
  options: LogClientOptions = {},
  fetch: Fetch = log.fetch,
): LogClient {
  const { http } = testHttp({ retries: 0 }, { fetch })
  return new LogClient('https://log.example/ds/', POLICY, http, options)
}

/** An answer that only comes when nobody waits for it any more. */
function never(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => {
    signal?.addEventListener('abort', () => reject(new Error('aborted')))
  })
}

function trusted(note: string): TrustedCheckpoint {
  return checkPolicy(POLICY, note)
}

async function collect(entries: AsyncIterable<LogEntry>): Promise<LogEntry[]> {
  const all: LogEntry[] = []
  for await (const entry of entries) all.push(entry)
  return all
}

/** What a log was caught at; verifies the evidence, as anybody with the log's key can. */
async function caught(promise: Promise<unknown>): Promise<Misbehaviour> {
  try {
    await promise
  } catch (error) {
    expect(error).toBeInstanceOf(MisbehaviourError)
    const { misbehaviour } = error as MisbehaviourError
    verifyMisbehaviour(misbehaviour, [LOG_KEY])
    return misbehaviour
  }
  return expect.unreachable('not caught')
}

describe('checkpoint', () => {
  test('is the policy’s to accept', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const note = log.growTo(3)
    const { checkpoint, note: verbatim } = await client.checkpoint()
    expect([checkpoint.size, verbatim]).toEqual([3, note])
    log.sign([LOG_PQ_KEY])
    expect(await codeOfAsync(client.checkpoint())).toBe('unverified')
    log.sign([testKey(LOG_KEY.name, LOG_KEY.type, 99)])
    expect(await codeOfAsync(client.checkpoint())).toBe('unverified')
    log.flip('checkpoint', 20)
    expect(await codeOfAsync(client.checkpoint())).toMatch(/unverified|bad-/)
  })

  test('needs its witnesses', async () => {
    const log = new TestLog()
    const [w0] = WITNESS_KEYS
    const text = `log ${formatVkey(LOG_KEY)}\nwitness w ${formatVkey(w0)}\nquorum w\n`
    const client = new LogClient(
      'https://log.example/ds',
      parsePolicy(text),
      testHttp({}, { fetch: log.fetch }).http,
    )
    log.growTo(3)
    expect(await codeOfAsync(client.checkpoint())).toBe('quorum')
    log.sign([LOG_KEY, w0])
    const { witnesses } = await client.checkpoint()
    expect(witnesses.map(({ name, timestamp }) => [name, timestamp])).toEqual([['w', NOW / 1000]])
  })

  test('that is no text, too large, or not there', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const missing = await client.checkpoint().catch((error: unknown) => error)
    expect(missing).toMatchObject({ code: 'http', status: 404 })
    expect(missing).toBeInstanceOf(HttpError)
    log.files.set('checkpoint', Uint8Array.of(0xff))
    expect(await codeOfAsync(client.checkpoint())).toBe('bad-note')
    log.files.set('checkpoint', new Uint8Array(MAX_NOTE_BYTES + 1))
    expect(await codeOfAsync(client.checkpoint())).toBe('too-large')
  })

  test('and its URL must be one', () => {
    const { http } = testHttp()
    for (const url of ['', 'log.example/ds', 'file:///tmp/log', 'ftp://log.example']) {
      expect(codeOf(() => new LogClient(url, POLICY, http))).toBe('bad-url')
    }
    expect(new LogClient('https://log.example/ds//', POLICY, http).url).toBe(
      'https://log.example/ds',
    )
  })
})

describe('tiles', () => {
  test('come from the full tile when the partial one is gone', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const older = trusted(log.growTo(300))
    log.growTo(600)
    log.remove(/\.p\/(?:44|1)$/)
    const full = log.files.get(tilePath({ level: 0, index: 1, width: 256 }))!
    expect(await client.tile(0, 1, 44)).toEqual(full.subarray(0, 44 * 32))
    expect(log.asked).toEqual(['tile/0/001.p/44', 'tile/0/001'])
    expect(await client.bundle(1, 44)).toEqual(encodeBundle(log.entries.slice(256, 300)))
    // Level 1 has no full tile to fall back to, and none of its partial ones may go before it has.
    expect(await codeOfAsync(client.tile(1, 0, 1))).toBe('http')
    expect(await codeOfAsync(client.tree(older).root())).toBe('http')
  })

  test('of another length, or larger than they can be, are refused', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    log.growTo(300)
    const path = tilePath({ level: 0, index: 1, width: 44 })
    const tile = log.files.get(path)!
    for (const length of [0, 1, 32, tile.length - 1]) {
      log.files.set(path, tile.subarray(0, length))
      expect(await codeOfAsync(client.tile(0, 1, 44))).toBe('bad-tile')
    }
    log.files.set(path, new Uint8Array(tile.length + 1))
    expect(await codeOfAsync(client.tile(0, 1, 44))).toBe('too-large')
  })

  test('give proofs of a verified tree', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(70_000))
    const { size, root } = tree.checkpoint
    const reader = client.tree(tree)
    expect(equal(await reader.root(), root)).toBe(true)
    for (const index of [0, 1, 255, 256, 65_535, 65_536, 69_999]) {
      const proof = await reader.inclusionProof(index)
      verifyInclusion(leafHash(log.entries[index]!), index, size, proof, root)
    }
    const asked = log.asked.length
    await client.tree(tree).inclusionProof(65_536)
    expect(log.asked).toHaveLength(asked)
  })
})

describe('entries', () => {
  test('are the log’s, for every range of several small logs', async () => {
    for (const size of [1, 2, 255, 256, 257, 600]) {
      const log = new TestLog()
      const client = clientOf(log)
      const tree = trusted(log.growTo(size))
      for (const [from, to] of [
        [0, size],
        [0, 1],
        [size - 1, size],
        [Math.floor(size / 2), size],
        [Math.floor(size / 3), Math.floor(size / 2)],
        [Math.min(size, 254), Math.min(size, 258)],
        [size, size],
      ] as const) {
        const entries = await collect(client.entries(from, to, tree))
        expect(entries.map(({ index }) => index)).toEqual(
          Array.from({ length: to - from }, (_, i) => from + i),
        )
        for (const { index, entry, leaf } of entries) {
          expect(fromUtf8(entry)).toBe(`entry ${index}`)
          expect(equal(leaf, leafHash(entry))).toBe(true)
        }
      }
    }
  })

  test('of a large log cost no tile of level 0: the hash above a full bundle is enough', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(66_000))
    log.asked.length = 0
    expect(await collect(client.entries(0, 66_000, tree))).toHaveLength(66_000)
    const tiles = log.asked.filter((path) => !path.startsWith('tile/entries/'))
    expect(tiles.sort()).toEqual([
      'tile/0/257.p/208',
      'tile/1/000',
      'tile/1/001.p/1',
      'tile/2/000.p/1',
    ])
  })

  test('of an older tree come from full bundles once the partial ones are gone', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(300))
    log.growTo(600)
    log.remove(/^tile\/entries\/.*\.p\/44$/)
    const entries = await collect(client.entries(250, 300, tree))
    expect(entries.map(({ entry }) => fromUtf8(entry))).toEqual(
      Array.from({ length: 50 }, (_, i) => `entry ${250 + i}`),
    )
  })

  test('as large as they can be, and empty', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const large = new Uint8Array(65_535).fill(7)
    const tree = trusted(log.grow([large, new Uint8Array(), large]))
    const entries = await collect(client.entries(0, 3, tree))
    expect(entries.map(({ entry }) => entry.length)).toEqual([65_535, 0, 65_535])
  })

  test('beyond the tree are the caller’s bug', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(3))
    for (const [from, to] of [
      [0, 4],
      [2, 1],
      [-1, 2],
      [0.5, 2],
    ] as const) {
      await expect(collect(client.entries(from, to, tree))).rejects.toThrow(RangeError)
    }
    expect(log.asked).toEqual([])
  })

  test('are fetched ahead, a bounded number of bundles at once', async () => {
    for (const bundlesAhead of [0, 1, DEFAULT_AHEAD]) {
      const log = new TestLog()
      let under = 0
      let most = 0
      const client = clientOf(log, { bundlesAhead }, async (url, init) => {
        if (!url.includes('entries')) return log.fetch(url, init)
        most = Math.max(most, ++under)
        // Time for one too many to come.
        await new Promise((resolve) => setTimeout(resolve, 1))
        under--
        return log.fetch(url, init)
      })
      const tree = trusted(log.growTo(20 * 256))
      expect(await collect(client.entries(0, 20 * 256, tree))).toHaveLength(20 * 256)
      expect(most).toBe(bundlesAhead + 1)
    }
  })

  test('nobody wants any more are not waited for', async () => {
    const log = new TestLog()
    const gone: string[] = []
    const client = clientOf(log, {}, (url, init) => {
      if (!/entries\/00[1-9]/.test(url)) return log.fetch(url, init)
      init.signal?.addEventListener('abort', () => gone.push(url.slice(-3)))
      return never(init.signal)
    })
    const tree = trusted(log.growTo(5 * 256))
    for await (const { index } of client.entries(0, 5 * 256, tree)) if (index === 255) break
    expect(gone).toEqual(['001', '002', '003', '004'])
  })

  test('end with the caller’s reason when the caller ends', async () => {
    const log = new TestLog()
    const client = clientOf(log, {}, (url, init) =>
      url.includes('entries/001') ? never(init.signal) : log.fetch(url, init),
    )
    const tree = trusted(log.growTo(512))
    const end = new AbortController()
    const reason = new Error('enough')
    const seen: number[] = []
    const reading = (async () => {
      for await (const { index } of client.entries(0, 512, tree, end.signal)) {
        seen.push(index)
        if (index === 255) end.abort(reason)
      }
    })()
    await expect(reading).rejects.toBe(reason)
    expect(seen).toHaveLength(256)
    await expect(collect(client.entries(0, 512, tree, end.signal))).rejects.toBe(reason)
  })

  test('a server that lacks one says so where it is reached, after the good ones', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(600))
    log.remove(/entries\/001/)
    const seen: number[] = []
    const error = await (async () => {
      for await (const { index } of client.entries(0, 600, tree)) seen.push(index)
    })().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'http', status: 404 })
    expect(seen).toHaveLength(256)
  })
})

describe('an entry that is not the tree’s', () => {
  test.each([
    [0, 'full bundle'],
    [255, 'full bundle'],
    [300, 'partial bundle'],
    [256, 'partial bundle'],
    [299, 'partial bundle'],
  ])('at %i (%s) is caught with the proof of what should be there', async (index) => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(301))
    const bundle = Math.floor(index / 256)
    const first = bundle * 256
    const entries = log.entries.slice(first, first + 256)
    entries[index - first] = utf8('something else')
    log.files.set(bundlePath({ index: bundle, width: entries.length }), encodeBundle(entries))
    const misbehaviour = await caught(collect(client.entries(0, 301, tree)))
    expect(misbehaviour).toMatchObject({
      kind: 'bad-entry',
      evidence: {
        checkpoint: tree.note,
        index,
        entry: utf8('something else'),
        leaf: log.leaf(index),
      },
    })
  })

  test('nothing of its bundle is given out', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(512))
    const path = bundlePath({ index: 1, width: 256 })
    log.flip(path, log.files.get(path)!.length - 1)
    const seen: number[] = []
    const read = (async () => {
      for await (const { index } of client.entries(0, 512, tree)) seen.push(index)
    })()
    expect(await caught(read)).toMatchObject({ kind: 'bad-entry', evidence: { index: 511 } })
    expect(seen.at(-1)).toBe(255)
  })

  test('two entries in each other’s place', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(10))
    const swapped = [1, 0, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => log.entries[i]!)
    log.files.set(bundlePath({ index: 0, width: 10 }), encodeBundle(swapped))
    const misbehaviour = await caught(collect(client.entries(5, 10, tree)))
    expect(misbehaviour).toMatchObject({ kind: 'bad-entry', evidence: { index: 0 } })
  })

  test('a bundle that does not parse, or has too few or too many', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(10))
    const path = bundlePath({ index: 0, width: 10 })
    const good = log.files.get(path)!
    const bad = [
      good.subarray(0, good.length - 1),
      encodeBundle(log.entries.slice(0, 9)),
      encodeBundle([...log.entries, entryOf(10)]),
      new Uint8Array(),
    ]
    for (const data of bad) {
      log.files.set(path, data)
      const misbehaviour = await caught(collect(client.entries(0, 10, tree)))
      expect(misbehaviour).toEqual({
        kind: 'bad-bundle',
        evidence: { checkpoint: tree.note, index: 0, width: 10, data },
      })
    }
  })

  test('a full bundle in place of the partial one is held to the same', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(10))
    log.growTo(256)
    log.remove(/entries\/000\.p/)
    const path = bundlePath({ index: 0, width: 256 })
    const good = log.files.get(path)!
    const cut = good.subarray(0, 20)
    log.files.set(path, cut)
    expect(await caught(collect(client.entries(0, 10, tree)))).toEqual({
      kind: 'bad-bundle',
      evidence: { checkpoint: tree.note, index: 0, width: 256, data: cut },
    })
    log.files.set(path, good)
    log.flip(path, 5)
    expect(await caught(collect(client.entries(0, 10, tree)))).toMatchObject({
      kind: 'bad-entry',
      evidence: { index: 0 },
    })
  })
})

describe('tiles that are not the tree’s', () => {
  test.each(['tile/0/002.p/88', 'tile/1/000.p/2'])('%s is caught', async (path) => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(600))
    log.flip(path, 3)
    const misbehaviour = await caught(collect(client.entries(0, 600, tree)))
    expect(misbehaviour).toMatchObject({ kind: 'bad-tile', evidence: { checkpoint: tree.note } })
  })

  test('a full tile is caught when it is needed', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(66_000))
    log.flip('tile/1/000', 3)
    expect((await caught(collect(client.entries(0, 256, tree)))).kind).toBe('bad-tile')
  })

  test('a wrong bundle with a wrong tile to match is still caught', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const tree = trusted(log.growTo(600))
    const other = new TestLog()
    other.growTo(600, 600, '!')
    for (const [path, file] of other.files) if (path !== 'checkpoint') log.files.set(path, file)
    expect((await caught(collect(client.entries(0, 600, tree)))).kind).toBe('bad-tile')
  })
})

describe('advance', () => {
  test('any honest growth is fine', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const notes = [1, 2, 3, 255, 256, 257, 511, 512, 700].map((size) => trusted(log.growTo(size)))
    for (const [i, older] of notes.entries()) {
      for (const newer of notes.slice(i)) {
        expect(await codeOfAsync(client.advance(older, newer))).toBeUndefined()
      }
    }
  })

  test('follow fetches and checks at once', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const older = trusted(log.growTo(300))
    expect((await client.follow(older)).checkpoint.size).toBe(300)
    log.growTo(900)
    const newer = await client.follow(older)
    expect(newer.checkpoint.size).toBe(900)
    expect((await client.follow(newer)).note).toBe(newer.note)
  })

  test('from the empty tree to any', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const empty = trusted(log.sign())
    await client.advance(empty, trusted(log.growTo(5)))
    expect(log.asked).toEqual([])
  })

  test('two trees of the same size are a fork, which needs no further proof', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const a = trusted(log.growTo(300))
    const b = trusted(new TestLog().growTo(300, 300, '!'))
    expect(await caught(client.advance(a, b))).toEqual({
      kind: 'fork',
      evidence: { smaller: a.note, larger: b.note },
    })
    expect(log.asked).toEqual([])
  })

  test.each([
    [1, 2],
    [2, 3],
    [255, 256],
    [256, 257],
    [256, 512],
    [300, 900],
    [512, 700],
    [899, 900],
  ])('from %i to another world’s %i is a fork, with its proof', async (from, to) => {
    const log = new TestLog()
    const client = clientOf(log)
    const older = trusted(new TestLog().growTo(from, from, '!'))
    const newer = trusted(log.growTo(to))
    const misbehaviour = await caught(client.advance(older, newer))
    expect(misbehaviour).toMatchObject({
      kind: 'fork',
      evidence: { smaller: older.note, larger: newer.note },
    })
    // And the same pair seen the other way round: going back to a tree that never was.
    expect((await caught(client.advance(newer, older))).kind).toBe('fork')
  })

  test('one changed entry deep in the past is a fork', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const older = trusted(log.growTo(700))
    const rewritten = new TestLog()
    rewritten.growTo(123)
    rewritten.grow([utf8('rewritten')])
    const newer = trusted(rewritten.growTo(1000))
    for (const [path, file] of rewritten.files) log.files.set(path, file)
    expect((await caught(client.follow(older))).kind).toBe('fork')
    expect(newer.note).toBe((await client.checkpoint()).note)
  })

  test('a smaller tree that begins the larger is a rollback', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const smaller = trusted(log.growTo(300))
    const larger = trusted(log.growTo(900))
    const rollback = { kind: 'rollback', evidence: { seen: larger.note, served: smaller.note } }
    expect(await caught(client.advance(larger, smaller))).toEqual(rollback)
    // Also where the tiles of the larger are gone, or wrong.
    const forgetful = clientOf(new TestLog())
    expect(await caught(forgetful.advance(larger, smaller))).toEqual(rollback)
    log.flip('tile/0/003.p/132', 0)
    const lying = clientOf(log)
    expect(await caught(lying.advance(larger, smaller))).toEqual(rollback)
  })

  test('a smaller tree that a server shows later is late, and no misbehaviour', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const smaller = trusted(log.growTo(300))
    const larger = trusted(log.growTo(900))
    log.files.set('checkpoint', utf8(smaller.note))
    const late = await client.follow(larger).catch((error: unknown) => error)
    expect(late).toBeInstanceOf(LateError)
    expect(late).not.toBeInstanceOf(MisbehaviourError)
    expect(late).toMatchObject({
      code: 'late',
      message: expect.stringContaining(
        'shows 300 entries, and has shown 900: an older copy',
      ) as string,
      seen: { note: larger.note },
      served: { note: smaller.note },
    })
    await client.succeed(smaller, larger)
    await client.succeed(larger, larger)
    // A server that is behind need not have the tiles of the newer tree: then that is all that is known.
    log.remove(/^tile/)
    expect(
      await clientOf(log)
        .follow(larger)
        .catch((error: unknown) => error),
    ).toMatchObject({
      code: 'late',
      cause: { code: 'http' },
    })
  })

  test('a smaller tree that does not begin the larger is a fork, however late', async () => {
    const log = new TestLog()
    const larger = trusted(log.growTo(900))
    const other = trusted(new TestLog().growTo(300, 300, '!'))
    log.files.set('checkpoint', utf8(other.note))
    expect((await caught(clientOf(log).follow(larger))).kind).toBe('fork')
    // Nor does it help to serve wrong tiles.
    log.flip('tile/0/003.p/132', 0)
    expect((await caught(clientOf(log).follow(larger))).kind).toBe('bad-tile')
  })

  test('to a tree the log does not show is caught as that', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const older = trusted(log.growTo(300))
    const newer = trusted(log.growTo(900))
    log.flip('tile/0/003.p/132', 0)
    expect((await caught(client.advance(older, newer))).kind).toBe('bad-tile')
    log.remove(/^tile/)
    expect(await codeOfAsync(client.advance(older, newer))).toBe('http')
  })

  test('a fork’s tiles do not outlive it in a cache', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const older = trusted(log.growTo(600))
    await collect(client.entries(0, 600, older))
    const other = new TestLog()
    const newer = trusted(other.growTo(900, 900, '!'))
    for (const [path, file] of other.files) log.files.set(path, file)
    expect((await caught(client.advance(older, newer))).kind).toBe('fork')
    expect((await caught(collect(client.entries(0, 256, older)))).kind).toMatch(/bad-/)
  })

  test('checkpoints of two logs are no pair', async () => {
    const log = new TestLog()
    const client = clientOf(log)
    const a = trusted(log.growTo(3))
    const b = { ...a, checkpoint: { ...a.checkpoint, origin: 'other.example' } }
    expect(await codeOfAsync(client.advance(a, b))).toBe('bad-checkpoint')
  })
})
