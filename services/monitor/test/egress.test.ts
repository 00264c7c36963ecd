/** Where strangers make us talk to: the public internet alone. And what they may be called. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { LookupFunction } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { nameFromText } from '@dslog/dnssec/name'
import { WebhookSink, withStatus } from '@dslog/testbed/webhooksink'
import { Egress, EgressError, faultOfUrl } from '../src/channel/egress.ts'
import { domainOfAddress, isMailboxUnder } from '../src/channel/email.ts'
import { mailboxKey, maySubtree, operatorTarget, publicTarget } from '../src/target.ts'
import { RUNNING } from './world.ts'

const MESSAGE = { headers: { 'content-type': 'application/json' }, body: '{"type":"x","data":{}}' }

/** One of each special-purpose range, and addresses that hide one. */
const FORBIDDEN = [
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.1',
  '192.0.2.1',
  '192.31.196.1',
  '192.52.193.1',
  '192.88.99.1',
  '192.168.1.1',
  '192.175.48.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:10.0.0.1',
  '::127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b::a00:1',
  '64:ff9b:1::1',
  '100::1',
  '2001::1',
  '2001:2::1',
  '2001:db8::1',
  '2002:7f00:1::1',
  '2620:4f:8000::1',
  '3fff::1',
  '5f00::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fec0::1',
  'ff02::1',
]

/** Spellings of the loopback that URLs and resolvers understand. */
const SPELLINGS = [
  '127.1',
  '0x7f.1',
  '0x7f000001',
  '2130706433',
  '017700000001',
  '127.0.0.1.',
  '①②⑦.0.0.1',
  '127。0。0。1',
]

describe('a URL of a stranger', () => {
  test.each([...FORBIDDEN, ...SPELLINGS])('does not lead to %s', (address) => {
    const host = address.includes(':') ? `[${address}]` : address
    expect(faultOfUrl(`https://${host}/`), host).toBeDefined()
    expect(faultOfUrl(`https://${host}:8443/hook`), host).toBeDefined()
    expect(() => publicTarget(`https://${host}/`)).toThrow('URL')
  })

  test.each([
    'http://hooks.example.net/',
    'ftp://hooks.example.net/',
    'file:///etc/passwd',
    'gopher://hooks.example.net/',
    'javascript:alert(1)',
    'data:text/plain,x',
    'https://user:pass@hooks.example.net/',
    'https://@hooks.example.net:25/',
    'https://hooks.example.net:22/',
    'https://hooks.example.net:80/',
    'https://localhost/',
    'https://intranet/',
    'https://intranet./',
    'https://hooks.example.net/#x',
    'https://',
    'https:///x',
    'nonsense',
    '',
    `https://hooks.example.net/${'x'.repeat(3_000)}`,
  ])('is not %s', (url) => {
    expect(faultOfUrl(url)).toBeDefined()
  })

  test.each([
    'https://hooks.example.net/dns?key=1',
    'https://hooks.example.net:8443/',
    'https://8.8.8.8/',
    'https://[2606:4700::1]/',
    'https://xn--bcher-kva.example/',
  ])('is %s', (url) => {
    expect(faultOfUrl(url)).toBeUndefined()
    expect(publicTarget(url)).toEqual({ kind: 'webhook', target: new URL(url).href })
  })
})

describe('a request', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dslog-egress-'))
  let tls: { key: string; cert: string } | undefined
  let sink: WebhookSink
  let asked: string[]
  let addresses: string[]
  let egress: Egress

  beforeAll(() => {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const made = spawnSync('openssl', [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=hooks.example.net',
      '-addext',
      'subjectAltName=DNS:hooks.example.net',
      '-keyout',
      key,
      '-out',
      cert,
    ])
    if (made.status === 0) {
      tls = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
    } else console.log('skipped: no openssl to make a certificate with')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const lookup: LookupFunction = (hostname, options, callback) => {
    asked.push(hostname)
    const all = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    if (options.all === true) callback(null, all)
    else callback(null, all[0]!.address, all[0]!.family)
  }
  beforeEach(async () => {
    asked = []
    addresses = ['127.0.0.1']
    sink = await WebhookSink.start(tls)
  })
  afterEach(async () => {
    await egress.close()
    await sink.close()
  })
  const url = (): string => `https://hooks.example.net:${sink.port}/hook`
  const failure = (where: string): Promise<unknown> =>
    egress
      .post(where, MESSAGE, { signal: RUNNING, trusted: false })
      .catch((error: unknown) => error)

  test.each(FORBIDDEN)('does not go to a name at %s, alone or among others', async (address) => {
    egress = new Egress({ lookup })
    for (const all of [[address], ['8.8.8.8', address], [address, '2606:4700::1']]) {
      addresses = all
      const error = await failure(url())
      expect(error).toBeInstanceOf(EgressError)
      expect((error as EgressError).message).toContain('public internet')
    }
    expect(sink.hooks).toEqual([])
  })

  test('does not go by a literal address, which no lookup sees', async () => {
    egress = new Egress({ lookup })
    for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '0x7f.1']) {
      expect(await failure(`https://${host}:${sink.port}/hook`)).toMatchObject({ isRefused: true })
    }
    expect(asked).toEqual([])
    expect(sink.hooks).toEqual([])
  })

  test('asks for the name once, and goes to that address (rebinding)', async (context) => {
    if (tls === undefined) return context.skip()
    // The sink's address counts as public here; the one that the name has at a second look does not.
    const isSpecial = (address: string): boolean => address !== '127.0.0.1'
    egress = new Egress({ lookup, isSpecial, ca: tls.cert })
    const options = { signal: RUNNING, trusted: false }
    expect((await egress.post(url(), MESSAGE, options)).status).toBe(200)
    expect(asked).toEqual(['hooks.example.net'])
    // Each request looks again: a connection is not kept beyond what was looked up for it.
    addresses = ['169.254.169.254']
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await failure(url())).toBeInstanceOf(EgressError)
    expect(asked).toHaveLength(2)
    expect(sink.hooks).toHaveLength(1)
  })

  test('follows no redirect', async (context) => {
    if (tls === undefined) return context.skip()
    egress = new Egress({ lookup, isSpecial: () => false, ca: tls.cert })
    for (const status of [301, 302, 303, 307, 308]) {
      sink.answer = withStatus(status, { location: `https://hooks.example.net:${sink.port}/else` })
      const answer = await egress.post(url(), MESSAGE, { signal: RUNNING, trusted: false })
      expect(answer.status).toBe(status)
    }
    expect(sink.hooks.map(({ path }) => path)).toEqual(Array.from({ length: 5 }, () => '/hook'))
  })

  test('believes no certificate of another name, or of nobody', async (context) => {
    if (tls === undefined) return context.skip()
    egress = new Egress({ lookup, isSpecial: () => false })
    expect(await failure(url())).toBeInstanceOf(EgressError)
    await egress.close()
    egress = new Egress({ lookup, isSpecial: () => false, ca: tls.cert })
    expect(await failure(url().replace('hooks', 'others'))).toBeInstanceOf(EgressError)
    expect(sink.hooks).toEqual([])
  })
})

