/** An owner key, statements that a monitor takes, and mistakes; and what a policy amounts to. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromBase64 } from '@dslog/tlog/bytes'
import { formatVkey, KEY_TYPE } from '@dslog/tlog/key'
import { parsePolicy } from '@dslog/tlog/policy'
import { nameFromText } from '@dslog/dnssec/name'
import { ownerText, pinFromText, verifyPins } from '@dslog/verify/pins'
import { listenOnLoopback } from '@dslog/testbed/loopback'
import { testKey } from '@dslog/testbed/notekey'
import { fewestWitnesses } from '../src/command/policy.ts'
import { dslog } from './io.ts'

let folder: string
let server: Server
let monitor: string
const INFO = { origin: 'monitor.example', url: 'https://x', channels: [], software: 'x' }
const taken: { path: string; headers: IncomingHttpHeaders; body: string }[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dslog-pins-'))
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      response.setHeader('content-type', 'application/json')
      if (request.url === '/v1/monitor') return response.end(JSON.stringify(INFO))
      if (request.url?.startsWith('/other/') === true) return response.end('<html>not here</html>')
      taken.push({ path: `${request.method} ${request.url}`, headers: request.headers, body })
      const isKnown = request.headers.authorization === `Bearer ${'t'.repeat(43)}`
      response.statusCode = isKnown ? 202 : 403
      return response.end(isKnown ? '{"effective_at":1719878400000}' : '{"title":"no"}')
    })
  })
  monitor = `http://127.0.0.1:${await listenOnLoopback(server)}`
})
afterAll(async () => {
  server.close()
  await rm(folder, { recursive: true })
})

const PIN = `DS 4711 13 2 ${'AB'.repeat(32)}`

describe('dslog pins', () => {
  test('makes a key, signs what a monitor takes, and publishes it', async () => {
    const [key, file] = [join(folder, 'owner.key'), join(folder, 'pins.json')]
    const made = await dslog(['pins', 'keygen', '-o', key, '--json'])
    expect(made.code).toBe(0)
    expect((await stat(key)).mode & 0o777).toBe(0o600)
    const ownerKey = fromBase64(String(made.events[0]!['owner_key']))
    expect(made.events[0]!['txt']).toBe(ownerText(ownerKey))
    // A key is never overwritten.
    expect((await dslog(['pins', 'keygen', '-o', key])).code).toBe(2)

    const sign = ['pins', 'sign', 'Example.FI', PIN, '--key', key, '--monitor', monitor]
    const signed = await dslog([...sign, '--seq', '7', '--until', '2099-01-01', '-o', file])
    expect(signed).toMatchObject({ code: 0 })
    expect(signed.stdout).toContain(
      'allows 1 key for example.fi. at monitor.example, until 2099-01-01',
    )
    const statement = JSON.parse(await readFile(file, 'utf8')) as {
      owner_key: string
      seq: number
      not_after: number
      pins: string[]
      signature: string
    }
    expect(statement).toMatchObject({
      seq: 7,
      pins: [PIN],
      owner_key: made.events[0]!['owner_key'],
    })
    const verify = (origin: string): void =>
      verifyPins(
        {
          origin,
          name: nameFromText('example.fi.'),
          seq: 7,
          notAfter: statement.not_after,
          pins: statement.pins.map(pinFromText),
        },
        ownerKey,
        fromBase64(statement.signature),
      )
    expect(() => verify('monitor.example')).not.toThrow()
    expect(() => verify('other.example')).toThrow('not signed')

    const publish = ['pins', 'publish', file, '--subscription', 'sub_1', '--monitor', monitor]
    expect((await dslog(publish)).stderr).toContain('DSLOG_SUBSCRIPTION_TOKEN')
    const env = { DSLOG_SUBSCRIPTION_TOKEN: 't'.repeat(43) }
    const published = await dslog([...publish, '--json'], { env })
    expect(published.events).toEqual([
      { event: 'published', subscription: 'sub_1', effective_at: 1_719_878_400_000 },
    ])
    expect(taken.at(-1)).toMatchObject({ path: 'PUT /v1/subscriptions/sub_1/pins' })
    expect(JSON.parse(taken.at(-1)!.body)).toEqual(statement)
    const refused = await dslog(publish, { env: { DSLOG_SUBSCRIPTION_TOKEN: 'wrong' } })
    expect(refused.code).toBe(3)
    expect(refused.stderr).not.toContain('wrong')
  })

  test('takes only a monitor for one', async () => {
    const [key, file] = [join(folder, 'other.key'), join(folder, 'other.json')]
    await dslog(['pins', 'keygen', '-o', key])
    const sign = ['pins', 'sign', 'example.fi', PIN, '--key', key, '--monitor']
    for (const [url, code, words] of [
      [`${monitor}/other`, 3, 'something else than what was asked for'],
      ['ftp://monitor.example', 2, 'not an http or https URL'],
      ['nonsense', 2, 'not an http or https URL'],
    ] as const) {
      const signed = await dslog([...sign, url])
      expect(signed).toMatchObject({ code, stdout: '' })
      expect(signed.stderr).toContain(words)
    }
    expect((await dslog([...sign, monitor, '-o', file])).code).toBe(0)
    const env = { DSLOG_SUBSCRIPTION_TOKEN: 't'.repeat(43) }
    const publish = (what: string, url: string) =>
      dslog(['pins', 'publish', what, '--subscription', 's', '--monitor', url], { env })
    expect((await publish(file, `${monitor}/other`)).code).toBe(3)
    // A key is no statement, and does not leave the machine.
    const refused = await publish(key, monitor)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain(`${key} holds no statement`)
  })

  test('takes no mistake', async () => {
    const key = join(folder, 'second.key')
    await dslog(['pins', 'keygen', '-o', key])
    const not = join(folder, 'not.key')
    await writeFile(not, 'nonsense')
    const sign = (...more: string[]) => dslog(['pins', 'sign', ...more, '--monitor', monitor])
    for (const args of [
      ['pins', 'nonsense'],
      ['pins', 'keygen'],
      ['pins', 'keygen', 'x', '-o', join(folder, 'third.key')],
      ['pins', 'publish'],
      ['pins', 'publish', 'a', 'b'],
      ['pins', 'publish', key],
    ]) {
      expect((await dslog(args)).code, args.join(' ')).toBe(2)
    }
    expect((await sign()).code).toBe(2)
    expect((await sign('example.fi', PIN)).code).toBe(2)
    expect((await sign('example.fi', PIN, '--key', not)).code).toBe(2)
    expect((await sign('example.fi', PIN, '--key', join(folder, 'none'))).code).toBe(2)
    expect((await sign('example.fi', 'DS 1 2 3', '--key', key)).code).toBe(2)
    expect((await sign('a..b', PIN, '--key', key)).code).toBe(2)
    expect((await sign('example.fi', PIN, '--key', key, '--until', '2001-01-01')).code).toBe(2)
    expect(
      (await dslog(['pins', 'sign', 'example.fi', PIN, '--key', key, '--monitor', 'x'])).code,
    ).toBe(2)
    expect(
      (
        await dslog([
          'pins',
          'sign',
          'example.fi',
          PIN,
          '--key',
          key,
          '--monitor',
          'http://127.0.0.1:1',
        ])
      ).code,
    ).toBe(3)
  }, 120_000)
})

const vkey = (name: string, type: number, seed: number): string =>
  formatVkey(testKey(name, type as typeof KEY_TYPE.ed25519, seed))
const LOG = `log ${vkey('log.example', KEY_TYPE.ed25519, 1)} https://log.example\n`
const WITNESSES = [2, 3, 4]
  .map((n) => `witness w${n} ${vkey(`w${n}.example`, KEY_TYPE.cosignature, n)}\n`)
  .join('')

describe('dslog policy check', () => {
  test.each([
    ['quorum none\n', 0],
    ['quorum w2\n', 1],
    ['group g 2 w2 w3 w4\nquorum g\n', 2],
    ['group g all w2 w3 w4\nquorum g\n', 3],
    ['group g any w2 w3\ngroup h all g w4\nquorum h\n', 2],
  ])('counts the witnesses of %j', (tail, fewest) => {
    expect(fewestWitnesses(parsePolicy(`${LOG}${WITNESSES}${tail}`))).toBe(fewest)
  })

  test('says what a policy amounts to', async () => {
    const file = join(folder, 'policy')
    await writeFile(file, `${LOG}${WITNESSES}group g 2 w2 w3\nquorum g\n`)
    const checked = await dslog(['policy', 'check', file])
    expect(checked.code).toBe(0)
    expect(checked.stdout).toContain('quorum g: 2 witnesses at least must have cosigned')
    expect(checked.stdout).toContain('does not count: w4')
    const { events } = await dslog(['policy', 'check', file, '--json'])
    expect(events[0]).toMatchObject({
      event: 'policy',
      quorum: 'g',
      fewest_witnesses: 2,
      logs: [{ origin: 'log.example' }],
    })
    await writeFile(file, `${LOG}quorum none\n`)
    expect((await dslog(['policy', 'check', file])).stdout).toContain('no witness is asked for')
    await writeFile(file, `${LOG}quorum nobody\n`)
    const bad = await dslog(['policy', 'check', file])
    expect(bad.code).toBe(1)
    expect(bad.stderr).toContain('line 2')
    expect((await dslog(['policy', 'show', file])).code).toBe(2)
    expect((await dslog(['policy', 'check', join(folder, 'nothing')])).code).toBe(2)
  })
})
