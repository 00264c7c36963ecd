import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromHex, utf8 } from '../src/bytes.ts'
import { formatCheckpoint } from '../src/checkpoint.ts'
import { signerOf, verifierOf } from '../src/cosignature.ts'
import { EMPTY_ROOT, asHash } from '../src/hash.ts'
import type { Hash } from '../src/hash.ts'
import { HttpClient, HttpError } from '../src/http.ts'
import { KEY_TYPE, parseVkey, verifierKey } from '../src/key.ts'
import type { SignerKey } from '../src/key.ts'
import { formatSignatureLine, openNote, parseNote, signNote } from '../src/note.ts'
import {
  MAX_ADD_CHECKPOINT_BYTES,
  MAX_PROOF_HASHES,
  WitnessRefusal,
  checkFollows,
  formatAddCheckpoint,
  openAddCheckpoint,
  parseAddCheckpoint,
  witnessedPath,
} from '../src/witness.ts'
import type { KnownTree } from '../src/witness.ts'
import { addCheckpoint, witnessedCheckpoint } from '../src/witnessclient.ts'
import { codeOf, codeOfAsync } from './codes.ts'
import { LOG_KEY, LOG_ORIGIN, LOG_PQ_KEY, NOW, WITNESS_KEYS, testKey, withByte } from './keys.ts'
import { leaves, mth, proof as proofIn } from './reference.ts'
import { present, readJson } from './vectors.ts'

interface Sequence {
  log_origin: string
  log_public_key_hex: string
  requests: { name: string; body: string; want_status: number; want_body_contains: string }[]
}

interface Monkeys {
  log_vkey: string
  old_checkpoint: string
  new_checkpoint: string
  consistency_proof_hex: string[]
}

const [W0, W1, W2] = WITNESS_KEYS
const now = (): number => NOW
const LEAVES = leaves(40)

/** The root of the tree of the first `size` leaves. */
function rootOf(size: number): Hash {
  return mth(LEAVES.slice(0, size))
}

function proof(from: number, to: number): Hash[] {
  return from === 0 ? [] : proofIn(0, from, LEAVES.slice(0, to))
}

function noteOf(
  size: number,
  options: { root?: Hash; keys?: SignerKey[]; extensions?: string[] } = {},
) {
  const { extensions = [], keys = [LOG_KEY], root = rootOf(size) } = options
  const text = formatCheckpoint({ origin: LOG_ORIGIN, size, root, extensions })
  return signNote(
    text,
    keys.map((key) => signerOf(key, now)),
  )
}

const known = (origin: string) => (origin === LOG_ORIGIN ? [LOG_KEY, LOG_PQ_KEY] : [])

/** The status with which a witness that knows `latest` refuses; 200 if it does not. */
function statusOf(body: string | Uint8Array, latest?: KnownTree): number {
  try {
    checkFollows(openAddCheckpoint(body, known), latest)
    return 200
  } catch (error) {
    if (error instanceof WitnessRefusal) return error.status
    throw error
  }
}

