/** Nobody gets in: tokens, signatures, replays, links that are only fetched, forms from elsewhere. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { AlertRule } from '@dslog/schema/alert'
import { DAY, HOUR } from '@dslog/schema/time'
import { newToken } from '@dslog/service/http/bearer'
import { raiseAlerts } from '../src/alert.ts'
import { forget } from '../src/ending.ts'
import { draft, ENTRY } from './draft.ts'
import { OwnerHttp, OwnerKey, PIN } from './owner-http.ts'
import { type Place, quickPlace } from './world.ts'

let home: Place
let http: OwnerHttp
beforeAll(async () => {
  home = await quickPlace()
})
beforeEach(async () => {
  http = await OwnerHttp.open(home.db)
})
afterEach(async () => {
  await http.close()
  await home.empty()
})
afterAll(() => home.close())

async function raise(subscription: string, index = 1, rule: AlertRule = 'R6'): Promise<string> {
  const drafted = draft({ subscription, rule, entry: { ...ENTRY, index } })
  const [alert] = await home.db.transaction((trx) =>
    raiseAlerts(trx, [drafted], http.post.clock.now()),
  )
  return alert!.id
}

const pinSets = () => home.db.kysely.selectFrom('pin_set').selectAll().orderBy('id').execute()
const subjects = (): string[] => http.post.smtp.mails.map(({ headers }) => headers.get('subject')!)

describe('subscribing', () => {
  test('tells nothing before the mailbox has agreed, and hands the token to whoever holds it', async () => {
    const asked = await http.ask('POST', '/v1/subscriptions', {
      body: { name: 'Example.FI', channel: 'ops@EXAMPLE.net', levels: ['HIGH', 'CRITICAL'] },
    })
    expect(asked.status).toBe(202)
    expect(asked.json).toEqual({
      id: expect.stringMatching(/^sub_[0-9a-f]{32}$/) as string,
      channel: expect.stringMatching(/^ch_[0-9a-f]{32}$/) as string,
      state: 'pending',
      name: 'example.fi.',
      subtree: true,
      warnings: [],
    })
    const id = String(asked.json['id'])
    await raise(id)
    await http.post.deliver()
    expect(subjects()).toEqual(['Please confirm: watch example.fi.'])

    // Whoever asked has nothing that opens it.
    expect((await http.ask('GET', `/v1/subscriptions/${id}`)).status).toBe(401)
    expect((await http.ask('GET', `/v1/subscriptions/${id}`, { token: newToken() })).status).toBe(
      403,
    )
    const link = http.link('confirm')
    const token = new URL(`https://x${link}`).searchParams.get('token')!
    const wrong = { body: { token: newToken() } }
    expect((await http.ask('POST', `/v1/subscriptions/${id}/confirm`, wrong)).status).toBe(403)
    const confirmed = await http.ask('POST', `/v1/subscriptions/${id}/confirm`, { body: { token } })
    expect(confirmed.json).toMatchObject({ id, state: 'active' })
    // Once only.
    expect(
      (await http.ask('POST', `/v1/subscriptions/${id}/confirm`, { body: { token } })).status,
    ).toBe(403)
    const view = await http.ask('GET', `/v1/subscriptions/${id}`, {
      token: String(confirmed.json['token']),
    })
    expect(view.json).toMatchObject({
      name: 'example.fi.',
      channels: [
        { kind: 'email', target: 'ops@example.net', levels: ['HIGH', 'CRITICAL'], state: 'active' },
      ],
      pins: null,
    })
    expect(view.headers['cache-control']).toBe('no-store')
    await http.post.deliver()
    expect(subjects().at(-1)).toBe('NOTICE: example.fi. is being watched: what the log has of it')
  })

  test('a link that is fetched does nothing; its button does', async () => {
    const asked = await http.ask('POST', '/v1/subscriptions', {
      body: { name: 'example.fi', channel: 'ops@example.net' },
    })
    await http.post.deliver()
    const link = http.link('confirm')
    for (const method of ['GET', 'HEAD', 'OPTIONS']) await http.ask(method, link)
    const active = async () =>
      (await home.db.kysely.selectFrom('subscription').select('active').executeTakeFirstOrThrow())
        .active
    expect(await active()).toBe(false)
    const page = await http.ask('GET', link)
    expect(page.headers['content-security-policy']).toContain("default-src 'none'")
    expect(page.headers['cache-control']).toBe('no-store')
    // With `no-referrer`, browsers send `Origin: null` with a form of our own.
    expect(page.headers['referrer-policy']).toBe('same-origin')
    expect(page.headers['access-control-allow-origin']).toBeUndefined()
    const [, action = '', token = ''] = /action="([^"]+)".*name="token" value="([^"]+)"/s.exec(
      page.text,
    )!
    expect((await http.ask('POST', action, { form: { token: newToken() } })).status).toBe(403)
    expect(await active()).toBe(false)
    const done = await http.ask('POST', action, { form: { token } })
    expect(done.status).toBe(200)
    expect(await active()).toBe(true)
    const manage = /<code>([A-Za-z0-9_-]{43})<\/code>/.exec(done.text)![1]!
    expect(
      (await http.ask('GET', `/v1/subscriptions/${String(asked.json['id'])}`, { token: manage }))
        .status,
    ).toBe(200)
    expect((await http.ask('POST', action, { form: { token } })).status).toBe(403)
  })

  test('after two days it is too late, and forgotten', async () => {
    const asked = await http.ask('POST', '/v1/subscriptions', {
      body: { name: 'example.fi', channel: 'ops@example.net' },
    })
    await http.post.deliver()
    const token = new URL(`https://x${http.link('confirm')}`).searchParams.get('token')
    http.post.clock.advance(2 * DAY + 1)
    const late = await http.ask('POST', `/v1/subscriptions/${String(asked.json['id'])}/confirm`, {
      body: { token },
    })
    expect(late.status).toBe(410)
    await forget(home.db, http.post.clock.now())
    expect(await home.db.kysely.selectFrom('subscription').selectAll().execute()).toEqual([])
  })

  test('again with the same mailbox gives a new token, ends the old, and is told', async () => {
    const first = await http.subscribe()
    const second = await http.subscribe()
    expect(second.id).toBe(first.id)
    expect(
      (await http.ask('GET', `/v1/subscriptions/${first.id}`, { token: first.token })).status,
    ).toBe(403)
    expect(
      (await http.ask('GET', `/v1/subscriptions/${first.id}`, { token: second.token })).status,
    ).toBe(200)
    expect(subjects().at(-1)).toBe('WARNING: example.fi. has a new token')
  })

  test.each(['fi', 'co.uk', '@'])('of all below %s is for nobody', async (name) => {
    const body = { name, channel: 'ops@example.net', subtree: true }
    expect((await http.ask('POST', '/v1/subscriptions', { body })).status).toBe(400)
    const alone = await http.ask('POST', '/v1/subscriptions', { body: { ...body, subtree: false } })
    expect(alone.json).toMatchObject({ subtree: false })
  })

  test('a mailbox under the watched name is warned of', async () => {
    const asked = await http.ask('POST', '/v1/subscriptions', {
      body: { name: 'example.fi', channel: 'me@mail.example.fi' },
    })
    expect(asked.json['warnings']).toEqual([expect.stringContaining('second channel')])
    await http.post.deliver()
    expect(http.post.smtp.mails[0]!.parts[0]!.content).toContain('this mailbox lies under the name')
  })
})

describe('a token', () => {
  test('opens its own subscription alone, everywhere', async () => {
    const mine = await http.subscribe('mine.fi', 'me@example.net')
    const theirs = await http.subscribe('theirs.fi', 'them@example.net')
    const alert = await raise(theirs.id)
    const view = await http.ask('GET', `/v1/subscriptions/${theirs.id}`, { token: theirs.token })
    const channel = (view.json['channels'] as { id: string }[])[0]!.id
    const now = http.post.clock.now()
    const statement = new OwnerKey().state({ seq: 1, notAfter: now + DAY, name: 'theirs.fi' })
    const at = `/v1/subscriptions/${theirs.id}`
    const attacks: [string, string, unknown?][] = [
      ['GET', at],
      ['PATCH', at, { levels: ['CRITICAL'] }],
      ['DELETE', at],
      ['PUT', `${at}/pins`, statement],
      ['POST', `${at}/pins/confirm`, { token: newToken() }],
      ['POST', `${at}/windows`, { begins_at: now, ends_at: now + DAY, unsigned: true }],
      ['POST', `${at}/test`],
      ['GET', `${at}/alerts`],
      ['POST', `${at}/channels`, { channel: 'evil@example.org' }],
      ['PATCH', `${at}/channels/${channel}`, { levels: ['CRITICAL'] }],
      ['DELETE', `${at}/channels/${channel}`],
      ['POST', `${at}/channels/${channel}/resend`],
      ['POST', `/v1/alerts/${alert}/ack`],
    ]
    const before = http.post.smtp.mails.length
    for (const [method, path, body] of attacks) {
      const wrong = ['', 'x', mine.token, newToken(), `${theirs.token}A`, theirs.token.slice(1)]
      for (const token of wrong) {
        const { status } = await http.ask(method, path, { body, ...(token !== '' && { token }) })
        expect([401, 403], `${method} ${path} with ${token}`).toContain(status)
      }
    }
    for (const path of ['', '/test', '/pins', '/window', '/ack', '/channel', '/end']) {
      const form = { token: mine.token, sure: 'yes', alert, statement: JSON.stringify(statement) }
      expect((await http.ask('POST', `/manage/${theirs.id}${path}`, { form })).status).toBe(403)
    }
    // Mine is as it was, and may not touch theirs from its own page either.
    const form = { token: mine.token, alert }
    expect((await http.ask('POST', `/manage/${mine.id}/ack`, { form })).status).toBe(400)
    await http.post.deliver()
    expect(http.post.smtp.mails.length).toBe(before + 1)
    expect(await pinSets()).toEqual([])
    expect(await home.db.kysely.selectFrom('change_window').selectAll().execute()).toEqual([])
    const row = await home.db.kysely
      .selectFrom('alert')
      .select('acknowledged_at')
      .where('id', '=', alert)
      .executeTakeFirstOrThrow()
    expect(row.acknowledged_at).toBeNull()
  })

  test('reaches no channel of another subscription through its own, nor one that is none', async () => {
    const mine = await http.subscribe('mine.fi', 'me@example.net')
    const theirs = await http.subscribe('theirs.fi', 'them@example.net')
    const view = await http.ask('GET', `/v1/subscriptions/${theirs.id}`, { token: theirs.token })
    const [channel] = view.json['channels'] as { id: string }[]
    for (const id of [channel!.id, 'ch_00']) {
      const at = `/v1/subscriptions/${mine.id}/channels/${id}`
      for (const [method, path, body] of [
        ['PATCH', at, { levels: ['CRITICAL'] }],
        ['DELETE', at],
        ['POST', `${at}/resend`],
      ] as const) {
        const { json, status } = await http.ask(method, path, { token: mine.token, body })
        expect(status, `${method} ${path}`).toBe(400)
        expect(json['detail']).toBe('the subscription has no such channel')
      }
    }
    const after = await http.ask('GET', `/v1/subscriptions/${theirs.id}`, { token: theirs.token })
    expect(after.json).toEqual(view.json)
  })

  test('is the same mistake for a wrong token and a wrong id', async () => {
    const { id } = await http.subscribe()
    const token = newToken()
    const wrongToken = await http.ask('GET', `/v1/subscriptions/${id}`, { token })
    const wrongId = await http.ask('GET', '/v1/subscriptions/sub_00', { token })
    expect(wrongId.json).toEqual(wrongToken.json)
    const noAlert = await http.ask('POST', '/v1/alerts/alert_00/ack', { token })
    expect(noAlert.json).toEqual(wrongToken.json)
  })

  test('is nowhere in the database, once it was sent', async () => {
    const { token } = await http.subscribe()
    for (const table of ['subscription', 'channel', 'outbox'] as const) {
      const rows = JSON.stringify(await home.db.kysely.selectFrom(table).selectAll().execute())
      expect(rows).not.toContain(token)
      expect(rows).not.toContain('"token"')
    }
  })

  test('ends with its subscription, and the owner hears so', async () => {
    const { id, token } = await http.subscribe()
    expect((await http.ask('DELETE', `/v1/subscriptions/${id}`, { token })).status).toBe(204)
    expect((await http.ask('GET', `/v1/subscriptions/${id}`, { token })).status).toBe(403)
    await http.post.deliver()
    expect(subjects().at(-1)).toBe('example.fi. is not watched any more')
    await forget(home.db, http.post.clock.now())
    expect(await home.db.kysely.selectFrom('subscription').selectAll().execute()).toEqual([])
  })
})

describe('pins', () => {
  test('come with the signature of the owner, count after a day, and are told', async () => {
    const { id, token } = await http.subscribe()
    const key = new OwnerKey()
    const now = http.post.clock.now()
    const notAfter = now + 30 * DAY
    const put = (body: object) => http.ask('PUT', `/v1/subscriptions/${id}/pins`, { token, body })

    const good = key.state({ seq: 5, notAfter })
    const foreign = new OwnerKey().state({ seq: 5, notAfter })
    for (const forged of [
      { ...good, signature: foreign.signature },
      { ...good, owner_key: foreign.owner_key },
      { ...good, seq: 6 },
      { ...good, not_after: notAfter + 1 },
      { ...good, pins: [] },
      { ...good, pins: [PIN.replace('4711', '4712')] },
      key.state({ seq: 5, notAfter, name: 'other.fi' }),
      key.state({ seq: 5, notAfter, origin: 'other-monitor.example' }),
    ]) {
      expect((await put(forged)).status).toBe(403)
    }
    expect((await put(key.state({ seq: 5, notAfter: now }))).status).toBe(400)
    expect((await put({ ...good, signature: 'AAAA' })).status).toBe(400)
    expect((await put({ ...good, pins: ['nonsense'] })).status).toBe(400)
    expect(await pinSets()).toEqual([])

    const taken = await put(good)
    expect(taken.status).toBe(202)
    expect(taken.json).toEqual({ effective_at: now + DAY })
    await http.post.deliver()
    expect(subjects().at(-1)).toBe('WARNING: example.fi. has other pins')
    const view = async () => (await http.ask('GET', `/v1/subscriptions/${id}`, { token })).json
    expect(await view()).toMatchObject({ pins: null, coming_pins: { seq: 5, pins: [PIN] } })
    http.post.clock.advance(DAY)
    expect(await view()).toMatchObject({ pins: { seq: 5, pins: [PIN] }, coming_pins: null })

    // Played again, older, or of another key: with the right token.
    expect((await put(good)).status).toBe(409)
    expect((await put(key.state({ seq: 4, notAfter }))).status).toBe(409)
    expect((await put(new OwnerKey().state({ seq: 9, notAfter, pins: [] }))).status).toBe(403)
    expect((await put(key.state({ seq: 6, notAfter, pins: [] }))).status).toBe(202)
    expect(await pinSets()).toHaveLength(2)
  })

  test('are confirmed at once over a second channel, never over that of the token', async () => {
    const { id, token } = await http.subscribe()
    const added = await http.ask('POST', `/v1/subscriptions/${id}/channels`, {
      token,
      body: { channel: 'second@example.org' },
    })
    await http.post.deliver()
    const confirm = new URL(`https://x${http.link('confirm')}`).searchParams.get('token')
    await http.ask('POST', `/v1/subscriptions/${id}/confirm`, { body: { token: confirm } })
    expect(added.status).toBe(202)
    const now = http.post.clock.now()
    const key = new OwnerKey()
    const body = key.state({ seq: 1, notAfter: now + 30 * DAY })
    await http.ask('PUT', `/v1/subscriptions/${id}/pins`, { token, body })
    http.post.smtp.mails.length = 0
    await http.post.deliver()
    const asking = http.post.smtp.mails.filter(({ headers }) =>
      headers.get('subject')!.startsWith('Please confirm'),
    )
    expect(asking.map(({ to }) => to)).toEqual([['second@example.org']])
    const link = /(\/confirm-pins\/\S+)/.exec(asking[0]!.parts[0]!.content)![1]!
    await http.ask('GET', link)
    expect((await pinSets())[0]!.effective_at).toBe(now + DAY)
    const wrong = { form: { token: newToken() } }
    expect((await http.ask('POST', link.replace(/\?.*/, ''), wrong)).status).toBe(403)
    http.post.clock.advance(HOUR)
    expect((await http.ask('POST', link, { form: {} })).status).toBe(200)
    expect((await pinSets())[0]!.effective_at).toBe(now + HOUR)
    // The confirmation of these pins confirms no later ones.
    await http.ask('PUT', `/v1/subscriptions/${id}/pins`, {
      token,
      body: key.state({ seq: 2, notAfter: now + 30 * DAY, pins: [] }),
    })
    expect((await http.ask('POST', link, { form: {} })).status).toBe(403)
  })
})

