/** The monitor as witness and as auditor: what it cosigns, what it remembers, what it answers over HTTP. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { fromHex, utf8 } from '@dslog/tlog/bytes'
import { parseCheckpoint } from '@dslog/tlog/checkpoint'
import { LogClient } from '@dslog/tlog/client'
import { signerOf, timestampOf, verifierOf } from '@dslog/tlog/cosignature'
import { leafHash } from '@dslog/tlog/hash'
import { HttpClient } from '@dslog/tlog/http'
import { formatSkey, KEY_TYPE, signerKey, type SignerKey, verifierKey } from '@dslog/tlog/key'
import { openNote, parseNote, parseSignatureLines, signNote } from '@dslog/tlog/note'
import { parsePolicy } from '@dslog/tlog/policy'
import { formatAddCheckpoint, witnessedPath } from '@dslog/tlog/witness'
import { Secret } from '@dslog/service/config'
import type { Http } from '@dslog/service/http'
import { LyingLog } from '@dslog/testbed/lyinglog'
import { testKey } from '@dslog/testbed/notekey'
import { quietHttp } from '../../../test/http.ts'
import { silent } from '../../../test/silent.ts'
import { atTestPoint } from '../../../test/testpoint.ts'
import { Comparer } from '../src/compare.ts'
import { witnessRoutes } from '../src/route/witness.ts'
import { type Cosigner, cosignersOf, Witness } from '../src/witness.ts'
import { WitnessedFile, WitnessedTable, type WitnessMemory } from '../src/witnessed.ts'
import { sharedVector } from './vectors.ts'
import {
  follower,
  grow,
  history,
  type History,
  logOf,
  quickPlace,
  type Place,
  RUNNING,
  settingOf,
} from './world.ts'

const WITNESS = testKey('example.com/witness', KEY_TYPE.cosignature, 1)
const AUDITOR = testKey('example.com/auditor', KEY_TYPE.mldsa44, 2)

let past: History
let here: Place
let folder: string
let apps: Http[] = []

beforeAll(async () => {
  past = await history(20)
  here = await quickPlace()
})
beforeEach(async () => {
  await here.empty()
  folder = await mkdtemp(join(tmpdir(), 'dslog-witness-'))
})
afterEach(async () => {
  await Promise.all(apps.map((app) => app.close()))
  apps = []
  await rm(folder, { recursive: true, force: true })
})
afterAll(() => here.close())

function cosigner(role: Cosigner['role'], key: SignerKey): Cosigner {
  return { role, signer: signerOf(key, past.net.clock.now) }
}

const BOTH = (): Cosigner[] => [cosigner('witness', WITNESS), cosigner('auditor', AUDITOR)]

/** A monitor of a log, with these cosigners and what it remembers in a file. */
async function monitor(log: LyingLog, cosigners: Cosigner[] = BOTH(), memory?: WitnessMemory) {
  const setting = await settingOf(log, past, here)
  const follows = await follower(setting)
  const witness = new Witness({
    logKeys: [log.key],
    cosigners,
    memory: memory ?? new WitnessedFile(join(folder, 'witnessed.jsonl')),
    followerOf: () => follows,
    signal: RUNNING,
  })
  return { follower: follows, witness, ask: await http(witness), url: setting.served.url }
}

async function http(witness: Witness) {
  const app = await quietHttp()
  await witnessRoutes(app, witness)
  apps.push(app)
  return {
    add: async (body: string | Uint8Array, headers: Record<string, string> = {}) =>
      app.inject({
        method: 'POST',
        url: '/add-checkpoint',
        payload: Buffer.from(typeof body === 'string' ? utf8(body) : body),
        headers,
      }),
    get: async (path: string) => app.inject({ method: 'GET', url: `/${path}` }),
  }
}

/** The request that takes a log from one tree of its history to another. */
async function request(log: LyingLog, old: number, note: string): Promise<string> {
  const fetched = new HttpClient({ fetch: log.fetch, now: () => 0, random: () => 0 })
  const client = new LogClient('http://log', parsePolicy(log.policy), fetched)
  const checkpoint = parseCheckpoint(parseNote(note).text)
  const trusted = { checkpoint, note, logKey: log.key, witnesses: [] }
  const from = Math.min(old, checkpoint.size)
  const proof = from === 0 ? [] : await client.tree(trusted).consistencyProof(from)
  return formatAddCheckpoint({ old, proof, note })
}

/** Who has signed, of an answer's lines. */
function names(lines: string): string[] {
  return parseSignatureLines(lines).map(({ name }) => name)
}