describe('the request', () => {
  test('is read as it was written', () => {
    const size = fc.integer({ min: 0, max: 40 })
    const property = fc.property(size, size, (a, b) => {
      const [old, to] = [Math.min(a, b), Math.max(a, b)]
      const request = { old, proof: proof(old, to), note: noteOf(to) }
      expect(parseAddCheckpoint(formatAddCheckpoint(request))).toEqual(request)
      expect(parseAddCheckpoint(utf8(formatAddCheckpoint(request)))).toEqual(request)
      const root = rootOf(old)
      expect(statusOf(formatAddCheckpoint(request), { size: old, root })).toBe(200)
    })
    fc.assert(property, { numRuns: 60 })
  })

  test.each([
    ['', 'bad-request'],
    ['old 1', 'bad-request'],
    ['old 1\n', 'bad-request'],
    ['old 01\n\n', 'bad-request'],
    ['old -1\n\n', 'bad-request'],
    ['old  1\n\n', 'bad-request'],
    ['old 9007199254740992\n\n', 'bad-request'],
    ['old 9223372036854775808\n\n', 'bad-request'],
    ['Old 1\n\n', 'bad-request'],
    ['old 1\r\n\n', 'bad-request'],
    ['old 1\nAA==\n\n', 'bad-request'],
    [`old 1\n${'A'.repeat(43)}\n\n`, 'bad-request'],
    ['old 1\n\0\n\n', 'bad-request'],
  ])('is refused: %j', (body, code) => {
    expect(codeOf(() => parseAddCheckpoint(body))).toBe(code)
    expect(statusOf(body)).toBe(400)
  })

  test('may be so long and no longer', () => {
    const line = `${'A'.repeat(43)}=\n`
    const with63 = `old 1\n${line.repeat(MAX_PROOF_HASHES)}\n${noteOf(3)}`
    expect(parseAddCheckpoint(with63).proof).toHaveLength(63)
    const with64 = `old 1\n${line.repeat(MAX_PROOF_HASHES + 1)}\n${noteOf(3)}`
    expect(codeOf(() => parseAddCheckpoint(with64))).toBe('bad-request')
    const large = 'x'.repeat(MAX_ADD_CHECKPOINT_BYTES + 1)
    expect(codeOf(() => parseAddCheckpoint(large))).toBe('too-large')
    expect(codeOf(() => parseAddCheckpoint(new Uint8Array([0xff, 10, 10])))).toBe('bad-request')
    expect(() => formatAddCheckpoint({ old: -1, proof: [], note: '' })).toThrow(RangeError)
  })

  test('is refused if any byte of it is another, or it ends early', () => {
    const [old, size] = [5, 11]
    const body = utf8(formatAddCheckpoint({ old, proof: proof(old, size), note: noteOf(size) }))
    const latest = { size: old, root: rootOf(old) }
    expect(statusOf(body, latest)).toBe(200)
    for (let at = 0; at < body.length; at++) {
      expect(statusOf(body.subarray(0, at), latest)).toBeGreaterThanOrEqual(400)
      const changed = withByte(body, at, (b) => b + 1)
      expect(statusOf(changed, latest), `byte ${at}`).toBeGreaterThanOrEqual(400)
    }
  })
})