describe('a mail address', () => {
  test.each([
    'ops@example.net',
    'first.last+tag@sub.example.co.uk',
    "o'neil@example.net",
    'a@xn--bcher-kva.example',
  ])('is %s', (address) => {
    expect(domainOfAddress(address)).toBeDefined()
  })

  test.each([
    '',
    '@',
    'a@',
    '@b.example',
    'a@b',
    'a@@b.example',
    'a b@c.example',
    'a@b.example,c@d.example',
    'a@b.example\r\nBcc: c@d.example',
    'a@b.example\n',
    '"a b"@c.example',
    'a@[127.0.0.1]',
    'a@b..example',
    '.a@b.example',
    'a.@b.example',
    'a..b@c.example',
    '<a@b.example>',
    'Name <a@b.example>',
    'a@b.example?cc=c@d.example',
    'a@-b.example',
    'ü@b.example',
    'a@b.example\0',
    'a;b@c.example',
    'a(b)@c.example',
    `${'a'.repeat(65)}@b.example`,
    `a@${'b.'.repeat(130)}example`,
  ])('is not %j', (address) => {
    expect(domainOfAddress(address)).toBeUndefined()
    expect(() => publicTarget(address)).toThrow('mail address')
  })

  test('lies under a name or not', () => {
    const name = nameFromText('example.net.')
    expect(isMailboxUnder('a@EXAMPLE.net', name)).toBe(true)
    expect(isMailboxUnder('a@mail.example.net', name)).toBe(true)
    expect(isMailboxUnder('a@notexample.net', name)).toBe(false)
    expect(isMailboxUnder('a@example.net.org', name)).toBe(false)
    expect(isMailboxUnder('a@example.net', nameFromText('.'))).toBe(false)
  })

  test('counts once, with and without a tag', () => {
    const keys = ['a@example.net', 'A+1@Example.NET', 'mailto:a+2@example.net'].map((text) =>
      mailboxKey(publicTarget(text)),
    )
    expect(new Set(keys).size).toBe(1)
    expect(mailboxKey(publicTarget('https://a.example.net/1?x=1'))).toBe(
      mailboxKey(publicTarget('https://a.example.net/1?x=2')),
    )
  })
})

describe('strangers', () => {
  test.each([
    'hook:/bin/sh',
    'stdout:',
    'ntfy:https://ntfy.sh/x',
    'file:/etc/passwd',
    '/bin/sh',
    'http://hooks.example.net/',
  ])('cannot have %s for a channel', (text) => {
    expect(() => publicTarget(text)).toThrow(/channel is|webhook has/)
  })

  test('watch subtrees at and below what can be registered', () => {
    const may = (text: string): boolean => maySubtree(nameFromText(text))
    expect(
      [
        'example.com',
        'www.example.com',
        'example.co.uk',
        '_dmarc.example.com',
        'example.github.io',
        'example.test',
      ].map(may),
    ).toEqual(Array.from({ length: 6 }, () => true))
    expect(['com', 'co.uk', '.', 'uk', 'xn--p1ai', 'kawasaki.jp'].map(may)).toEqual(
      Array.from({ length: 6 }, () => false),
    )
  })
})

describe('an operator', () => {
  test('has all channels', () => {
    expect(operatorTarget('mailto:a@b.example')).toEqual({ kind: 'email', target: 'a@b.example' })
    expect(operatorTarget('http://127.0.0.1:9000/x')).toEqual({
      kind: 'webhook',
      target: 'http://127.0.0.1:9000/x',
    })
    expect(operatorTarget('hook:/etc/dslog/alert')).toEqual({
      kind: 'hook',
      target: '/etc/dslog/alert',
    })
    expect(operatorTarget('ntfy:https://ntfy.example/t')).toEqual({
      kind: 'ntfy',
      target: 'https://ntfy.example/t',
    })
    expect(operatorTarget('stdout:')).toEqual({ kind: 'stdout', target: '' })
    for (const text of ['hook:alert', 'ntfy:x', 'a@b.example', 'gopher://x', '']) {
      expect(() => operatorTarget(text), text).toThrow(/is no |absolute path/)
    }
  })
})