interface Sequence {
  log_origin: string
  log_public_key_hex: string
  requests: { name: string; body: string; want_status: number; want_body_contains: string }[]
}

const sequence = sharedVector<Sequence>('tlog/witness/add-checkpoint-sequence.json')

describe("other people's sequence", () => {
  test.skipIf(sequence === undefined)('is answered with the right status and body', async () => {
    const { log_origin: origin, log_public_key_hex: hex, requests } = sequence!
    const key = verifierKey(origin, KEY_TYPE.ed25519, fromHex(hex))
    // Of a Sigsum log there is nothing to follow: this is the witness alone.
    const idle = { isCaught: false, audit: async () => false, compare: async () => {} }
    const witness = new Witness({
      logKeys: [key],
      cosigners: [cosigner('witness', WITNESS)],
      memory: new WitnessedFile(join(folder, 'witnessed.jsonl')),
      followerOf: () => idle,
      signal: RUNNING,
    })
    const ask = await http(witness)
    for (const { body, name, want_body_contains: said, want_status: status } of requests) {
      const answer = await ask.add(body)
      expect(answer.statusCode, name).toBe(status)
      expect(answer.body, name).toContain(said)
      expect(answer.headers['cache-control']).toBe('no-store')
      if (status === 200) {
        const text = parseNote(body.slice(body.indexOf('\n\n') + 2)).text
        const note = `${text}\n${answer.body}`
        const { verified } = openNote(note, [verifierOf(WITNESS)])
        expect(timestampOf(verified[0]!)).toBe(Math.floor(past.net.clock.now() / 1000))
      }
      if (status === 409) {
        expect(answer.headers['content-type']).toBe('text/x.tlog.size')
        expect(answer.body).toBe(said)
      }
      if (status !== 200 && status !== 409) {
        expect(answer.headers['content-type']).toBe('application/problem+json')
      }
    }
    const shown = await ask.get(witnessedPath(origin))
    expect(shown.statusCode).toBe(200)
    const opened = openNote(shown.body, [verifierOf(key), verifierOf(WITNESS)])
    expect(opened.verified).toHaveLength(2)
    expect(parseCheckpoint(opened.text).size).toBe(5)
  })
})

