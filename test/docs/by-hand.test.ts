/**
 * docs/verify-by-hand.md, run as it stands by bash against a real log: it shows what it says, and does not where somebody
 * changed something on the way. Of the zones in it one signs with RSA, the others with ECDSA.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { toHex } from '@dslog/tlog/bytes'
import { formatVkey, KEY_TYPE, verifierKey } from '@dslog/tlog/key'
import { isInstalled } from '@dslog/testbed/program'
import { keyOf, ORIGIN } from '../place.ts'
import { MANY, Stage } from '../explorer/stage.ts'
import { REPOSITORY } from '../repository.ts'

const PAGE = readFileSync(join(REPOSITORY, 'docs/verify-by-hand.md'), 'utf8')
const SCRIPT = [...PAGE.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block).join('\n')

const TOOLS = ['bash', 'curl', 'openssl', 'sha256sum', 'jq', 'xxd', 'base64', 'sed', 'rev']

describe.runIf(isInstalled(...TOOLS))('verifying by hand', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dslog-byhand-'))
  let stage: Stage
  beforeAll(async () => {
    stage = await Stage.open({ monitor: false })
  })
  afterEach(() => {
    stage.between.tamper = undefined
  })
  afterAll(async () => {
    await stage.close()
    rmSync(folder, { recursive: true })
  })

  interface Run {
    readonly code: number
    readonly said: string
    readonly complaint: string
  }

  function run(name: string, vkey = formatVkey(keyOf(ORIGIN)), anchor?: string): Promise<Run> {
    const [own] = stage.net.anchors
    const env = {
      PATH: process.env['PATH'],
      TMPDIR: folder,
      LOG: stage.url,
      VKEY: vkey,
      NAME: name,
      ANCHOR: anchor ?? toHex(own!.digest),
    }
    return new Promise((resolve) => {
      execFile('bash', ['--norc', '-c', SCRIPT], { env }, (error, said, complaint) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), said, complaint })
      })
    })
  }

  async function expectFalse(why: RegExp, ...of: Parameters<typeof run>): Promise<void> {
    const { code, complaint } = await run(...of)
    expect(complaint).toMatch(why)
    expect(code).toBe(1)
  }

  test('shows all that the log holds about a name, up to the root key', async () => {
    const { code, complaint, said } = await run('bank.fi.')
    expect(complaint).toBe('')
    expect(code).toBe(0)
    expect(said.trim().split('\n')).toEqual([
      expect.stringMatching(/^signed: a tree of \d+ entries, root [0-9a-f]{64}$/),
      'included: the last entry, which is the head of the name map',
      expect.stringMatching(/^complete: the log holds 3 entries about bank\.fi\.: \d+ \d+ \d+$/),
      'included: all of them',
      'signed: 1 DS records of bank.fi., by fi.',
      'signed: the keys of fi., vouched for by .',
      "anchored: the root's keys are signed by the one you trust",
    ])
  })

  test('of long histories, and with the dot left out', async () => {
    const { said } = await run('Example.fi')
    expect(said).toContain(`complete: the log holds ${MANY} entries about Example.fi: `)
    expect(said).toContain('anchored')
  })

  test('of a name that is not there', async () => {
    const { code, said } = await run('nobody.se.')
    expect(code).toBe(0)
    expect(said).toContain('complete: the log holds 0 entries about nobody.se.')
    expect(said).not.toContain('anchored')
  })

  test('refuses another key, another root, and another root key', async () => {
    const { id: _, ...key } = keyOf('log.example/other')
    const other = formatVkey(verifierKey(ORIGIN, KEY_TYPE.ed25519, key.publicKey))
    await expectFalse(/FALSE: the signature of the log/, 'bank.fi.', other)
    await expectFalse(
      /FALSE: signed for log\.example\/test/,
      'bank.fi.',
      formatVkey(keyOf('log.example/other')),
    )
    await expectFalse(/FALSE: the root key has the digest/, 'bank.fi.', undefined, '00'.repeat(32))
  })

  test('refuses what was changed on the way', async () => {
    const change = (part: RegExp, to: (found: string) => string) => {
      stage.between.tamper = (path, body) =>
        path.startsWith('/v1/names') ? body.replace(part, to) : body
    }
    const turned = (text: string): string =>
      text.replace(/[A-Z](?=[^A-Z]*$)/, (c) => (c === 'Q' ? 'R' : 'Q'))
    change(/(?<="map_head_entry":"[^"]{20})[^"]{40}/, turned)
    await expectFalse(/FALSE: the last entry is not in the tree/, 'bank.fi.')
    // An entry is kept back, and the list made to fit.
    change(/"indices":\[\d+,/, () => '"indices":[')
    await expectFalse(/FALSE: the map says something else/, 'bank.fi.')
    change(/(?<="raw":"[^"]{100})[^"]{40}/, turned)
    await expectFalse(/FALSE: entry \d+ is not in the tree/, 'bank.fi.')
    // The name is said not to be there.
    const absent = await (await fetch(`${stage.url}/v1/names/nobody.fi`)).text()
    stage.between.tamper = (path, body) => (path.startsWith('/v1/names') ? absent : body)
    await expectFalse(/FALSE: the (way through the map|map says something else)/, 'bank.fi.')
  })
})
