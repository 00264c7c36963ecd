/** What strangers write into names, notes and addresses, and how often they make us write: mail, pages, feeds. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
} from 'vitest'
import { Webhook } from 'standardwebhooks'
import { type Name, nameFromText, nameToText } from '@dslog/dnssec/name'
import { DAY, HOUR } from '@dslog/schema/time'
import { raiseAlerts } from '../src/alert.ts'
import { formatSecret } from '../src/channel/webhook.ts'
import { feedRoutes } from '../src/route/feeds.ts'
import { Changes } from '../src/changes.ts'
import { MonitorStore } from '../src/store.ts'
import { draft, ENTRY } from './draft.ts'
import { OwnerHttp, OwnerKey } from './owner-http.ts'
import { addOwners } from './owners.ts'
import { Post } from './post.ts'
import { type Place, quickPlace } from './world.ts'

let home: Place
beforeAll(async () => {
  home = await quickPlace()
})
afterEach(() => home.empty())
afterAll(() => home.close())

const SCRIPT = '<script>alert(1)</script>'
/** Names are any bytes. */
const NAMES = [
  `${SCRIPT.replaceAll('/', '\\047')}.example.fi.`,
  '"onmouseover=alert(1)x=".example.fi.',
  "'><img\\032src=x\\032onerror=alert(1)>.example.fi.",
  ']]>&lt\\;x.example.fi.',
  '\\013\\010Bcc:\\032evil\\@example\\.org.example.fi.',
  '\\226\\128\\174gpj\\.evil.example.fi.',
  '\\000\\255.example.fi.',
  '<%=\\0321+1\\032%>.example.fi.',
]

async function raise(
  post: Post,
  name: Name,
  why = 'x',
  subscription = 'one',
  index = 1,
  at = 0,
): Promise<void> {
  const drafted = draft({ subscription, name, entry: { ...ENTRY, index }, why, at })
  await home.db.transaction((trx) => raiseAlerts(trx, [drafted], post.clock.now()))
}

describe('a mail', () => {
  let post: Post
  beforeEach(async () => {
    post = await Post.open(home.db, { proofs: async () => Buffer.from('c2sp.org/tlog-proof@v1\n') })
  })
  afterEach(() => post.close())

  test.each(NAMES)('about %s has no header and no tag of it', async (text) => {
    const name = nameFromText(text)
    await addOwners(home.db, [{ id: 'one', name: text, kind: 'email', target: 'ops@example.net' }])
    await raise(post, name, `${nameToText(name)} ${SCRIPT}\r\nBcc: evil@example.org`)
    await post.deliver()
    const [mail, ...more] = post.smtp.mails
    expect(more).toEqual([])
    expect(mail!.to).toEqual(['ops@example.net'])
    expect([...mail!.headers.keys()]).not.toContain('bcc')
    const head = mail!.raw.slice(0, mail!.raw.indexOf('\r\n\r\n'))
    expect(head).not.toMatch(/^bcc/im)
    const [plain, html, proof] = mail!.parts
    expect([plain!.type, html!.type, proof!.filename]).toEqual([
      'text/plain',
      'text/html',
      'entry-1.tlog-proof',
    ])
    expect(html!.content).not.toMatch(/<script|<img|<[^a-z/!]|onmouseover="|onerror="/)
    expect(plain!.content).not.toContain('\u202e')
    expect(plain!.content).not.toContain('\0')
  })

  test('comes of an entry that names a time no Date can hold', async () => {
    await addOwners(home.db, [
      { id: 'one', name: 'example.fi.', kind: 'email', target: 'ops@example.net' },
    ])
    await raise(post, nameFromText('example.fi.'), 'x', 'one', 1, Number.MAX_SAFE_INTEGER)
    await post.deliver()
    expect(post.smtp.mails).toHaveLength(1)
    expect(post.smtp.mails[0]!.parts[0]!.content).toContain('+275760-09-13')
  })

  test('says what changed, why, and what to do', async () => {
    await addOwners(home.db, [
      { id: 'one', name: 'example.fi.', kind: 'email', target: 'ops@example.net' },
    ])
    await raise(
      post,
      nameFromText('example.fi.'),
      'The new DS matches no key that the name serves.',
    )
    await post.deliver()
    const { headers, parts } = post.smtp.mails[0]!
    const text = parts[0]!.content.replaceAll('\r\n', '\n')
    expect(headers.get('subject')).toBe('HIGH: example.fi. has a DS that matches no key it serves')
    expect(text).toMatch(/^HIGH: example\.fi\. has a DS/)
    expect(text).toMatch(/\n {2}- 1 13 2 [0-9A-F]{64}\n/)
    expect(text).toMatch(/\n {2}\+ 2 13 2 [0-9A-F]{64}\n/)
    expect(text).toContain('Entry:  1 of log.example')
    expect(text).toContain('Why this level\n  The new DS matches no key')
    expect(text).toContain('What to do in the next hour\n  1. ')
    expect(text).toContain('accounturi')
    expect(text).toContain('dslog verify entry-1.tlog-proof')
    expect(headers.get('auto-submitted')).toBe('auto-generated')
    expect(headers.get('message-id')).toMatch(
      /^<alert_[0-9a-f]{32}_1\.channel-one@monitor\.example>$/,
    )
  })
})