describe('a witness', () => {
  test('cosigns what follows, remembers it over a restart, and shows it', async () => {
    const log = logOf(past, past.trees[1])
    const { ask } = await monitor(log)
    const first = log.sign()
    expect((await ask.get(witnessedPath(log.origin))).statusCode).toBe(404)
    expect((await ask.add(await request(log, 0, first))).statusCode).toBe(200)
    const older = log.size
    const second = grow(log, past.scribe, past.trees[2])

    const again = await monitor(log)
    const behind = await again.ask.add(await request(log, 0, second))
    expect(behind.statusCode).toBe(409)
    expect(behind.body).toBe(`${older}\n`)
    expect((await again.ask.add(await request(log, older, second))).statusCode).toBe(200)
    const shown = await again.ask.get(witnessedPath(log.origin))
    const { text, verified } = openNote(shown.body, [log.key, WITNESS, AUDITOR].map(verifierOf))
    expect(parseCheckpoint(text).size).toBe(log.size)
    expect(verified).toHaveLength(3)
    for (const path of ['0'.repeat(64), 'A'.repeat(64), 'abc']) {
      expect((await again.ask.get(`${path}/checkpoint`)).statusCode).toBeGreaterThanOrEqual(400)
    }
  })

  test('refreshes the time of an unchanged tree', async () => {
    const log = logOf(past, past.trees[1])
    const { ask } = await monitor(log, [cosigner('witness', WITNESS)])
    const note = log.sign()
    await ask.add(await request(log, 0, note))
    const { clock } = past.net
    const start = clock.now()
    try {
      clock.advance(600_000)
      const answer = await ask.add(await request(log, log.size, note))
      expect(answer.statusCode).toBe(200)
      const text = parseNote(note).text
      const [line] = openNote(`${text}\n${answer.body}`, [verifierOf(WITNESS)]).verified
      expect(timestampOf(line!)).toBe(Math.floor(clock.now() / 1000))
    } finally {
      clock.set(start)
    }
  })

  test('of two that exclude each other cosigns one, also at the same time', async () => {
    const log = logOf(past, past.trees[1])
    const { ask, follower } = await monitor(log, [cosigner('witness', WITNESS)])
    await follower.round(RUNNING)
    const from = log.size
    expect((await ask.add(await request(log, 0, log.sign()))).statusCode).toBe(200)
    const fork = log.fork(from).append(utf8('another'), utf8('history'))
    const forked = fork.sign()
    log.append(...past.scribe.entries.slice(from, from + 2))
    const honest = log.sign()
    const bodies = [await request(log, from, honest), await request(fork, from, forked)]
    const answers = await Promise.all(bodies.map((body) => ask.add(body)))
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 409])
    // With the right old size it is still not what was cosigned…
    const same = await ask.add(formatAddCheckpoint({ old: from + 2, proof: [], note: forked }))
    expect(same.statusCode).toBe(422)
    expect(same.json()).toMatchObject({ type: 'urn:dslog:problem:inconsistent' })
  })

  test('that is shown a fork of a tree it has followed keeps it as evidence, and cosigns no more', async () => {
    const log = logOf(past, past.trees[2])
    const { ask, follower } = await monitor(log)
    await follower.round(RUNNING)
    expect((await ask.add(await request(log, 0, log.sign()))).statusCode).toBe(200)
    const entries = log.entries.with(-1, past.scribe.entries[0]!)
    const fork = new LyingLog(log.origin).append(...entries)
    const body = formatAddCheckpoint({ old: log.size, proof: [], note: fork.sign() })
    expect((await ask.add(body)).statusCode).toBe(422)
    await expect.poll(() => follower.status.state).toBe('misbehaving')
    expect([...follower.status.findings]).toEqual([['fork', 1]])
    const caught = await ask.add(await request(log, log.size, log.sign()))
    expect(caught.statusCode).toBe(403)
    expect(caught.json()).toMatchObject({ type: 'urn:dslog:problem:caught' })
    // And so it stays.
    const restarted = await monitor(log)
    expect((await restarted.ask.add(await request(log, log.size, log.sign()))).statusCode).toBe(403)
  })

  test('takes bodies of any media type, up to a size', async () => {
    const log = logOf(past, past.trees[1])
    const { ask } = await monitor(log, [cosigner('witness', WITNESS)])
    const note = log.sign()
    for (const [i, type] of ['text/plain', 'application/octet-stream', 'x/y', ''].entries()) {
      const old = i === 0 ? 0 : log.size
      const headers = type === '' ? {} : { 'content-type': type }
      const answer = await ask.add(await request(log, old, note), headers)
      expect(answer.statusCode, type).toBe(200)
    }
    expect((await ask.add('')).statusCode).toBe(400)
    expect((await ask.add(new Uint8Array([0xff, 0xfe]))).statusCode).toBe(400)
    expect((await ask.add('x'.repeat(200_000))).statusCode).toBe(413)
  })

  test('lets one source ask so often and no more', async () => {
    const log = logOf(past, past.trees[0])
    const { ask } = await monitor(log, [cosigner('witness', WITNESS)])
    const codes = new Set<number>()
    for (let i = 0; i < 260; i++) codes.add((await ask.add('old 0\n\nnothing\n')).statusCode)
    expect([...codes]).toEqual([400, 429])
    const last = await ask.add('old 0\n\nnothing\n')
    expect(Number(last.headers['retry-after'])).toBeGreaterThan(0)
  })
})

