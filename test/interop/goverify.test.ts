/**
 * Our log, read by Go: goverify/ checks checkpoint, cosignatures, tiles, bundles and proofs with golang.org/x/mod/sumdb. The
 * last tests serve a log with one thing spoilt, to see that it would notice.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { fromUtf8, toBase64, utf8 } from '@dslog/tlog/bytes'
import { signerOf } from '@dslog/tlog/cosignature'
import { formatVkey, KEY_TYPE, type SignerKey } from '@dslog/tlog/key'
import { formatSignatureLine, parseNote } from '@dslog/tlog/note'
import { HOUR } from '@dslog/schema/time'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testKey } from '@dslog/testbed/notekey'
import { missingOf } from '@dslog/testbed/program'
import { startLog } from './running-log.ts'
import { type RunningLog, serveStaticLog, type Spoil } from './static-log.ts'

const SOURCE = fileURLToPath(new URL('goverify/', import.meta.url))

/** Where Debian's golang-golang-x-mod-dev puts its sources: the build needs no network. */
const GOPATH = '/usr/share/gocode'

const missing =
  missingOf('go').length > 0
    ? 'no go'
    : existsSync(`${GOPATH}/src/golang.org/x/mod/sumdb/tlog`)
      ? undefined
      : 'no golang-golang-x-mod-dev'
if (missing !== undefined) console.log(`skipped: ${missing}, so nothing is checked by Go`)

/** Leaves: three tiles, the last of them partial. Some entries empty, one as long as can be. */
const SIZE = 700

const entries = Array.from({ length: SIZE }, (_, i) =>
  new Uint8Array(i === 300 ? 0xffff : (i * 7) % 50).fill(i % 251),
)

interface Summary {
  ok: boolean
  error?: string
  origin: string
  size: number
  cosignatures: number
  entries: number
  bundles: number
  inclusion_recomputed: number
  inclusion_served: number
  consistency_recomputed: number
  consistency_served: number
}