describe('an acknowledgement', () => {
  test('by a link does nothing when fetched, pins where there were no pins, and never over pins', async () => {
    const { id, token } = await http.subscribe()
    await raise(id, 1)
    await http.post.deliver()
    const link = http.link('ack')
    const page = await http.ask('GET', link)
    expect(page.text).toContain('That was me')
    expect(await pinSets()).toEqual([])
    expect((await http.ask('POST', link, { form: { token: newToken() } })).status).toBe(403)
    const other = await raise(id, 2)
    // The token of one alert is none for another.
    const stolen = link.replace(/alert_[0-9a-f]+/, other)
    expect((await http.ask('POST', stolen)).status).toBe(403)
    expect((await http.ask('POST', link, { form: {} })).status).toBe(200)
    expect(await pinSets()).toMatchObject([
      { seq: 0, owner_key: null, effective_at: http.post.clock.now() + DAY },
    ])
    const again = await http.ask('POST', `/v1/alerts/${other}/ack`, { token })
    expect(again.json).toEqual({ id: other, pinned: false })
    expect(await pinSets()).toHaveLength(1)
    // An owner's statement takes the place of what a link has pinned.
    const body = new OwnerKey().state({ seq: 1, notAfter: http.post.clock.now() + 30 * DAY })
    expect((await http.ask('PUT', `/v1/subscriptions/${id}/pins`, { token, body })).status).toBe(
      202,
    )
  })

  test('of the past of a name that is newly watched is no claim, and pins nothing', async () => {
    const { id, token } = await http.subscribe()
    await raise(id, 1, 'history')
    await http.post.deliver()
    const text = http.post.smtp.mails.at(-1)!.parts[0]!.content
    expect(text).toContain('To say that you have seen this:')
    expect(text).not.toContain('Was this you?')
    const asked = await http.ask('GET', http.link('ack'))
    const managed = await http.ask('POST', `/manage/${id}`, { form: { token } })
    for (const page of [asked, managed]) {
      expect(page.text).toContain('I have seen this')
      expect(page.text).not.toContain('That was me')
    }
    expect((await http.ask('POST', http.link('ack'), { form: {} })).status).toBe(200)
    expect(await pinSets()).toEqual([])
  })
})