describe('an auditor', () => {
  test('cosigns a tree that is not published yet, once all of it is verified', async () => {
    const log = logOf(past, past.trees[1])
    const published = log.files.get('checkpoint')!
    const { ask, follower } = await monitor(log, [cosigner('auditor', AUDITOR)])
    await follower.round(RUNNING)
    const from = log.size
    const pending = grow(log, past.scribe, past.trees[3])
    // The log shows the older tree until this one is cosigned.
    log.files.set('checkpoint', published)
    const answer = await ask.add(await request(log, 0, pending))
    expect(answer.statusCode).toBe(200)
    expect(names(answer.body)).toEqual([AUDITOR.name])
    expect(follower.status.size).toBe(log.size)

    // What is published meanwhile is no rollback; then the tree is, and nothing is verified twice.
    await follower.round(RUNNING)
    expect(follower.status).toMatchObject({ state: 'following', published: from, size: log.size })
    const { ask: later, follower: restarted } = await monitor(log)
    await restarted.round(RUNNING)
    expect(restarted.status).toMatchObject({ state: 'following', published: from, size: log.size })
    log.files.set('checkpoint', utf8(pending))
    await restarted.round(RUNNING)
    expect(restarted.status).toMatchObject({ state: 'following', published: log.size, backlog: 0 })
    expect(names((await later.add(await request(log, log.size, pending))).body)).toEqual([
      WITNESS.name,
      AUDITOR.name,
    ])
  })

  test('is not taken in by a tree it has cosigned that is then replaced by another', async () => {
    const log = logOf(past, past.trees[1])
    const { ask, follower } = await monitor(log)
    await follower.round(RUNNING)
    const from = log.size
    const published = log.files.get('checkpoint')!
    const pending = grow(log, past.scribe, past.trees[2])
    log.files.set('checkpoint', published)
    expect((await ask.add(await request(log, 0, pending))).statusCode).toBe(200)
    const fork = log.fork(from).append(...past.scribe.entries.slice(from + 1, past.trees[2]! + 1))
    fork.sign()
    for (const [path, file] of fork.files) log.files.set(path, file)
    await follower.round(RUNNING)
    expect(follower.status.state).toBe('misbehaving')
    expect([...follower.status.findings.keys()]).toEqual(['fork'])
  })

  test('does not cosign an entry that breaks a rule, where a witness has no opinion', async () => {
    const log = logOf(past, past.trees[1])
    const { ask, follower, witness } = await monitor(log, [cosigner('auditor', AUDITOR)])
    await follower.round(RUNNING)
    const from = log.size
    log.append(past.scribe.entries[1]!, past.scribe.entries.at(-1)!)
    const answer = await ask.add(await request(log, 0, log.sign()))
    expect(answer.statusCode).toBe(403)
    expect(answer.json()).toMatchObject({ type: 'urn:dslog:problem:caught' })
    expect(follower.status).toMatchObject({ state: 'misbehaving', size: from })
    expect(await witness.newest(witnessedPath(log.origin))).toBeUndefined()
  })

  test('says not yet of what it cannot read', async () => {
    const log = logOf(past, past.trees[1])
    const { ask, follower } = await monitor(log, [cosigner('auditor', AUDITOR)])
    const note = log.sign()
    const body = await request(log, 0, note)
    const files = new Map(log.files)
    for (const path of files.keys()) if (path.startsWith('tile/entries')) log.files.delete(path)
    const answer = await ask.add(body)
    expect(answer.statusCode).toBe(503)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(follower.status.findings.size).toBe(0)
    for (const [path, file] of files) log.files.set(path, file)
    expect((await ask.add(body)).statusCode).toBe(200)
  })
})

describe('what is remembered', () => {
  const kinds: [string, () => WitnessMemory][] = [
    ['a file', () => new WitnessedFile(join(folder, 'witnessed.jsonl'))],
    ['a table', () => new WitnessedTable(here.db)],
  ]
  const tree = (size: number, byte = 0) => {
    return { size, root: leafHash(Uint8Array.of(size, byte)), note: `note of ${size}\n` }
  }

  test.each(kinds)('is compared before it is replaced: %s', async (_, make) => {
    const memory = make()
    /** A Buffer of the driver is bytes like others. */
    const read = async (origin: string) => {
      const found = await make().read(origin)
      return found && { ...found, root: new Uint8Array(found.root) }
    }
    expect(await memory.read('a')).toBeUndefined()
    await memory.advance('a', undefined, tree(1))
    await memory.advance('b', undefined, tree(7))
    expect(await read('a')).toEqual(tree(1))
    await expect(memory.advance('a', undefined, tree(2))).rejects.toMatchObject({ code: 'fenced' })
    await expect(memory.advance('a', tree(1, 1), tree(2))).rejects.toMatchObject({ code: 'fenced' })
    await memory.advance('a', tree(1), tree(2))
    expect(await read('a')).toEqual(tree(2))
    expect(await read('b')).toEqual(tree(7))
  })

  test.each(kinds)('lets one of several through at a time: %s', async (_, make) => {
    const memory = make()
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) => memory.advance('a', undefined, tree(i + 1))),
    )
    const won = tries.flatMap(({ status }, i) => (status === 'fulfilled' ? [i + 1] : []))
    expect(won).toHaveLength(1)
    expect((await memory.read('a'))?.size).toBe(won[0])
  })

  test('is written before it is answered, and a damaged file is not overlooked', async () => {
    const log = logOf(past, past.trees[0])
    const { ask, witness } = await monitor(log, [cosigner('witness', WITNESS)])
    const body = await request(log, 0, log.sign())
    const stop = atTestPoint((name) => {
      if (name === 'witness.remembered') throw new Error('killed here')
    })
    expect((await ask.add(body)).statusCode).toBe(500)
    stop()
    // Remembered, not answered: the log asks again, learns the size, and goes on from there.
    expect((await ask.add(body)).body).toBe(`${log.size}\n`)
    expect(await witness.newest(witnessedPath(log.origin))).toContain(WITNESS.name)
    const path = join(folder, 'witnessed.jsonl')
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.slice(0, -20))
    await expect(new WitnessedFile(path).read(log.origin)).rejects.toMatchObject({
      code: 'witness',
    })
    await writeFile(path, '{"origin":"a"}\n')
    await expect(new WitnessedFile(path).read('a')).rejects.toMatchObject({ code: 'witness' })
  })
})