describe('a page', () => {
  let http: OwnerHttp
  beforeEach(async () => {
    http = await OwnerHttp.open(home.db)
  })
  afterEach(() => http.close())

  const isClean = (html: string): void => {
    expect(html).not.toMatch(/<script|<img|onerror="|onmouseover="/)
    expect(html).not.toContain(SCRIPT)
  }

  test('shows what strangers wrote as text', async () => {
    const { id, token } = await http.subscribe()
    for (const [i, text] of NAMES.entries()) {
      await raise(http.post, nameFromText(text), SCRIPT, id, i)
    }
    const now = http.post.clock.now()
    const body = { begins_at: now, ends_at: now + DAY, note: `${SCRIPT}"'` }
    await http.ask('POST', `/v1/subscriptions/${id}/windows`, { token, body })
    const page = await http.ask('POST', `/manage/${id}`, { form: { token } })
    expect(page.status).toBe(200)
    expect(page.text).toContain('&lt;script&gt;')
    isClean(page.text)
  })

  test.each([
    [
      'GET',
      `/confirm/${encodeURIComponent(`"><img src=x>`)}?token=${encodeURIComponent('"><script>')}`,
      undefined,
    ],
    ['GET', `/manage/${encodeURIComponent(`"><img src=x>`)}`, undefined],
    ['POST', '/open', { id: '"><script>alert(1)</script>' }],
    ['POST', '/subscribe', { name: SCRIPT, channel: SCRIPT }],
    ['POST', '/subscribe', { name: 'example.fi', channel: `https://x.example/"><script>` }],
    ['POST', '/confirm/x', { token: SCRIPT }],
    ['GET', `/ack/x?token=${encodeURIComponent(SCRIPT)}`, undefined],
  ])('%s %s gives nothing back that runs', async (method, path, form) => {
    const page = await http.ask(method, path, form === undefined ? {} : { form })
    isClean(page.text)
    expect(page.headers['content-security-policy']).toMatch(/default-src 'none'|default-src 'self'/)
  })

  test('keeps what was entered, and takes a name as people type it', async () => {
    const subscribe = (name: string, channel: string) =>
      http.ask('POST', '/subscribe', { form: { name, channel } })
    const refused = await subscribe('no domain!', 'a@b.example')
    expect(refused.status).toBe(400)
    expect(refused.text).toContain('not a domain name: ')
    expect(refused.text).toContain('value="no domain!"')
    expect(refused.text).toContain('value="a@b.example"')
    expect((await subscribe('bücher.example', 'a@b.example')).status).toBe(202)
  })

  test('tells no proxy and no other site', async () => {
    const page = await http.ask('GET', '/')
    expect(page.text).not.toMatch(/https?:\/\/\w|\bsrc=/)
    expect(page.headers).toMatchObject({
      'x-frame-options': 'SAMEORIGIN',
      'x-content-type-options': 'nosniff',
    })
  })

  test('takes signed pins, announcements and channels', async () => {
    const { id, token } = await http.subscribe()
    const form = (path: string, fields: Record<string, string>) =>
      http.ask('POST', `/manage/${id}${path}`, { form: { token, ...fields } })
    const statement = JSON.stringify(
      new OwnerKey().state({ seq: 1, notAfter: http.post.clock.now() + DAY }),
    )
    expect((await form('/pins', { statement: 'x' })).status).toBe(400)
    expect((await form('/pins', { statement: '{}' })).status).toBe(400)
    expect((await form('/pins', { statement })).text).toContain('Taken.')
    expect((await form('/window', { begins: 'x', ends: 'y' })).status).toBe(400)
    const ends = new Date(http.post.clock.now() + DAY).toISOString().slice(0, 16)
    expect(
      (
        await form('/window', {
          begins: ends.replace(/\d\d:\d\d$/, '00:00'),
          ends: ends.replace(/\d\d:\d\d$/, '23:59'),
          unsigned: 'yes',
        })
      ).text,
    ).toContain('Announced')
    expect((await form('/channel', { channel: 'https://10.0.0.1/' })).status).toBe(400)
    expect((await form('/channel', { channel: 'https://hooks.example.net/' })).text).toContain(
      'whsec_',
    )
    expect((await form('/test', {})).text).toContain('on its way')
    expect((await form('/test', {})).status).toBe(429)
    expect((await form('/end', {})).status).toBe(400)
    expect((await form('/end', { sure: 'yes' })).text).toContain('ended')
  })
})

describe('a feed', () => {
  test('has what strangers wrote as text, twice over', async () => {
    const http = await OwnerHttp.open(home.db)
    onTestFinished(() => http.close())
    await MonitorStore.enter(home.db, 'log.example/<x>')
    feedRoutes(
      http.app,
      { db: home.db, logs: [], changes: new Changes(home.db), clock: http.post.clock.now },
      'https://monitor.example',
    )
    const rows = NAMES.map((text, idx) => ({
      log: 1,
      idx,
      name: nameFromText(text),
      zone: nameFromText('fi.'),
      // The last is of a log that lies: no Date can hold it.
      time: idx < NAMES.length - 1 ? idx : Number.MAX_SAFE_INTEGER,
      present: true,
      out_of_order: false,
      historical: false,
      ds: Uint8Array.of(0, 0),
    }))
    await home.db.kysely.insertInto('change').values(rows).execute()
    const all = await http.ask('GET', '/feeds/all.atom')
    expect(all.status).toBe(200)
    expect(all.headers['content-type']).toBe('application/atom+xml; charset=utf-8')
    expect(all.text.match(/<entry>/g)).toHaveLength(NAMES.length)
    expect(all.text).not.toMatch(/<script|<img/)
    // No CDATA section ends before its time.
    for (const [, inside] of all.text.matchAll(/<!\[CDATA\[(.*?)\]\]>/gs)) {
      expect(inside).not.toMatch(/[<>]/)
    }
    const one = await http.ask('GET', `/feeds/${encodeURIComponent(NAMES[0]!)}.atom`)
    expect(one.text.match(/<entry>/g)).toHaveLength(1)
    expect((await http.ask('GET', '/feeds/a..b.atom')).status).toBe(400)
    expect((await http.ask('GET', '/feeds/all.rss')).status).toBe(404)
  })
})

describe('mail bombs', () => {
  let http: OwnerHttp
  beforeEach(async () => {
    http = await OwnerHttp.open(home.db)
  })
  afterEach(() => http.close())

  const subscribe = (channel: string, ip: string, name = 'example.fi') =>
    http.ask('POST', '/v1/subscriptions', { ip, body: { name, channel } })

  test('three requests to confirm go to one mailbox a day, whoever asks', async () => {
    const statuses: number[] = []
    for (let i = 0; i < 6; i++) {
      const { status } = await subscribe(`Victim+${i}@example.net`, `198.51.100.${i}`, `n${i}.fi`)
      statuses.push(status)
    }
    expect(statuses).toEqual([202, 202, 202, 429, 429, 429])
    await http.post.deliver()
    expect(http.post.smtp.mails).toHaveLength(3)
    http.post.clock.advance(DAY + 1)
    expect((await subscribe('victim@example.net', '198.51.100.9')).status).toBe(202)
  })

  test('one source causes twenty an hour, a /64 being one', async () => {
    const statuses: number[] = []
    for (let i = 0; i < 22; i++) {
      statuses.push((await subscribe(`u${i}@example.net`, `2001:db8:1:1::${i + 1}`)).status)
    }
    expect(statuses.filter((status) => status === 202)).toHaveLength(20)
    const limited = await subscribe('more@example.net', '2001:db8:1:1::ffff')
    expect(limited.status).toBe(429)
    expect(limited.headers['retry-after']).toBe('3600')
    expect((await subscribe('other@example.net', '2001:db8:1:2::1')).status).toBe(202)
    http.post.clock.advance(HOUR + 1)
    expect((await subscribe('later@example.net', '2001:db8:1:1::1')).status).toBe(202)
  })

  test('many requests at the same moment count as many', async () => {
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, i) => subscribe('victim@example.net', `198.51.100.${i}`)),
    )
    expect(all.filter(({ status }) => status === 202)).toHaveLength(3)
  })
})