describe('unsubscribing', () => {
  test('is one click of a mail program (RFC 8058), and none of a scanner', async () => {
    await http.subscribe()
    const { headers } = http.post.smtp.mails.at(-1)!
    expect(headers.get('list-unsubscribe-post')).toBe('List-Unsubscribe=One-Click')
    const url = /^<https:\/\/[^/]+(\/unsubscribe\/[^>]+)>$/.exec(
      headers.get('list-unsubscribe')!,
    )![1]!
    await http.ask('GET', url)
    const states = async () =>
      (await home.db.kysely.selectFrom('channel').select('state').execute()).map(
        ({ state }) => state,
      )
    expect(await states()).toEqual(['active'])
    const forged = url.replace(/token=.*/, `token=${newToken()}`)
    const click = { form: { 'List-Unsubscribe': 'One-Click' } }
    expect((await http.ask('POST', forged, click)).status).toBe(403)
    expect(
      (await http.ask('POST', url, { ...click, headers: { 'sec-fetch-site': 'cross-site' } }))
        .status,
    ).toBe(200)
    expect(await states()).toEqual(['ended'])
    expect((await http.ask('POST', url, click)).status).toBe(200)
  })
})

describe('a form of another site', () => {
  const form = { name: 'example.fi', channel: 'victim@example.net' }
  test.each([
    ['cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['same-site', { 'sec-fetch-site': 'same-site' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['no origin', { origin: 'null' }],
  ])('is refused: %s', async (_, headers) => {
    expect((await http.ask('POST', '/subscribe', { form, headers })).status).toBe(403)
    expect(await home.db.kysely.selectFrom('subscription').selectAll().execute()).toEqual([])
  })

  test('of our own is taken', async () => {
    const headers = {
      origin: 'https://monitor.example',
      host: 'monitor.example',
      'sec-fetch-site': 'same-origin',
    }
    expect((await http.ask('POST', '/subscribe', { form, headers })).status).toBe(202)
  })
})

describe('an announced change', () => {
  test('is told, and has its limits', async () => {
    const { id, token } = await http.subscribe()
    const now = http.post.clock.now()
    const announce = async (body: object) =>
      (await http.ask('POST', `/v1/subscriptions/${id}/windows`, { token, body })).status
    expect(
      await announce({
        begins_at: now,
        ends_at: now + DAY,
        unsigned: true,
        note: 'to another operator',
      }),
    ).toBe(201)
    await http.post.deliver()
    expect(subjects().at(-1)).toBe('WARNING: example.fi. has an announced change')
    expect(await announce({ begins_at: now, ends_at: now })).toBe(400)
    expect(await announce({ begins_at: now - DAY, ends_at: now - 1 })).toBe(400)
    expect(await announce({ begins_at: now, ends_at: now + 31 * DAY })).toBe(400)
    expect(await announce({ begins_at: now + 400 * DAY, ends_at: now + 401 * DAY })).toBe(400)
    expect(await announce({ begins_at: -1, ends_at: now + DAY })).toBe(400)
    expect(await announce({ begins_at: now, ends_at: now + DAY, note: 'x'.repeat(201) })).toBe(400)
    for (let i = 0; i < 15; i++) {
      expect(await announce({ begins_at: now, ends_at: now + DAY })).toBe(201)
    }
    expect(await announce({ begins_at: now, ends_at: now + DAY })).toBe(409)
  })
})