describe.skipIf(missing !== undefined)('goverify', () => {
  let folder: string
  let program: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'dslog-goverify-'))
    program = join(folder, 'goverify')
    const built = spawnSync('go', ['build', '-o', program, '.'], {
      cwd: SOURCE,
      env: {
        ...process.env,
        GO111MODULE: 'off',
        GOFLAGS: '',
        GOPATH,
        GOCACHE: join(folder, 'cache'),
      },
      encoding: 'utf8',
    })
    if (built.status !== 0) throw new Error(`go build: ${built.stderr}`)
  })

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  async function goverify(
    url: string,
    vkey: string,
    ...witnesses: readonly string[]
  ): Promise<{ status: number | null; is: Summary }> {
    const child = spawn(program, [url, vkey, ...witnesses], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [out] = await Promise.all([text(child.stdout), once(child, 'close')])
    return { status: child.exitCode, is: JSON.parse(out) as Summary }
  }

  test.each([
    ['the log service', startLog],
    ['a static log', async () => serveStaticLog(entries)],
  ])('finds everything in order: %s', async (_, start) => {
    const log = await start()
    try {
      const { status, is } = await goverify(log.url, log.vkey)
      expect(is.error).toBeUndefined()
      expect(status).toBe(0)
      expect(is.ok).toBe(true)
      expect(is.entries).toBe(is.size)
      expect(is.bundles).toBe(Math.ceil(is.size / 256))
      expect(is.inclusion_recomputed).toBeGreaterThan(0)
      expect(is.inclusion_served).toBe(is.inclusion_recomputed)
      expect(is.consistency_recomputed).toBeGreaterThan(0)
      expect(is.consistency_served).toBe(is.consistency_recomputed)
    } finally {
      await log.close()
    }
  })

  async function spoilt(spoil: Spoil): Promise<string> {
    const log = await serveStaticLog(entries, spoil)
    try {
      const { status, is } = await goverify(log.url, log.vkey)
      expect(is.ok).toBe(false)
      expect(status).toBe(1)
      return is.error ?? ''
    } finally {
      await log.close()
    }
  }

  /** Flips the lowest bit of one byte of the answers whose path begins so. */
  function flip(prefix: string, at: number): Spoil {
    return (path, body) => {
      if (!path.startsWith(prefix)) return body
      return body.map((byte, i) => (i === at ? byte ^ 1 : byte))
    }
  }

  /** Changes the JSON of the answers whose path begins so. */
  function rewrite(prefix: string, change: (answer: { proof: string[] }) => void): Spoil {
    return (path, body) => {
      if (!path.startsWith(prefix)) return body
      const answer = JSON.parse(fromUtf8(body)) as { proof: string[] }
      change(answer)
      return utf8(JSON.stringify(answer))
    }
  }

  const other = toBase64(new Uint8Array(32))

  test.each<[string, Spoil, RegExp]>([
    ['a byte of the checkpoint', flip('/checkpoint', 3), /checkpoint/],
    ['a byte of a full tile', flip('/tile/0/001', 40), /tile|hash/i],
    ['a byte of a partial tile', flip('/tile/0/002.p/188', 40), /tile|hash/i],
    ['a byte of an entry', flip('/tile/entries/000', 30), /entry|entries/],
    [
      'a bundle cut off',
      (path, body) => (path.startsWith('/tile/entries/002') ? body.subarray(0, -1) : body),
      /cut off/,
    ],
    [
      'a hash of a served inclusion proof',
      rewrite('/v1/proofs/inclusion?index=0&size=700', (answer) => {
        answer.proof[0] = other
      }),
      /proofs\/inclusion/,
    ],
    [
      'a served consistency proof that is too short',
      rewrite('/v1/proofs/consistency?from=3&to=700', (answer) => {
        answer.proof.pop()
      }),
      /proofs\/consistency/,
    ],
    [
      'a root that is not that of the size',
      rewrite('/v1/proofs/consistency?from=3', (answer) => {
        Object.assign(answer, { from_root: other })
      }),
      /another question/,
    ],
  ])('notices %s', async (_, spoil, message) => {
    expect(await spoilt(spoil)).toMatch(message)
  })

  describe('of witnesses', () => {
    const keyOf = (name: string, fill: number): SignerKey =>
      testKey(name, KEY_TYPE.cosignature, fill)
    const W1 = keyOf('w1.example', 21)
    const W2 = keyOf('w2.example', 22)
    const PQ = testKey('pq.example', KEY_TYPE.mldsa44, 23)

    /** A log whose checkpoint these have cosigned, at a time. */
    async function cosigned(
      keys: readonly SignerKey[],
      { at = Date.now(), spoil = (signature: Uint8Array) => signature } = {},
    ): Promise<RunningLog> {
      const signers = keys.map((key) => signerOf(key, () => at))
      return serveStaticLog(entries, (path, body) => {
        if (path !== '/checkpoint') return body
        const note = fromUtf8(body)
        const { text } = parseNote(note)
        const lines = signers.map(({ key: { id, name }, sign }) =>
          formatSignatureLine({ name, id, signature: spoil(sign(utf8(text))) }),
        )
        return utf8(note + lines.join(''))
      })
    }

    /** What Go says about a log and two witnesses of it. */
    async function said(starting: Promise<RunningLog>, ...keys: readonly SignerKey[]) {
      const log = await starting
      try {
        return await goverify(log.url, log.vkey, ...keys.map(formatVkey))
      } finally {
        await log.close()
      }
    }

    test('finds the cosignatures that it asks for, whoever else has signed', async () => {
      const { is, status } = await said(cosigned([PQ, W2, W1]), W1, W2)
      expect(is.error).toBeUndefined()
      expect(status).toBe(0)
      expect(is).toMatchObject({ ok: true, cosignatures: 2, size: SIZE })
    })

    test.each<[string, () => Promise<RunningLog>, RegExp]>([
      ['one that is not there', () => cosigned([W1]), /w2\.example has not signed it/],
      [
        'one by another key of that name',
        () => cosigned([W1, keyOf('w2.example', 29)]),
        /w2\.example has not signed it/,
      ],
      [
        'one of another time than it says',
        // The time is what it begins with, u64 seconds.
        () => cosigned([W1, W2], { spoil: (line) => line.with(7, line[7]! ^ 1) }),
        /invalid signature/,
      ],
      ['one of time 0', () => cosigned([W1, W2], { at: 0 }), /invalid signature/],
      [
        'one from the future',
        () => cosigned([W1, W2], { at: Date.now() + HOUR }),
        /invalid signature/,
      ],
    ])('notices %s', async (_, start, message) => {
      const { is, status } = await said(start(), W1, W2)
      expect(status).toBe(1)
      expect(is.error).toMatch(message)
    })

    test('takes no key of another kind for that of a witness', async () => {
      const { is } = await said(cosigned([PQ]), PQ)
      expect(is.error).toMatch(/none of cosignature\/v1/)
    })
  })

  test('does not take another key', async () => {
    const stranger = testKey('log.example/static', KEY_TYPE.ed25519, 9)
    const log = await serveStaticLog(entries)
    try {
      const { status, is } = await goverify(log.url, formatVkey(stranger))
      expect(status).toBe(1)
      expect(is.error).toMatch(/no verifiable signatures/)
    } finally {
      await log.close()
    }
  })
})