describe('a webhook', () => {
  test('is confirmed by its challenge alone, and signed as the standard says', async () => {
    const post = await Post.open(home.db)
    onTestFinished(() => post.close())
    const name = nameFromText('example.fi.')
    post.web.answer = (_, response) => response.end('ok')
    const { id, secret } = await post.subscriptions.subscribe({
      name,
      target: { kind: 'webhook', target: post.web.url },
      level: 'INFO',
      source: 'x',
    })
    await post.deliver()
    const state = async () =>
      (await home.db.kysely.selectFrom('channel').select('state').executeTakeFirstOrThrow()).state
    expect(await state()).toBe('pending')
    post.web.answer = (_, response) => response.end('{"challenge":"guess"}')
    await post.pass(HOUR)
    expect(await state()).toBe('pending')
    post.web.answer = ({ body }, response) =>
      response.end((JSON.parse(body) as { data: { challenge: string } }).data.challenge)
    await post.pass(HOUR)
    expect(await state()).toBe('active')
    await raise(post, name, 'x', id)
    await post.deliver()
    const webhook = new Webhook(formatSecret(secret!))
    const { body, headers } = post.web.hooks.at(-1)!
    const now = Math.floor(post.clock.now() / 1000)
    expect(headers['webhook-timestamp']).toBe(String(now))
    const signature = webhook.sign(String(headers['webhook-id']), new Date(post.clock.now()), body)
    expect(headers['webhook-signature']).toBe(signature)
  })
})