describe('a witness', () => {
  const latest = { size: 5, root: rootOf(5) }
  const ask = (old: number, size: number, hashes = proof(old, size), note = noteOf(size)) =>
    formatAddCheckpoint({ old, proof: hashes, note })

  test('refuses in this order', () => {
    expect(statusOf(ask(5, 9).replace('\n9\n', '\nnine\n'), latest)).toBe(400)
    const stranger = testKey('log.example/other', KEY_TYPE.ed25519, 1)
    const foreign = signNote(
      formatCheckpoint({ origin: stranger.name, size: 3, root: rootOf(3), extensions: [] }),
      [signerOf(stranger, now)],
    )
    expect(statusOf(ask(7, 3, [], foreign), latest)).toBe(404)
    const unsigned = noteOf(3, { keys: [testKey(LOG_ORIGIN, KEY_TYPE.ed25519, 9)] })
    expect(statusOf(ask(7, 3, [], unsigned), latest)).toBe(403)
    expect(statusOf(ask(7, 3, []), latest)).toBe(400)
    expect(statusOf(ask(4, 9), latest)).toBe(409)
    expect(statusOf(ask(0, 9), latest)).toBe(409)
    expect(statusOf(ask(5, 9, proof(5, 8)), latest)).toBe(422)
    expect(statusOf(ask(5, 9, []), latest)).toBe(422)
    expect(statusOf(ask(5, 9), latest)).toBe(200)
  })

  test('tells the size it has', () => {
    const at = (latest?: KnownTree) => {
      try {
        checkFollows(openAddCheckpoint(ask(3, 9), known), latest)
      } catch (error) {
        return (error as WitnessRefusal).size
      }
    }
    expect(at(latest)).toBe(5)
    expect(at()).toBe(0)
  })

  test('lets the same tree through again, and no other of its size', () => {
    expect(statusOf(ask(5, 5), latest)).toBe(200)
    expect(statusOf(ask(5, 5, [rootOf(1)]), latest)).toBe(422)
    const other = noteOf(5, { root: rootOf(6) })
    expect(statusOf(ask(5, 5, [], other), latest)).toBe(422)
  })

  test('knows what the empty tree is', () => {
    expect(statusOf(ask(0, 0))).toBe(200)
    expect(statusOf(ask(0, 0, [], noteOf(0, { root: rootOf(1) })))).toBe(422)
    expect(statusOf(ask(0, 3, [rootOf(1)]))).toBe(422)
    expect(statusOf(ask(0, 3), { size: 0, root: EMPTY_ROOT })).toBe(200)
  })

  test('refuses extension lines, and one bad signature of a good key among others', () => {
    expect(statusOf(ask(5, 9, proof(5, 9), noteOf(9, { extensions: ['more'] })), latest)).toBe(400)
    const both = noteOf(9, { keys: [LOG_KEY, LOG_PQ_KEY] })
    expect(statusOf(ask(5, 9, proof(5, 9), both), latest)).toBe(200)
    const [first, second] = parseNote(both).signatures
    const spoilt = { ...second!, signature: second!.signature.slice() }
    spoilt.signature[100]! ^= 1
    const note = signNote(parseNote(both).text, [], [first!, spoilt])
    expect(statusOf(ask(5, 9, proof(5, 9), note), latest)).toBe(403)
  })

  test("keeps the log's own lines and drops those of strangers", () => {
    const note = noteOf(9, { keys: [W0, LOG_KEY, W1, LOG_PQ_KEY] })
    const submitted = openAddCheckpoint(ask(5, 9, proof(5, 9), note), known)
    expect(parseNote(submitted.note).signatures.map(({ name }) => name)).toEqual([
      LOG_ORIGIN,
      LOG_ORIGIN,
    ])
  })

  test.skipIf(!present)('answers the sequence of other people as they do', () => {
    const vector = readJson<Sequence>('witness/add-checkpoint-sequence.json')
    const key = verifierKey(vector.log_origin, KEY_TYPE.ed25519, fromHex(vector.log_public_key_hex))
    let latest: KnownTree | undefined
    /** What a witness of that log says, and remembers. */
    const answer = (body: string): { status: number; said: string } => {
      try {
        const submitted = openAddCheckpoint(body, (origin) => (origin === key.name ? [key] : []))
        checkFollows(submitted, latest)
        latest = submitted.checkpoint
        return { status: 200, said: '— example.com/witness' }
      } catch (error) {
        if (!(error instanceof WitnessRefusal)) throw error
        const { message, size, status } = error
        return { status, said: size === undefined ? message : `${size}\n` }
      }
    }
    for (const { body, name, want_body_contains: said, want_status: status } of vector.requests) {
      const found = answer(body)
      expect(found.status, name).toBe(status)
      expect(found.said, name).toContain(said)
    }
    expect(latest?.size).toBe(5)
  })

  test.skipIf(!present)('follows the proof of another implementation', () => {
    const vector = readJson<Monkeys>('witness/monkeys-consistency.json')
    const key = parseVkey(vector.log_vkey)
    const keysOf = () => [key]
    const proof = vector.consistency_proof_hex.map((hex) => asHash(fromHex(hex)))
    const older = { old: 0, proof: [], note: vector.old_checkpoint }
    const latest = openAddCheckpoint(formatAddCheckpoint(older), keysOf).checkpoint
    const ask = (proof: readonly Hash[]) => () => {
      const request = { old: latest.size, proof, note: vector.new_checkpoint }
      checkFollows(openAddCheckpoint(formatAddCheckpoint(request), keysOf), latest)
    }
    expect(ask(proof)).not.toThrow()
    expect(ask(proof.slice(1))).toThrow(WitnessRefusal)
    expect(ask(proof.toReversed())).toThrow(WitnessRefusal)
  })
})