describe('keys', () => {
  const now = () => 0
  const secret = (key: SignerKey) => new Secret(formatSkey(key))

  test('are read by role', () => {
    const cosigners = cosignersOf({ witness: secret(WITNESS), auditor: secret(AUDITOR) }, now)
    expect(cosigners.map(({ role, signer }) => [role, signer.key.name])).toEqual([
      ['witness', WITNESS.name],
      ['auditor', AUDITOR.name],
    ])
    expect(cosignersOf({ witness: undefined, auditor: undefined }, now)).toEqual([])
  })

  test('must be cosigner keys, and different ones', () => {
    const log = testKey('log.example', KEY_TYPE.ed25519, 3)
    const twin = signerKey('other.example', KEY_TYPE.cosignature, WITNESS.seed)
    const namesake = signerKey(WITNESS.name, KEY_TYPE.mldsa44, AUDITOR.seed)
    for (const keys of [
      { witness: secret(log), auditor: undefined },
      { witness: secret(WITNESS), auditor: secret(twin) },
      { witness: secret(WITNESS), auditor: secret(namesake) },
      { witness: new Secret('PRIVATE+KEY+nothing'), auditor: undefined },
    ]) {
      expect(() => cosignersOf(keys, now)).toThrow(expect.objectContaining({ code: 'witness' }))
    }
  })
})

describe('comparing with witnesses', () => {
  /** A policy whose one witness answers at a URL with this note. */
  async function comparing(log: LyingLog, note: string | undefined) {
    const { follower, url } = await monitor(log)
    await follower.round(RUNNING)
    const vkey = verifierOf(WITNESS).key
    const policy = {
      ...parsePolicy(log.policy),
      witnesses: [{ name: 'w', key: vkey, url: 'https://w.example' }],
    }
    const fetch = async (asked: string) => {
      expect(asked).toBe(`https://w.example/${witnessedPath(log.origin)}`)
      return note === undefined ? new Response('', { status: 404 }) : new Response(note)
    }
    const http = new HttpClient({ fetch, now: past.net.clock.now, random: () => 0 }, { retries: 0 })
    const { now: clock } = past.net.clock
    const options = {
      policy,
      origin: log.origin,
      http,
      follower,
      clock,
      logger: silent,
      own: new Set<string>(),
    }
    return { comparer: new Comparer(options), follower, url }
  }

  test('finds the other history that the log has shown to one of them', async () => {
    const log = logOf(past, past.trees[2])
    const entries = log.entries.with(-1, past.scribe.entries[0]!)
    const fork = new LyingLog(log.origin).append(...entries)
    const { comparer, follower } = await comparing(log, fork.sign())
    await comparer.round(RUNNING)
    expect(follower.status.state).toBe('misbehaving')
    expect([...follower.status.findings]).toEqual([['fork', 1]])
  })

  test('knows which of them answers: also to say that it has nothing', async () => {
    const log = logOf(past, past.trees[3])
    for (const [note, failure] of [
      [log.sign(), undefined],
      [undefined, undefined],
      ['nothing', 'no signed note: no empty line before the signatures'],
    ] as const) {
      await here.empty()
      const { comparer } = await comparing(log, note)
      const before = past.net.clock.now()
      expect(comparer.witnesses).toMatchObject([{ answeredAt: before, failure: undefined }])
      const asked = past.net.clock.advance(10_000)
      await comparer.round(RUNNING)
      const answeredAt = failure === undefined ? asked : before
      const url = 'https://w.example'
      expect(comparer.witnesses).toEqual([{ name: WITNESS.name, url, answeredAt, failure }])
    }
  })

  test('finds nothing in older trees, strangers, or silence', async () => {
    const log = logOf(past, past.trees[3])
    const older = logOf(past, past.trees[1]).sign()
    const stranger = signNote(parseNote(older).text, [signerOf(WITNESS, () => 0)])
    for (const note of [older, log.sign(), stranger, 'nothing', undefined]) {
      await here.empty()
      const { comparer, follower } = await comparing(log, note)
      await comparer.round(RUNNING)
      expect(follower.status).toMatchObject({ state: 'following' })
      expect(follower.status.findings.size).toBe(0)
    }
  })
})