describe('a hook', () => {
  test('is given its message on standard input, and nothing of ours in its environment', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dslog-hook-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const [script, out] = [join(folder, 'hook'), join(folder, 'out')]
    writeFileSync(script, `#!/bin/sh\nenv > ${out}.env; cat > ${out}; test ! -e ${out}.fail`, {
      mode: 0o755,
    })
    const post = await Post.open(home.db)
    onTestFinished(() => post.close())
    const text = '$(touch\\032x).example.fi.'
    await addOwners(home.db, [{ id: 'one', name: text, kind: 'hook', target: script }])
    writeFileSync(`${out}.fail`, '')
    await raise(post, nameFromText(text))
    await post.deliver()
    const states = async () =>
      (await home.db.kysely.selectFrom('outbox').select('state').execute()).map(
        ({ state }) => state,
      )
    expect(await states()).toEqual(['waiting'])
    rmSync(`${out}.fail`)
    await post.pass(HOUR)
    expect(await states()).toEqual(['sent'])
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({
      type: 'alert.raised',
      data: { index: 1 },
    })
    const env = readFileSync(`${out}.env`, 'utf8')
    expect(env).toContain('DSLOG_LEVEL=HIGH\n')
    expect(env).toContain('DSLOG_RULE=R6\n')
    expect(env).not.toContain('HOME=')
  })
})