describe('a client', () => {
  const request = { old: 5, proof: proof(5, 9), note: noteOf(9) }
  const verifiers = [W0, W2].map((key) => verifierOf(key))

  function client(answer: (init: RequestInit, url: string) => Response): HttpClient {
    return new HttpClient({
      fetch: async (url, init) => answer(init, url),
      now,
      random: () => 0,
      sleep: async () => {},
    })
  }

  const lines = (...keys: SignerKey[]): string => {
    const { signatures } = parseNote(
      signNote(
        parseNote(request.note).text,
        keys.map((key) => signerOf(key, now)),
      ),
    )
    return signatures.map(formatSignatureLine).join('')
  }

  test('takes lines of known keys, of both types, and ignores others', async () => {
    const asked: string[] = []
    const http = client((init, url) => {
      asked.push(`${init.method} ${url}`)
      expect(parseAddCheckpoint(init.body as Uint8Array)).toEqual(request)
      return new Response(lines(W1, W0, W2))
    })
    const answer = await addCheckpoint(http, 'https://w.example/x/', request, verifiers)
    if ('size' in answer) throw new Error('a conflict')
    expect(answer.signatures.map(({ key }) => key.name)).toEqual([W0.name, W2.name])
    expect(asked).toEqual(['POST https://w.example/x/add-checkpoint'])
  })

  test.each([
    ['nobody known', () => lines(W1), 'unverified'],
    ['nothing', () => '', 'unverified'],
    ['no lines', () => 'thank you\n', 'bad-note'],
    [
      'a line of another tree',
      () =>
        parseNote(noteOf(8, { keys: [W0] }))
          .signatures.map(formatSignatureLine)
          .join(''),
      'bad-signature',
    ],
    ['too much', () => 'x'.repeat(MAX_ADD_CHECKPOINT_BYTES + 1), 'too-large'],
  ])('refuses %s', async (_, body, code) => {
    const http = client(() => new Response(body()))
    expect(await codeOfAsync(addCheckpoint(http, 'https://w.example', request, verifiers))).toBe(
      code,
    )
  })

  test('takes a size from a 409 of that media type alone', async () => {
    const conflict = (body: string, type: string) =>
      addCheckpoint(
        client(() => new Response(body, { status: 409, headers: { 'content-type': type } })),
        'https://w.example',
        request,
        verifiers,
      )
    expect(await conflict('7\n', 'text/x.tlog.size')).toEqual({ size: 7 })
    expect(await conflict('0\n', 'text/x.tlog.size; charset=utf-8')).toEqual({ size: 0 })
    await expect(conflict('7\n', 'text/plain')).rejects.toBeInstanceOf(HttpError)
    await expect(conflict('', 'text/x.tlog.size')).rejects.toBeInstanceOf(HttpError)
    await expect(conflict('-1\n', 'text/x.tlog.size')).rejects.toBeInstanceOf(HttpError)
    await expect(conflict('\xff', 'text/x.tlog.size')).rejects.toBeInstanceOf(HttpError)
  })

  test('never asks twice by itself, since only a fresh proof may help', async () => {
    let asked = 0
    const http = client(() => {
      asked++
      return new Response('busy', { status: 503, headers: { 'retry-after': '7' } })
    })
    const error = await addCheckpoint(http, 'https://w.example', request, verifiers).catch(
      (error: unknown) => error as HttpError,
    )
    expect(error).toMatchObject({ status: 503, retryAfterMs: 7_000 })
    expect(asked).toBe(1)
  })

  test('reads what was cosigned', async () => {
    const http = client((_, url) =>
      url.endsWith(witnessedPath(LOG_ORIGIN))
        ? new Response(noteOf(9, { keys: [LOG_KEY, W0] }))
        : new Response('', { status: 404 }),
    )
    const note = await witnessedCheckpoint(http, 'https://m.example/', LOG_ORIGIN)
    expect(openNote(note, [verifierOf(W0)]).verified).toHaveLength(1)
    expect(witnessedPath('example.com/log')).toMatch(/^[0-9a-f]{64}\/checkpoint$/)
    await expect(witnessedCheckpoint(http, 'https://m.example', 'x')).rejects.toMatchObject({
      status: 404,
    })
  })
})
